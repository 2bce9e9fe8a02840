// StoreState: the slow look at what nobody reads, and another limit while the store runs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>

#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

inline constexpr Duration scrubInterval = std::chrono::milliseconds(100);
// At most so much before others run; hashing it takes some ten microseconds.
inline constexpr std::size_t scrubSliceBytes = std::size_t{256} << 10U;
inline constexpr std::size_t scrubSliceEntries = 64;

inline void StoreState::followScrub(StoreShard& shard, TimePoint now) const noexcept {
  if (!shard.scrubTimer || !shard.started || shard.closed || shard.scrubDue || shard.cache.size() == 0)
    return;
  shard.scrubDue = Environment::saturatingAdd(now, scrubInterval);
  shard.scrubTimer->follow(shard.scrubDue);
}

inline void StoreShard::onScrub(StoreShard& shard) { shard.owner->onScrub(shard); }

inline void StoreState::onScrub(StoreShard& shard) {
  const TimePoint now = environment_.now();
  {
    const std::lock_guard lock(shard.mutex);
    shard.scrubTimer->settle(now, std::nullopt);
    if (!shard.scrubDue || *shard.scrubDue > now) {  // it was stopped, and perhaps begun anew
      if (shard.scrubDue) shard.scrubTimer->follow(shard.scrubDue);
      return;
    }
    // It adds up for an entry that is larger than what is due in an interval, and no further: what could not
    // be looked at in its time is not made up for at once.
    const std::size_t due = std::max<std::size_t>(options_.scrubBytesPerSecond / shards_.size() / 10, 1);
    std::size_t next = 0;
    if (const std::size_t size = shard.cache.size(); size > 0) {
      const CacheEntry& entry = shard.cache.entryAt(shard.scrubPlace < size ? shard.scrubPlace : 0);
      if (entry.readable()) next = entry.charge();
    }
    shard.scrubCredit = std::min(shard.scrubCredit, next) + due;
  }
  scrubSlice(shard);
}

// Takes references to the next entries that the credit is enough for. What is wrong with links and lengths is
// seen to at once.
inline std::vector<CacheEntryRef> StoreState::takeForScrub(StoreShard& shard, StoreNews& news) {
  std::vector<CacheEntryRef> taken;
  taken.reserve(scrubSliceEntries);
  EntryCache& cache = shard.cache;
  for (std::size_t bytes = 0; taken.size() < scrubSliceEntries && bytes < scrubSliceBytes;) {
    if (shard.scrubPlace >= cache.size()) {
      shard.scrubPlace = 0;
      if (!taken.empty() || cache.size() == 0) {  // once round is enough
        shard.scrubCredit = 0;
        break;
      }
    }
    CacheEntry& entry = cache.entryAt(shard.scrubPlace);
    if (!entry.readable()) {
      removeCorrupt(shard, entry, news);
      continue;
    }
    if (!cache.isReachable(entry) && cache.rebuild(&entry)) continue;
    const std::size_t size = entry.charge();
    if (shard.scrubCredit < size) break;
    shard.scrubCredit -= size;
    bytes += size;
    ++shard.scrubPlace;
    taken.push_back(cache.refer(entry));
  }
  return taken;
}

inline void StoreState::scrubSlice(StoreShard& shard) {
  std::vector<CacheEntryRef> taken;
  try {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    if (shard.closed || !shard.scrubDue) return;
    taken = takeForScrub(shard, news);
  } catch (const std::bad_alloc&) {  // then not now
  }
  std::size_t bytes = 0;
  for (const CacheEntryRef& entry : taken) bytes += entry->charge();
  const bool more = taken.size() == scrubSliceEntries || bytes >= scrubSliceBytes;
  std::erase_if(taken, [](const CacheEntryRef& entry) { return entry->intact(); });  // without the mutex
  const TimePoint now = environment_.now();
  StoreNews news = makeNews();
  const std::lock_guard lock(shard.mutex);
  for (const CacheEntryRef& entry : taken) {
    if (!shard.closed && shard.cache.contains(*entry)) removeCorrupt(shard, *entry, news);
  }
  if (shard.closed || !shard.scrubDue) return;
  if (more) {
    try {
      environment_.post([weak = weak_from_this(), &shard] {
        if (const std::shared_ptr<StoreState> state = weak.lock()) state->scrubSlice(shard);
      });
      return;
    } catch (const std::bad_alloc&) {  // the rest comes with the next alarm
    }
  }
  shard.scrubDue.reset();
  followScrub(shard, now);
}

inline void StoreState::requireSize(std::size_t maxBytes) const {
  AsyncMemoryStoreOptions options = options_;
  options.maxBytes = maxBytes;
  options.check();
}

inline void StoreState::resize(std::size_t maxBytes) {
  const ShardLocks locks(*this, allShards());
  locks.each([&](StoreShard& shard) {
    requireOpen(shard);
    shard.cache.resize(maxBytes / shards_.size());
  });
}

inline bool StoreState::shrinkSlice() {
  const TimePoint now = environment_.now();
  bool more = false;
  for (const std::unique_ptr<StoreShard>& shard : shards_) {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard->mutex);
    if (shard->closed) continue;
    if (shard->cache.shrink(options_.sweepSlice, now, recorder(*shard, news))) more = true;
    followFront(*shard);
  }
  return more;
}

}  // namespace lukhas::detail
