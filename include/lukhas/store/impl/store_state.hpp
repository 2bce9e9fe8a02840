// StoreState: reading, writing and figures.
#pragma once

#include "lukhas/store/detail/printable_key.hpp"
#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

inline std::shared_ptr<StoreState> StoreState::create(Environment environment,
                                                      const AsyncMemoryStoreOptions& options) {
  options.check();
  auto state = std::make_shared<StoreState>(environment, options);
  state->timer_.emplace(std::move(environment), std::weak_ptr<StoreState>(state), &StoreState::onAlarm);
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

inline void StoreState::requireFits(std::string_view key, std::size_t bytes) {
  if (cache_.fits(1, bytes)) return;
  countRefusal();
  nlohmann::json details{{"key", printableKey(key)}, {"sizeBytes", bytes}, {"maximum", options_.maxBytes}};
  throw Error(StoreErrc::value_too_large,
              fmt::format("the entry \"{}\" takes {} bytes; the whole store has {}", printableKey(key), bytes,
                          options_.maxBytes),
              std::move(details));
}

inline StoreWrite StoreState::prepare(std::string_view key, ByteView value, Ttl ttl) {
  requireCall(key, ttl);
  requireFits(key, CacheEntry::bytesFor(key.size(), value.size()));
  StoreWrite write = prepareLoaded(key, value, ttl);
  requireFits(key, write.entry->charge());
  return write;
}

inline StoreWrite StoreState::prepareLoaded(std::string_view key, ByteView value, Ttl ttl) const {
  return {CacheEntry::make(key, cache_.hashOf(key), value), ttl};
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

inline CacheEntry* StoreState::findLive(std::string_view key, std::uint64_t hash, TimePoint now,
                                        StoreNews& news) {
  CacheEntry* const entry = cache_.find(key, hash);
  if (!entry || entry->expiresAt > now) return entry;
  recorder(news)(*entry, EvictionCause::expired);
  cache_.remove(*entry);
  followFront();
  return nullptr;
}

inline StoreRead StoreState::read(std::string_view key) {
  requireKey(key);
  const std::uint64_t hash = cache_.hashOf(key);
  StoreRead read;
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
      read.entry = CacheEntryRef(*entry);
    }
  }
  if (read.entry && !verify(read.entry, read.call, Counted::yes)) read.entry = {};
  return read;
}

inline StoreBatchRead StoreState::readAll(const NameList& keys) {
  for (const std::string& key : keys) requireKey(key);
  std::vector<CacheEntryRef> found(keys.size());
  StoreCall call{environment_.now()};
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    figures_.call(call.began);
    call.measured = figures_.isSample();
    for (std::size_t i = 0; i < keys.size(); ++i) {
      CacheEntry* const entry = findLive(keys[i], cache_.hashOf(keys[i]), call.began, news);
      figures_.read(entry != nullptr);
      if (!entry) continue;
      cache_.touch(*entry);
      found[i] = CacheEntryRef(*entry);
    }
  }
  for (CacheEntryRef& entry : found) {
    if (entry && !verify(entry, call, Counted::yes)) entry = {};
  }
  return {std::move(found), call};
}

inline bool StoreState::verify(const CacheEntryRef& entry, StoreCall& call, Counted read) {
  if (entry->intact()) {
    if (read == Counted::yes) figures_.hit();
    return true;
  }
  StoreNews news(signals_);
  const std::lock_guard lock(mutex_);
  if (read == Counted::yes) figures_.foundDamaged();
  errorOf(call);
  if (cache_.find(entry->key(), entry->keyHash) != entry.get()) return false;
  recorder(news)(*entry, EvictionCause::corrupt);
  cache_.remove(*entry);
  followFront();
  return false;
}

inline bool StoreState::has(std::string_view key) {
  requireKey(key);
  const TimePoint now = environment_.now();
  StoreNews news(signals_);
  const std::lock_guard lock(mutex_);
  requireOpen();
  return findLive(key, cache_.hashOf(key), now, news) != nullptr;
}

inline std::optional<EntryInfo> StoreState::info(std::string_view key) {
  requireKey(key);
  const TimePoint now = environment_.now();
  StoreNews news(signals_);
  const std::lock_guard lock(mutex_);
  const CacheEntry* const entry = findLive(key, cache_.hashOf(key), now, news);
  if (!entry) return std::nullopt;
  return infoOf(*entry, now);
}

inline std::vector<std::string> StoreState::keys(std::string_view prefix) const {
  const TimePoint now = environment_.now();
  std::vector<std::string> found;
  {
    const std::lock_guard lock(mutex_);
    cache_.forEachOldestFirst([&](const CacheEntry& entry) {
      if (entry.expiresAt > now && entry.key().starts_with(prefix)) found.emplace_back(entry.key());
    });
  }
  std::sort(found.begin(), found.end());
  return found;
}

