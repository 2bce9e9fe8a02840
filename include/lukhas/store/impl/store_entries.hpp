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

inline EntryInfo StoreState::infoOf(const CacheEntry& entry, TimePoint now) const noexcept {
  const Duration written(static_cast<Duration::rep>(entry.version.value - 1));
  EntryInfo info;
  info.version = entry.version;
  info.age = std::max(now - created_ - written, Duration::zero());
  info.remainingTtl = entry.expiresAt == TimePoint::max() ? Duration::max() : entry.expiresAt - now;
  info.sizeBytes = entry.charge();
  info.valueBytes = entry.value().size();
  return info;
}

inline StoreReadWithInfo StoreState::readWithInfo(std::string_view key) {
  requireKey(key);
  const std::uint64_t hash = cache_.hashOf(key);
  StoreReadWithInfo found;
  StoreRead& read = found.read;
  read.call.began = environment_.now();
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    figures_.call(read.call.began);
    read.call.measured = figures_.isSample();
    CacheEntry* const entry = findLive(key, hash, read.call.began, news);
    figures_.read(entry != nullptr);
    if (entry) {
      cache_.touch(*entry);
      found.info = infoOf(*entry, read.call.began);
      read.entry = CacheEntryRef(*entry);
    }
  }
  if (read.entry && !verify(read.entry, read.call, Counted::yes)) read.entry = {};
  return found;
}

inline bool StoreState::touch(std::string_view key, Ttl ttl) {
  requireCall(key, ttl);
  StoreCall call{environment_.now()};
  bool touched = false;
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    figures_.call(call.began);
    call.measured = figures_.isSample();
    if (CacheEntry* const entry = findLive(key, cache_.hashOf(key), call.began, news)) {
      cache_.endAt(*entry, endOf(ttl, call.began));
      cache_.touch(*entry);
      followFront();
      touched = true;
    }
  }
  finished(call);
  return touched;
}

// What is replaced is looked up before, and only for those who listen: it has to be alive when they are told.
inline void StoreState::putAll(std::span<CacheEntryRef> entries, TimePoint now, StoreNews& news) {
  std::vector<CacheEntryRef> replaced;
  if (news.listened(EvictionCause::replaced)) {
    for (const CacheEntryRef& entry : entries) {
      CacheEntry* const old = cache_.find(entry->key(), entry->keyHash);
      if (old && old->expiresAt > now) replaced.emplace_back(*old);
    }
  }
  cache_.put(entries, now, recorder(news));
  for (const CacheEntryRef& old : replaced) news.gone(*old, EvictionCause::replaced);
  followFront();
}

inline void StoreState::requireBatch(const std::vector<CacheEntryRef>& entries) {
  std::vector<std::string_view> keys;
  keys.reserve(entries.size());
  std::size_t bytes = 0;
  for (const CacheEntryRef& entry : entries) {
    keys.push_back(entry->key());
    bytes += entry->charge();
  }
  std::sort(keys.begin(), keys.end());
  if (const auto twice = std::adjacent_find(keys.begin(), keys.end()); twice != keys.end()) {
    countRefusal();
    nlohmann::json details{{"key", printableKey(*twice)}};
    throw Error(
        StoreErrc::duplicate_key,
        fmt::format("\"{}\" is in the batch more than once; each key may be once", printableKey(*twice)),
        std::move(details));
  }
  if (entries.empty() || cache_.fits(entries.size(), bytes)) return;
  countRefusal();
  nlohmann::json details{{"entries", entries.size()}, {"sizeBytes", bytes}, {"maximum", options_.maxBytes}};
  throw Error(StoreErrc::batch_too_large,
              fmt::format("the batch of {} entries takes {} bytes; the whole store has {}", entries.size(),
                          bytes, options_.maxBytes),
              std::move(details));
}

inline void StoreState::clear() {
  const TimePoint now = environment_.now();
  StoreNews news(signals_);
  const std::lock_guard lock(mutex_);
  requireOpen();
  (void)cache_.removeExpired(now, std::numeric_limits<std::size_t>::max(), recorder(news));
  if (news.listened(EvictionCause::removed)) {
    cache_.forEachOldestFirst([&](const CacheEntry& entry) { news.gone(entry, EvictionCause::removed); });
  }
  cache_.clear();
  loads_.invalidateAll();
  followFront();
}

}  // namespace lukhas::detail
