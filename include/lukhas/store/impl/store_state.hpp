// StoreState: what may be stored, reading, and figures.
#pragma once

#include "lukhas/store/detail/printable_key.hpp"
#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

inline StoreState::StoreState(Environment environment, const AsyncMemoryStoreOptions& options)
    : environment_(std::move(environment)),
      options_(options),
      created_(environment_.now()),
      refresh_(options.earlyRefresh),
      shardShift_(32U - static_cast<unsigned>(std::bit_width(options.shards) - 1)) {
  const std::uint64_t seed = environment_.random();
  for (std::size_t i = 0; i < options.shards; ++i) {
    shards_.push_back(std::make_unique<StoreShard>(options, seed, i, waiting_));
  }
}

inline std::shared_ptr<StoreState> StoreState::create(Environment environment,
                                                      const AsyncMemoryStoreOptions& options) {
  options.check();
  auto state = std::make_shared<StoreState>(environment, options);
  for (const std::unique_ptr<StoreShard>& shard : state->shards_) {
    // A shard lives as long as the state, which the pointer shares.
    const std::weak_ptr<StoreShard> alive = std::shared_ptr<StoreShard>(state, shard.get());
    shard->owner = state.get();
    shard->timer.emplace(environment, alive, &StoreShard::onAlarm);
    if (options.scrubBytesPerSecond > 0) shard->scrubTimer.emplace(environment, alive, &StoreShard::onScrub);
  }
  return state;
}

inline void StoreState::requireKey(std::string_view key) {
  if (key.empty()) throw Error(StoreErrc::empty_key, "the key is empty; allowed are 1 to 256 bytes");
  if (key.size() <= maxKeyBytes) return;
  nlohmann::json details{{"size", key.size()}, {"maximum", maxKeyBytes}};
  throw Error(StoreErrc::key_too_long,
              fmt::format("the key has {} bytes; allowed are 1 to {}", key.size(), maxKeyBytes),
              std::move(details));
}

inline void StoreState::requireCall(std::string_view key, Ttl ttl) {
  requireKey(key);
  if (!ttl || *ttl > Duration::zero()) return;
  nlohmann::json details{{"key", printableKey(key)}, {"ttlNs", ttl->count()}};
  throw Error(StoreErrc::invalid_ttl,
              fmt::format("the TTL of \"{}\" is {}; it has to be longer than zero", printableKey(key),
                          optionText(*ttl)),
              std::move(details));
}

inline void StoreState::requireFits(std::string_view key, std::size_t valueBytes) {
  const bool counts = CacheEntry::bytesFor(key.size(), valueBytes) <= CacheEntry::maxBlockBytes;
  const std::size_t charge = CacheEntry::chargeFor(key.size(), valueBytes);
  if (counts && shards_.front()->cache.fits(1, charge)) return;
  countRefusal();
  throwTooLarge(key, charge);
}

inline void StoreState::throwTooLarge(std::string_view key, std::size_t bytes) {
  const std::size_t most = std::min(maxBytes() / shards_.size(), CacheEntry::maxBlockBytes);
  nlohmann::json details{{"key", printableKey(key)}, {"sizeBytes", bytes}, {"maximum", most}};
  throw Error(StoreErrc::value_too_large,
              fmt::format("the entry \"{}\" takes {} bytes; {} has {}", printableKey(key), bytes,
                          shards_.size() == 1 ? "the whole store" : "a shard of the store", most),
              std::move(details));
}

inline StoreWrite StoreState::prepare(std::string_view key, ByteView value, Ttl ttl) {
  requireCall(key, ttl);
  requireFits(key, value.size());
  return prepareLoaded(key, value, ttl);
}

inline StoreWrite StoreState::prepareLoaded(std::string_view key, ByteView value, Ttl ttl) const {
  return {CacheEntry::make(key, hashOf(key), value, options_.memory), ttl};
}

inline void StoreState::throwNotFound(std::string_view key) {
  nlohmann::json details{{"key", printableKey(key)}};
  throw Error(StoreErrc::not_found, fmt::format("\"{}\" holds nothing", printableKey(key)),
              std::move(details));
}

inline void StoreState::throwConflict(std::string_view key) {
  nlohmann::json details{{"key", printableKey(key)}, {"attempts", updateAttempts}};
  throw Error(StoreErrc::conflict,
              fmt::format("\"{}\" was changed by others on each of {} attempts to update it",
                          printableKey(key), updateAttempts),
              std::move(details));
}

inline void StoreState::throwOverloaded(std::string_view key, StoreCall& call) {
  countError(call);
  nlohmann::json details{{"key", printableKey(key)}, {"maximum", options_.maxWaiters}};
  throw Error(StoreErrc::overloaded,
              fmt::format("\"{}\" is being loaded, and {} callers wait for loaders already",
                          printableKey(key), options_.maxWaiters),
              std::move(details));
}

