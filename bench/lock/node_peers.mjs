// The keyed locks that back ends on node use, measured like async_lock_bench: nanoseconds for an uncontended
// acquire and release, and for a hand-over in a queue.
//
//   npm install async-lock async-mutex && node node_peers.mjs
//
// In the folder of the packages, or with NODE_PATH naming it. Says so and ends well when they are missing.
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/`);
const load = (name) => {
  try {
    return require(name);
  } catch {
    console.log(`${name} is not installed here: npm install ${name}`);
    return undefined;
  }
};

const rounds = 200_000;
const keys = Array.from({ length: 1000 }, (_, i) => `session:${i}`);

async function best(work) {
  let least = Infinity;
  for (let repetition = 0; repetition < 7; ++repetition) {
    const begin = process.hrtime.bigint();
    await work();
    least = Math.min(least, Number(process.hrtime.bigint() - begin) / rounds);
  }
  return least.toFixed(0);
}

async function measure(name, once) {
  const uncontended = await best(async () => {
    for (let i = 0; i < rounds; ++i) await once(keys[(i * 7919) % keys.length]);
  });
  const handOver = await best(async () => {
    for (let done = 0; done < rounds; done += 10_000) {
      await Promise.all(Array.from({ length: 10_000 }, () => once('session:42')));
    }
  });
  console.log(`${name}: uncontended ${uncontended} ns, hand-over among 10000 waiters ${handOver} ns`);
}

const AsyncLock = load('async-lock');
if (AsyncLock) {
  const locks = new AsyncLock({ maxPending: Infinity });
  await measure('async-lock', (key) => locks.acquire(key, async () => {}));
}
const asyncMutex = load('async-mutex');
if (asyncMutex) {
  const mutexes = new Map();
  await measure('async-mutex in a Map', async (key) => {
    let mutex = mutexes.get(key);
    if (!mutex) mutexes.set(key, (mutex = new asyncMutex.Mutex()));
    const release = await mutex.acquire();
    release();
  });
}
