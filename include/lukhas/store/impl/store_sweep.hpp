// StoreState: the active sweep of what expired.
#pragma once

#include <new>

#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

inline void StoreState::start() {
  const TimePoint now = environment_.now();
  const std::lock_guard lock(mutex_);
  if (started_) return;
  started_ = now;
  followFront();
}

inline void StoreState::stop() {
  const std::lock_guard lock(mutex_);
  started_.reset();
  timer_->cancel();
}

// The alarm is set for the sweep that will find something, not for each one: a store whose entries live for
// an hour sleeps for an hour, and an empty store has no alarm.
inline void StoreState::followFront() noexcept {
  if (!started_ || sweeping_ || closed_) return;
  const std::optional<TimePoint> next = cache_.nextExpiry();
  timer_->follow(next ? std::optional(sweepTimeFor(*next)) : std::nullopt);
}

// The first multiple of the interval after start() at which an entry with that end has expired.
inline TimePoint StoreState::sweepTimeFor(TimePoint expiry) const noexcept {
  const Duration interval = options_.sweepInterval;
  if (expiry <= *started_) return Environment::saturatingAdd(*started_, interval);
  const Duration beyond = (expiry - *started_) % interval;
  return beyond == Duration::zero() ? expiry : Environment::saturatingAdd(expiry, interval - beyond);
}

inline void StoreState::onAlarm(StoreState& state) {
  const TimePoint now = state.environment_.now();
  {
    const std::lock_guard lock(state.mutex_);
    state.timer_->settle(now, std::nullopt);
    if (!state.started_ || state.sweeping_ || state.closed_) return;
    state.sweeping_ = true;
    state.sweepUntil_ = now;
  }
  state.sweepSlice();
}

inline void StoreState::sweepSlice() {
  StoreNews news(signals_);
  const std::lock_guard lock(mutex_);
  if (closed_) return;
  bool more = false;
  if (started_) {
    swept_ += cache_.removeExpired(sweepUntil_, options_.sweepSlice, recorder(news));
    const std::optional<TimePoint> next = cache_.nextExpiry();
    more = next && *next <= sweepUntil_;
  }
  if (more) {
    try {
      environment_.post([weak = weak_from_this()] {
        if (const std::shared_ptr<StoreState> state = weak.lock()) state->sweepSlice();
      });
    } catch (const std::bad_alloc&) {  // the rest is a sweep of its own, whose time has come already
      sweeping_ = false;
      followFront();
    }
    return;
  }
  sweeping_ = false;
  news.swept(std::exchange(swept_, 0));
  followFront();
}

inline void StoreState::close() noexcept {
  LoadWaiters waiters;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    started_.reset();
    timer_->cancel();
    cache_.clear();
    waiters = loads_.closeAll();
  }
  for (const std::shared_ptr<LoadWaiter>& waiter : waiters) waiter->resume();
}

}  // namespace lukhas::detail
