// StoreState: the active sweep of what expired.
#pragma once

#include <new>

#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

inline void StoreState::start() {
  const TimePoint now = environment_.now();
  for (const std::unique_ptr<StoreShard>& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    if (shard->started) continue;
    shard->started = now;
    followFront(*shard);
    followScrub(*shard, now);
  }
}

inline void StoreState::stop() {
  for (const std::unique_ptr<StoreShard>& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    shard->started.reset();
    shard->cancelTimers();
  }
}

// The alarm is set for the sweep that will find something, not for each one: a store whose entries live for
// an hour sleeps for an hour, and an empty store has no alarm.
inline void StoreState::followFront(StoreShard& shard) const noexcept {
  if (!shard.started || shard.sweeping || shard.closed) return;
  const std::optional<TimePoint> next = shard.cache.nextExpiry();
  shard.timer->follow(next ? std::optional(sweepTimeFor(shard, *next)) : std::nullopt);
}

// The first multiple of the interval after start() at which an entry with that end has expired.
inline TimePoint StoreState::sweepTimeFor(const StoreShard& shard, TimePoint expiry) const noexcept {
  const Duration interval = options_.sweepInterval;
  if (expiry <= *shard.started) return Environment::saturatingAdd(*shard.started, interval);
  const Duration beyond = (expiry - *shard.started) % interval;
  return beyond == Duration::zero() ? expiry : Environment::saturatingAdd(expiry, interval - beyond);
}

inline void StoreShard::onAlarm(StoreShard& shard) { shard.owner->onAlarm(shard); }

inline void StoreState::onAlarm(StoreShard& shard) {
  const TimePoint now = environment_.now();
  {
    const std::lock_guard lock(shard.mutex);
    shard.timer->settle(now, std::nullopt);
    if (!shard.started || shard.sweeping || shard.closed) return;
    shard.sweeping = true;
    shard.sweepUntil = now;
  }
  sweepSlice(shard);
}

inline void StoreState::sweepSlice(StoreShard& shard) {
  StoreNews news = makeNews();
  const std::lock_guard lock(shard.mutex);
  if (shard.closed) return;
  bool more = false;
  if (shard.started) {
    shard.swept += shard.cache.removeExpired(shard.sweepUntil, options_.sweepSlice, recorder(shard, news));
    const std::optional<TimePoint> next = shard.cache.nextExpiry();
    more = next && *next <= shard.sweepUntil;
  }
  if (more) {
    try {
      environment_.post([weak = weak_from_this(), &shard] {
        if (const std::shared_ptr<StoreState> state = weak.lock()) state->sweepSlice(shard);
      });
    } catch (const std::bad_alloc&) {  // the rest is a sweep of its own, whose time has come already
      shard.sweeping = false;
      followFront(shard);
    }
    return;
  }
  shard.sweeping = false;
  news.swept(std::exchange(shard.swept, 0));
  followFront(shard);
}

inline void StoreState::close() noexcept {
  LoadWaiters waiters;
  for (const std::unique_ptr<StoreShard>& shard : shards_) {
    const std::lock_guard lock(shard->mutex);
    shard->closed = true;
    shard->started.reset();
    shard->cancelTimers();
    shard->cache.clear();
    waiters.splice(waiters.end(), shard->loads.closeAll());
  }
  for (const std::shared_ptr<LoadWaiter>& waiter : waiters) waiter->resume();
}

}  // namespace lukhas::detail