inline void StoreState::write(StoreWrite write) {
  StoreCall call{environment_.now()};
  {
    const CacheEntryRef entry = write.entry;  // its key is looked at when others may have evicted it
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    figures_.call(call.began);
    call.measured = figures_.isSample();
    stamp(*entry, endOf(write.ttl, call.began), call.began);
    put(std::move(write.entry), call.began, news);
    loads_.invalidate(entry->key());
  }
  finished(call);
}

inline void StoreState::writeAll(std::vector<CacheEntryRef> entries, Ttl ttl) {
  const std::vector<CacheEntryRef> kept = entries;
  StoreCall call{environment_.now()};
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    figures_.call(call.began);
    call.measured = figures_.isSample();
    for (const CacheEntryRef& entry : kept) stamp(*entry, endOf(ttl, call.began), call.began);
    if (!kept.empty()) putAll(entries, call.began, news);
    for (const CacheEntryRef& entry : kept) loads_.invalidate(entry->key());
  }
  finished(call);
}

inline bool StoreState::writeIfVersion(StoreWrite write, Version expected) {
  const CacheEntryRef entry = write.entry;
  StoreCall call{environment_.now()};
  bool written = false;
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    figures_.call(call.began);
    call.measured = figures_.isSample();
    const CacheEntry* const present = findLive(entry->key(), entry->keyHash, call.began, news);
    written = (present ? present->version : Version{}) == expected;
    if (written) {
      const bool keepsEnd = present && !write.ttl;
      stamp(*entry, keepsEnd ? present->expiresAt : endOf(write.ttl, call.began), call.began);
      put(std::move(write.entry), call.began, news);
      loads_.invalidate(entry->key());
    }
  }
  finished(call);
  return written;
}

inline bool StoreState::writeIfSame(StoreWrite write, const CacheEntryRef& seen) {
  const CacheEntryRef entry = write.entry;
  const TimePoint now = environment_.now();
  StoreNews news(signals_);
  const std::lock_guard lock(mutex_);
  requireOpen();
  const CacheEntry* const present = findLive(entry->key(), entry->keyHash, now, news);
  if (!present || present != seen.get()) return false;
  stamp(*entry, write.ttl ? endOf(write.ttl, now) : present->expiresAt, now);
  put(std::move(write.entry), now, news);
  loads_.invalidate(entry->key());
  return true;
}

inline bool StoreState::erase(std::string_view key) { return eraseEach(std::array{key}) == 1; }
inline std::size_t StoreState::eraseAll(const NameList& keys) { return eraseEach(keys); }

template <class Keys>
std::size_t StoreState::eraseEach(const Keys& keys) {
  for (const auto& key : keys) requireKey(key);
  std::size_t erased = 0;
  StoreCall call{environment_.now()};
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    figures_.call(call.began);
    call.measured = figures_.isSample();
    for (const auto& key : keys) {
      if (CacheEntry* const entry = findLive(key, cache_.hashOf(key), call.began, news)) {
        news.gone(*entry, EvictionCause::removed);
        cache_.remove(*entry);
        ++erased;
      }
      loads_.invalidate(key);
    }
    followFront();
  }
  finished(call);
  return erased;
}

inline void StoreState::finished(const StoreCall& call) {
  if (!call.measured) return;
  const Duration taken = environment_.now() - call.began;
  const std::lock_guard lock(mutex_);
  figures_.time(taken);
}

inline void StoreState::countError(StoreCall& call) {
  const std::lock_guard lock(mutex_);
  errorOf(call);
}

inline void StoreState::countRefusal() {
  const TimePoint now = environment_.now();
  const std::lock_guard lock(mutex_);
  figures_.call(now);
  figures_.error();
}

inline StoreMetrics StoreState::metrics() const {
  const std::lock_guard lock(mutex_);
  StoreMetrics metrics = figures_.metrics();
  metrics.totalSize = cache_.bytes();
  metrics.entryCount = cache_.size();
  return metrics;
}

inline HealthReport StoreState::health() {
  const TimePoint now = environment_.now();
  HealthReport health;
  const std::lock_guard lock(mutex_);
  figures_.report(health, now, cache_.bytes(), options_.maxBytes);
  const std::optional<TimePoint> next = cache_.nextExpiry();
  if (started_ && next && now - std::max(*next, *started_) > 2 * options_.sweepInterval) {
    using Seconds = std::chrono::duration<double>;
    const double late = Seconds(now - std::max(*next, *started_)).count();
    health.report("sweep_overdue",
                  fmt::format("an entry expired {:.1f} s ago and was not yet swept away", late), late,
                  Seconds(2 * options_.sweepInterval).count());
  }
  return health;
}

inline bool StoreState::checkInvariants() const {
  const std::lock_guard lock(mutex_);
  return cache_.checkInvariants();
}

inline bool StoreState::flipValueBit(std::string_view key, std::size_t bit) {
  const std::lock_guard lock(mutex_);
  CacheEntry* const entry = cache_.find(key, cache_.hashOf(key));
  if (!entry || bit / 8 >= entry->value().size()) return false;
  entry->flipValueBit(bit);
  return true;
}

}  // namespace lukhas::detail
