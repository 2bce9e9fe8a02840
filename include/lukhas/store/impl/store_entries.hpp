// StoreState: what departs and what stays, batches, and the life of an entry.
#pragma once

#include <algorithm>
#include <limits>

#include "lukhas/store/detail/printable_key.hpp"
#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

inline TimePoint StoreState::endOf(Ttl ttl, TimePoint now) const noexcept {
  Duration life = ttl.value_or(options_.defaultTtl);
  if (options_.ttlJitter > 0 && life != Duration::max()) {
    const double share = static_cast<double>(environment_.random() >> 11U) * 0x1p-53;  // in [0, 1)
    const double cut = static_cast<double>(life.count()) * options_.ttlJitter * share;
    life = std::max(life - Duration(static_cast<Duration::rep>(cut)), Duration(1));
  }
  return Environment::saturatingAdd(now, life);
}

inline EntryInfo StoreState::infoOf(StoreShard& shard, const CacheEntry& entry,
                                    TimePoint now) const noexcept {
  const std::chrono::microseconds written(entry.version().value - 1);
  const TimePoint end = shard.cache.expiryOf(entry);
  EntryInfo info;
  info.version = entry.version();
  info.age = std::max(now - created_ - written, Duration::zero());
  info.remainingTtl = end == TimePoint::max() ? Duration::max() : end - now;
  info.sizeBytes = entry.charge();
  info.valueBytes = entry.value().size();
  return info;
}

inline StoreReadWithInfo StoreState::readWithInfo(std::string_view key) {
  requireKey(key);
  const std::uint32_t hash = hashOf(key);
  StoreShard& shard = shardOf(hash);
  StoreReadWithInfo found;
  StoreRead& read = found.read;
  read.call.began = environment_.now();
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    requireOpen(shard);
    count(shard, read.call);
    CacheEntry* const entry = findLive(shard, key, hash, read.call.began, news);
    shard.figures.read(entry != nullptr);
    if (entry) {
      shard.cache.touch(*entry);
      found.info = infoOf(shard, *entry, read.call.began);
      read.entry = shard.cache.refer(*entry);
    }
  }
  if (read.entry && !verify(read.entry, read.call, Counted::yes)) read.entry = {};
  return found;
}

inline bool StoreState::touch(std::string_view key, Ttl ttl) {
  requireCall(key, ttl);
  const std::uint32_t hash = hashOf(key);
  StoreShard& shard = shardOf(hash);
  StoreCall call{.began = environment_.now()};
  bool touched = false;
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    requireOpen(shard);
    count(shard, call);
    if (CacheEntry* const entry = findLive(shard, key, hash, call.began, news)) {
      shard.cache.setExpiry(*entry, endOf(ttl, call.began));
      shard.cache.touch(*entry);
      followFront(shard);
      touched = true;
    }
  }
  finished(call);
  return touched;
}

inline bool StoreState::put(StoreShard& shard, CacheEntryRef& entry, TimePoint expiresAt, TimePoint now,
                            StoreNews& news) {
  const std::span<CacheEntryRef> one{&entry, 1};
  const bool fits = shard.cache.makeReady(one, now, recorder(shard, news));
  if (fits) {
    shard.cache.link(
        one, [&] { return expiresAt; },
        [&](const CacheEntry& old) { news.gone(old, EvictionCause::replaced); });
  }
  followFront(shard);
  followScrub(shard, now);
  return fits;
}

inline void requireOnce(StoreState& state, std::vector<std::string_view> keys) {
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice == keys.end()) return;
  state.countRefusal();
  nlohmann::json details{{"key", printableKey(*twice)}};
  throw Error(
      StoreErrc::duplicate_key,
      fmt::format("\"{}\" is in the batch more than once; each key may be once", printableKey(*twice)),
      std::move(details));
}
inline void requireOnce(StoreState& state, const NameList& keys) {
  if (keys.size() > 1) requireOnce(state, std::vector<std::string_view>(keys.begin(), keys.end()));
}

inline void StoreState::requireBatch(const std::vector<CacheEntryRef>& entries) {
  std::vector<std::string_view> keys;
  keys.reserve(entries.size());
  std::size_t bytes = 0;
  for (const CacheEntryRef& entry : entries) {
    keys.push_back(entry->key());
    bytes += entry->charge();
  }
  requireOnce(*this, std::move(keys));
  std::array<std::size_t, 64> entriesOf{};
  std::array<std::size_t, 64> bytesOf{};
  for (const CacheEntryRef& entry : entries) {
    ++entriesOf[shardNumber(entry->keyHash)];
    bytesOf[shardNumber(entry->keyHash)] += entry->charge();
  }
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    if (entriesOf[i] == 0 || shards_[i]->cache.fits(entriesOf[i], bytesOf[i])) continue;
    countRefusal();
    throwBatchTooLarge(entries.size(), bytes);
  }
}

inline void StoreState::throwBatchTooLarge(std::size_t entries, std::size_t bytes) {
  const std::size_t most = maxBytes();
  nlohmann::json details{{"entries", entries}, {"sizeBytes", bytes}, {"maximum", most}};
  throw Error(StoreErrc::batch_too_large,
              fmt::format("the batch of {} entries takes {} bytes; the whole store has {}{}", entries, bytes,
                          most, shards_.size() == 1 ? "" : ", in equal shares for its shards"),
              std::move(details));
}

inline void StoreState::clear() {
  const TimePoint now = environment_.now();
  StoreNews news = makeNews();
  const ShardLocks locks(*this, allShards());
  locks.each([&](StoreShard& shard) {
    requireOpen(shard);
    (void)shard.cache.removeExpired(now, std::numeric_limits<std::size_t>::max(), recorder(shard, news));
    if (news.listened(EvictionCause::removed)) {
      shard.cache.forEach([&](const CacheEntry& entry) { news.gone(entry, EvictionCause::removed); });
    }
    shard.cache.clear();
    shard.loads.invalidateAll();
    followFront(shard);
  });
}

}  // namespace lukhas::detail
