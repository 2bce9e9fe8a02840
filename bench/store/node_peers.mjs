// The whole run of async_memory_store_bench for lru-cache on node: the same keys in the same order. Writes a
// line "name nanoseconds" (of processor time) for calls as they are, and one for calls that are awaited.
//
//   npm install lru-cache && node node_peers.mjs
//
// In the folder of the package. Says so and ends well when it is missing.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const load = async () => {
  try {
    const found = createRequire(`${process.cwd()}/`).resolve('lru-cache');
    return (await import(pathToFileURL(found))).LRUCache;
  } catch {
    return undefined;
  }
};

const LRUCache = await load();
if (!LRUCache) {
  console.error('lru-cache is not installed here: npm install lru-cache');
  process.exit(0);
}

const count = 100_000;
const keys = Array.from({ length: count }, (_, i) => `session:${i * 7919}`);
const value = 'x'.repeat(64);

// As makeZipf.
const sums = new Float64Array(count);
let sum = 0;
for (let i = 0; i < count; ++i) sums[i] = sum += Math.pow(i + 1, -0.99);
const order = new Uint32Array(1_000_000);
let chance = 1;
for (let i = 0; i < order.length; ++i) {
  chance = (Math.imul(chance, 1664525) + 1013904223) >>> 0;
  const wanted = sum * (chance / 4294967296);
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sums[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  order[i] = (Math.min(low, count - 1) * 7919) % count;
}

// A limit in bytes and a lifetime, as the store has.
const make = () =>
  new LRUCache({ max: 2 * count, maxSize: 2 ** 32, sizeCalculation: (v, k) => v.length + k.length, ttl: 3_600_000 });

let found = 0;
function plain() {
  const cache = make();
  for (const key of keys) cache.set(key, value);
  for (let i = 0; i < order.length; ++i) {
    const key = keys[order[i]];
    if (cache.get(key) !== undefined) ++found;
    if (i % 10 === 0) cache.set(key, value);
  }
}

async function awaited() {
  const cache = make();
  for (const key of keys) await cache.set(key, value);
  for (let i = 0; i < order.length; ++i) {
    const key = keys[order[i]];
    if ((await cache.get(key)) !== undefined) ++found;
    if (i % 10 === 0) await cache.set(key, value);
  }
}

for (const run of [plain, awaited]) {
  let least = Infinity;
  for (let repetition = 0; repetition < 5; ++repetition) {
    const began = process.cpuUsage();
    await run();
    const taken = process.cpuUsage(began);
    least = Math.min(least, ((taken.user + taken.system) * 1000) / (keys.length + order.length));
  }
  console.log(`${run.name} ${least.toFixed(1)}`);
}
if (found === 0) throw new Error('nothing was found');