inline CacheEntry* StoreState::findLive(StoreShard& shard, std::string_view key, std::uint32_t hash,
                                        StoreMoment& moment, StoreNews& news) {
  CacheEntry* entry = shard.cache.findUsed(key, hash);
  if (!entry) return nullptr;
  if (!entry->readable()) {
    removeCorrupt(shard, *entry, news);
    return nullptr;
  }
  if (!entry->linksIntact() && shard.cache.rebuild(entry)) return nullptr;
  // The earliest end of all is at hand, that of this entry is not.
  if (moment.isBefore(shard.cache.firstExpiry()) || moment.isBefore(shard.cache.expiryOf(*entry))) {
    return entry;
  }
  recorder(shard, news)(*entry, EvictionCause::expired);
  shard.cache.remove(*entry);
  followFront(shard);
  return nullptr;
}

inline CacheEntry* StoreState::findLive(StoreShard& shard, std::string_view key, std::uint32_t hash,
                                        TimePoint now, StoreNews& news) {
  StoreMoment moment(environment_, now);
  return findLive(shard, key, hash, moment, news);
}

inline void StoreState::removeCorrupt(StoreShard& shard, CacheEntry& entry, StoreNews& news) noexcept {
  recorder(shard, news)(entry, EvictionCause::corrupt);
  if (entry.readable()) {
    shard.cache.remove(entry);
  } else {
    shard.cache.removeDamaged(entry);
  }
  followFront(shard);
}

template <class Use>
StoreRead StoreState::readWith(std::string_view key, Use&& use) {
  requireKey(key);
  const std::uint32_t hash = hashOf(key);
  StoreShard& shard = shardOf(hash);
  const bool exact = shard.figures.sampleIsDue();
  StoreMoment moment(environment_, exact);
  StoreRead read;
  read.call.began = moment.time();
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    requireOpen(shard);
    count(shard, read.call, exact);
    CacheEntry* const entry = findLive(shard, key, hash, moment, news);
    shard.figures.read(entry != nullptr);
    if (entry) EntryCache::approachNeighbours(*entry);
    if (entry && entry->value().size() > smallValue) {
      shard.cache.touch(*entry);
      read.entry = shard.cache.refer(*entry);
    } else if (entry && entry->intact()) {
      shard.cache.touch(*entry);
      shard.figures.hitInside();
      use(shard.cache, *entry);
    } else if (entry) {
      shard.figures.foundDamaged();
      errorOf(read.call);
      removeCorrupt(shard, *entry, news);
    }
    if (!news.empty()) read.alive = shared_from_this();
  }
  if (read.entry && read.entry->intact()) {
    shard.figures.hit();
  } else if (read.entry) {
    read.alive = shared_from_this();  // a listener may destroy the store
    dropDamaged(read.entry, read.call, Counted::yes);
    read.entry = {};
  }
  return read;
}

inline StoreRead StoreState::read(std::string_view key) {
  CacheEntryRef small;
  StoreRead read =
      readWith(key, [&](const EntryCache& cache, CacheEntry& entry) { small = cache.refer(entry); });
  if (small) read.entry = std::move(small);
  return read;
}

inline StoreBatchRead StoreState::readAll(const NameList& keys) {
  requireOnce(*this, keys);
  std::vector<std::uint32_t> hashes;
  hashes.reserve(keys.size());
  std::uint64_t which = 1;  // somebody has to count the call
  for (const std::string& key : keys) {
    requireKey(key);
    hashes.push_back(hashOf(key));
    which |= bitOf(hashes.back());
  }
  std::vector<CacheEntryRef> found(keys.size());
  StoreCall call{.began = environment_.now()};
  {
    StoreNews news = makeNews();
    const ShardLocks locks(*this, which);
    requireOpen(*shards_.front());
    count(*shards_.front(), call);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      StoreShard& shard = shardOf(hashes[i]);
      CacheEntry* const entry = findLive(shard, keys[i], hashes[i], call.began, news);
      shard.figures.read(entry != nullptr);
      if (!entry) continue;
      shard.cache.touch(*entry);
      found[i] = shard.cache.refer(*entry);
    }
  }
  for (std::size_t i = 0; i < found.size(); ++i) {
    StoreCall part = call;
    part.shard = &shardOf(hashes[i]);
    if (found[i] && !verify(found[i], part, Counted::yes)) found[i] = {};
    call.failed = part.failed;
  }
  return {std::move(found), call};
}

// The shard is that of the call: the entry's own hash may be what is damaged.
inline bool StoreState::verify(const CacheEntryRef& entry, StoreCall& call, Counted read) {
  if (!entry->intact()) {
    dropDamaged(entry, call, read);
    return false;
  }
  if (read == Counted::yes) call.shard->figures.hit();
  return true;
}
inline void StoreState::dropDamaged(const CacheEntryRef& entry, StoreCall& call, Counted read) {
  StoreShard& shard = *call.shard;
  StoreNews news = makeNews();
  const std::lock_guard lock(shard.mutex);
  if (read == Counted::yes) shard.figures.foundDamaged();
  errorOf(call);
  if (shard.cache.contains(*entry)) removeCorrupt(shard, *entry, news);
}

