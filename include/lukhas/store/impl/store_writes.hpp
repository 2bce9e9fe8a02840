// StoreState: writing and removing.
#pragma once

#include <algorithm>
#include <bit>

#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

inline void StoreState::write(StoreWrite write) {
  const CacheEntry& entry =
      *write.entry;  // which put() gives to the cache, where it is while the mutex is held
  const std::size_t charge = entry.charge();
  StoreShard& shard = shardOf(entry.keyHash);
  StoreCall call{.began = environment_.now()};
  bool stored = false;
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    requireOpen(shard);
    count(shard, call);
    stamp(shard, *write.entry, call.began);
    stored = put(shard, write.entry, endOf(write.ttl, call.began), call.began, news);
    stored ? shard.loads.invalidate(entry.key()) : errorOf(call);
  }
  if (!stored) throwTooLarge(write.entry->key(), charge);
  finished(call);
}

inline void StoreState::writeAll(std::vector<CacheEntryRef> entries, Ttl ttl) {
  const auto shardLess = [this](const CacheEntryRef& a, const CacheEntryRef& b) {
    return shardNumber(a->keyHash) < shardNumber(b->keyHash);
  };
  if (shards_.size() > 1) std::stable_sort(entries.begin(), entries.end(), shardLess);
  std::uint64_t which = 1;  // somebody has to count the call
  std::size_t bytes = 0;
  for (const CacheEntryRef& entry : entries) {
    which |= bitOf(entry->keyHash);
    bytes += entry->charge();
  }
  const auto forEachPart = [&](auto&& use) {
    for (std::size_t from = 0, to = 0; from < entries.size(); from = to) {
      StoreShard& shard = shardOf(entries[from]->keyHash);
      for (to = from + 1; to < entries.size() && &shardOf(entries[to]->keyHash) == &shard;) ++to;
      use(shard, std::span(entries).subspan(from, to - from));
    }
  };
  StoreCall call{.began = environment_.now()};
  bool stored = true;
  {
    StoreNews news = makeNews();
    const ShardLocks locks(*this, which);
    requireOpen(*shards_.front());
    count(*shards_.front(), call);
    forEachPart([&](StoreShard& shard, std::span<CacheEntryRef> part) {
      for (const CacheEntryRef& entry : part) stamp(shard, *entry, call.began);
      stored = stored && shard.cache.makeReady(part, call.began, recorder(shard, news));
    });
    if (stored) {
      forEachPart([&](StoreShard& shard, std::span<CacheEntryRef> part) {
        for (const CacheEntryRef& entry : part) shard.loads.invalidate(entry->key());
        shard.cache.link(
            part, [&] { return endOf(ttl, call.began); },
            [&](const CacheEntry& old) { news.gone(old, EvictionCause::replaced); });
      });
    } else {
      errorOf(call);
    }
    locks.each([&](StoreShard& shard) {
      followFront(shard);
      followScrub(shard, call.began);
    });
  }
  if (!stored) throwBatchTooLarge(entries.size(), bytes);
  finished(call);
}

inline bool StoreState::writeIfVersion(StoreWrite write, Version expected) {
  CacheEntry& entry = *write.entry;
  StoreShard& shard = shardOf(entry.keyHash);
  StoreCall call{.began = environment_.now()};
  bool stored = true;
  bool written = false;
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    requireOpen(shard);
    count(shard, call);
    const CacheEntry* const present = findLive(shard, entry.key(), entry.keyHash, call.began, news);
    written = (present ? present->version() : Version{}) == expected;
    if (written) {
      const bool keepsEnd = present && !write.ttl;
      const TimePoint end = keepsEnd ? shard.cache.expiryOf(*present) : endOf(write.ttl, call.began);
      stamp(shard, entry, call.began);
      shard.loads.invalidate(entry.key());
      stored = put(shard, write.entry, end, call.began, news);
      if (!stored) errorOf(call);
    }
  }
  if (!stored) throwTooLarge(write.entry->key(), write.entry->charge());
  finished(call);
  return written;
}

inline bool StoreState::writeIfSame(StoreWrite write, const CacheEntryRef& seen) {
  CacheEntry& entry = *write.entry;
  StoreShard& shard = shardOf(entry.keyHash);
  const TimePoint now = environment_.now();
  bool stored = false;
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    requireOpen(shard);
    const CacheEntry* const present = findLive(shard, entry.key(), entry.keyHash, now, news);
    if (!present || present != seen.get()) return false;
    const TimePoint end = write.ttl ? endOf(write.ttl, now) : shard.cache.expiryOf(*present);
    stamp(shard, entry, now);
    shard.loads.invalidate(entry.key());
    stored = put(shard, write.entry, end, now, news);
  }
  if (!stored) throwTooLarge(write.entry->key(), write.entry->charge());
  return true;
}

inline bool StoreState::erase(std::string_view key) { return eraseEach(std::array{key}) == 1; }
inline std::size_t StoreState::eraseAll(const NameList& keys) {
  requireOnce(*this, keys);
  return eraseEach(keys);
}

template <class Keys>
std::size_t StoreState::eraseEach(const Keys& keys) {
  std::uint64_t which = 1;
  if (shards_.size() > 1 && std::size(keys) == 1) which = 0;  // a lonely key is counted where it is
  for (const auto& key : keys) {
    requireKey(key);
    which |= bitOf(hashOf(key));
  }
  StoreShard& counting = *shards_[static_cast<std::size_t>(std::countr_zero(which))];
  std::size_t erased = 0;
  StoreCall call{.began = environment_.now()};
  {
    StoreNews news = makeNews();
    const ShardLocks locks(*this, which);
    requireOpen(counting);
    count(counting, call);
    for (const auto& key : keys) {
      const std::uint32_t hash = hashOf(key);
      StoreShard& shard = shardOf(hash);
      if (CacheEntry* const entry = findLive(shard, key, hash, call.began, news)) {
        news.gone(*entry, EvictionCause::removed);
        shard.cache.remove(*entry);
        ++erased;
      }
      shard.loads.invalidate(key);
    }
    locks.each([&](StoreShard& shard) { followFront(shard); });
  }
  finished(call);
  return erased;
}

}  // namespace lukhas::detail
