// The same work as ttl_enforcement_engine_bench for @isaacs/ttlcache: its timers, its order, another language.
//   node bench/ttl/isaacs_ttlcache.mjs [ENTRIES]
// Says so and ends well when the package is not installed.
import { createRequire } from 'node:module';

const load = async () => {
  try {
    const found = createRequire(`${process.cwd()}/`).resolve('@isaacs/ttlcache');
    const module = await import(found);
    return module.TTLCache ?? module.default?.TTLCache ?? module.default;
  } catch {
    return null;
  }
};

const TTLCache = await load();
if (!TTLCache) {
  console.log('skipped: @isaacs/ttlcache is not installed');
  process.exit(0);
}

const entries = Number(process.argv[2] ?? 1_000_000);
const keys = Array.from({ length: entries }, (_, i) => `session:${(i * 7919) % entries}`);
const chance = () => 3_600_000 + Math.floor(Math.random() * 3_600_000);
const nsEach = (what, count, work) => {
  const begun = process.hrtime.bigint();
  work();
  console.log(`${what}: ${(Number(process.hrtime.bigint() - begun) / count).toFixed(0)} ns each`);
};

const cache = new TTLCache();
nsEach('register', entries, () => keys.forEach((key) => cache.set(key, 1, { ttl: chance() })));
nsEach('refresh', entries, () => keys.forEach((key) => cache.setTTL(key, chance())));
cache.clear();

for (const due of [1_000, 10_000, 100_000]) {
  let expired = 0;
  const swept = new TTLCache({ dispose: (value, key, reason) => (expired += reason === 'stale' ? 1 : 0) });
  for (let i = 0; i < due; ++i) swept.set(keys[i % entries], 1, { ttl: 1 + (i % 5) });
  const until = Date.now() + 10;
  while (Date.now() < until);
  nsEach(`sweep of ${due}`, due, () => swept.purgeStale());
  console.log(`  ${expired} expired`);
  swept.cancelTimer?.();
}