inline bool StoreState::has(std::string_view key) {
  requireKey(key);
  const std::uint32_t hash = hashOf(key);
  StoreShard& shard = shardOf(hash);
  StoreMoment moment(environment_, false);
  StoreNews news = makeNews();
  const std::lock_guard lock(shard.mutex);
  requireOpen(shard);
  return findLive(shard, key, hash, moment, news) != nullptr;
}

inline std::optional<EntryInfo> StoreState::info(std::string_view key) {
  requireKey(key);
  const TimePoint now = environment_.now();
  const std::uint32_t hash = hashOf(key);
  StoreShard& shard = shardOf(hash);
  StoreNews news = makeNews();
  const std::lock_guard lock(shard.mutex);
  const CacheEntry* const entry = findLive(shard, key, hash, now, news);
  if (!entry) return std::nullopt;
  return infoOf(shard, *entry, now);
}

inline std::vector<std::string> StoreState::keys(std::string_view prefix) const {
  const TimePoint now = environment_.now();
  std::vector<std::string> found;
  {
    const ShardLocks locks(*this, allShards());
    locks.each([&](StoreShard& shard) {
      const std::size_t before = found.size();
      const auto collect = [&] {
        bool sound = true;
        found.resize(before);
        shard.cache.forEach([&](const CacheEntry& entry) {
          if (!shard.cache.isSound(entry)) {
            sound = false;
          } else if (entry.key().starts_with(prefix) && shard.cache.expiryOf(entry) > now) {
            found.emplace_back(entry.key());
          }
        });
        return sound;
      };
      if (collect()) return;
      (void)shard.cache.rebuild();  // not while something walks through it
      (void)collect();
    });
  }
  std::sort(found.begin(), found.end());
  return found;
}

inline void StoreState::finished(const StoreCall& call) {
  if (!call.measured) return;
  const Duration taken = environment_.now() - call.began;
  const std::lock_guard lock(call.shard->mutex);
  call.shard->figures.time(taken);
}

inline void StoreState::countError(StoreCall& call) {
  if (!call.shard) call.shard = shards_.front().get();
  const std::lock_guard lock(call.shard->mutex);
  errorOf(call);
}

inline void StoreState::countRefusal() {
  const TimePoint now = environment_.now();
  StoreShard& shard = *shards_.front();
  const std::lock_guard lock(shard.mutex);
  shard.figures.call(now);
  shard.figures.error();
}

inline StoreMetrics StoreState::metrics() const {
  StoreFigures total;
  std::size_t bytes = 0;
  std::size_t entries = 0;
  std::uint64_t lost = 0;
  {
    const ShardLocks locks(*this, allShards());
    locks.each([&](const StoreShard& shard) {
      total.add(shard.figures);
      bytes += shard.cache.bytes();
      entries += shard.cache.size();
      lost += shard.cache.lostEntries();
    });
  }
  StoreMetrics metrics = total.metrics();
  metrics.corruptions += lost;
  metrics.totalSize = bytes;
  metrics.entryCount = entries;
  return metrics;
}

inline HealthReport StoreState::health() {
  const TimePoint now = environment_.now();
  HealthReport health;
  StoreFigures total;
  std::size_t bytes = 0;
  Duration latest = Duration::zero();
  {
    const ShardLocks locks(*this, allShards());
    locks.each([&](StoreShard& shard) {
      shard.figures.rotate(now);
      total.add(shard.figures);
      bytes += shard.cache.bytes();
      const std::optional<TimePoint> next = shard.cache.nextExpiry();
      if (shard.started && next) latest = std::max(latest, now - std::max(*next, *shard.started));
    });
  }
  total.report(health, bytes, maxBytes());
  if (latest > 2 * options_.sweepInterval) {
    using Seconds = std::chrono::duration<double>;
    const double late = Seconds(latest).count();
    health.report("sweep_overdue",
                  fmt::format("an entry expired {:.1f} s ago and was not yet swept away", late), late,
                  Seconds(2 * options_.sweepInterval).count());
  }
  return health;
}

inline std::size_t StoreState::maxBytes() const noexcept {
  return shards_.front()->cache.maxBytes() * shards_.size();
}

inline bool StoreState::checkInvariants() const {
  bool sound = true;
  const ShardLocks locks(*this, allShards());
  locks.each([&](const StoreShard& shard) { sound = sound && shard.cache.checkInvariants(); });
  return sound;
}

inline bool StoreState::flipBit(std::string_view key, EntryDamage::Place place, std::size_t bit) {
  StoreShard& shard = shardOf(key);
  const std::lock_guard lock(shard.mutex);
  CacheEntry* const entry = shard.cache.find(key, hashOf(key));
  return entry && EntryDamage::flip(*entry, place, bit);
}

}  // namespace lukhas::detail
