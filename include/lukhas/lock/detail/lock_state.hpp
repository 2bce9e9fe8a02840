// LockState: the LockTable with its mutex, its timer and its coroutines. AsyncLock is the front of it.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/front_timer.hpp"
#include "lukhas/async/suspension.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/lock/async_lock_options.hpp"
#include "lukhas/lock/deadlock_warning.hpp"
#include "lukhas/lock/detail/lock_failure.hpp"
#include "lukhas/lock/detail/lock_owner.hpp"
#include "lukhas/lock/detail/lock_table.hpp"
#include "lukhas/lock/lock_guard.hpp"

namespace lukhas::detail {

// A coroutine that waits for a lock. What it is granted lies in `granted` until the coroutine takes it: when
// the coroutine is destroyed before it resumes, the guard in here gives the lock back.
struct LockWaiter final : LockRequest, Suspension {
  using LockRequest::LockRequest;

  LockGuard granted;
  std::shared_ptr<LockWaiter> self;  // while the table links it
};

// Waiting coroutines hold it, and it holds them, until their outcome is decided; close() decides all that is
// left, so that circle ends with the AsyncLock. Guards and timers only refer to it weakly.
class LockState final : public LockOwner, public std::enable_shared_from_this<LockState> {
 public:
  static std::shared_ptr<LockState> make(Environment environment, const AsyncLockOptions& options) {
    auto state = std::make_shared<LockState>(std::move(environment), options);
    state->timer_.emplace(state->environment_, std::weak_ptr(state), &LockState::tick);
    return state;
  }
  LockState(Environment environment, const AsyncLockOptions& options)
      : environment_(std::move(environment)),
        options_(options),
        table_(options.heldWarning, environment_.random()) {}

  Signal<DeadlockWarning> onDeadlock;

  // nullopt: somebody else holds the key. `key` is a valid one.
  std::optional<LockGuard> tryTake(const std::string& key, std::string_view holder) {
    std::string ownKey = key;
    const std::lock_guard lock(mutex_);
    if (closed_) throwClosed(key);
    const FencingToken token = table_.take(key, holder, environment_.now());
    if (token == FencingToken()) return std::nullopt;
    watch();
    return std::optional<LockGuard>(std::in_place, weak_from_this(), std::move(ownKey), token);
  }

  // Waits until the deadline, which `timeout` led to. The key was not free a moment ago.
  static asio::awaitable<LockGuard> waitFor(std::shared_ptr<LockState> state, std::string key,
                                            std::string holder, Duration timeout, TimePoint deadline) {
    if (timeout == Duration::zero()) state->refuseNow(key);
    const auto waiter = std::make_shared<LockWaiter>(std::move(key), std::move(holder));
    LockState* const locks = state.get();
    LockWaiter* const waiting = waiter.get();
    const auto arm = [locks, waiting, deadline] { locks->link(*waiting, deadline); };
    const auto onCancel = [locks, waiting] { return locks->cancel(*waiting); };
    co_await waiter->wait(arm, onCancel);
    if (waiter->outcome == LockOutcome::timed_out) throwTimeout(*waiter, timeout);
    if (waiter->outcome == LockOutcome::closed) throwClosed(waiter->key);
    co_return std::move(waiter->granted);
  }

  void release(const std::string& key, FencingToken token) noexcept override { (void)end(key, token); }
  bool forceRelease(std::string_view key) noexcept { return end(key, std::nullopt); }

  bool isHeldWith(const std::string& key, FencingToken token) const noexcept override {
    const std::lock_guard lock(mutex_);
    const LockEntry* const entry = table_.find(key);
    return entry && entry->token == token;
  }

  // All waiters get LockErrc::closed; all guards become stale. Nothing of Asio's is kept.
  void close() noexcept {
    LockQueue ended;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      table_.close(ended);
      timer_.reset();
    }
    resumeAll(ended);
  }

  // Calls read(table, now) under the mutex.
  template <class Read>
  auto look(Read&& read) const {
    const std::lock_guard lock(mutex_);
    return read(std::as_const(table_), environment_.now());
  }

  [[nodiscard]] const AsyncLockOptions& options() const noexcept { return options_; }
  [[nodiscard]] TimePoint deadlineAfter(Duration timeout) const noexcept {
    return environment_.after(timeout);
  }

 private:
  // Bounds what one tick does before it lets others run.
  static constexpr std::size_t perTick = 256;

  // With the coroutine suspended: takes the lock if it has become free, or waits in line.
  void link(LockWaiter& waiter, TimePoint deadline) {
    const auto owner = std::static_pointer_cast<LockWaiter>(waiter.shared_from_this());
    std::exception_ptr refused;
    {
      const std::lock_guard lock(mutex_);
      try {
        if (!decide(waiter, deadline)) {
          waiter.self = owner;
          return;
        }
      } catch (...) {
        refused = std::current_exception();
      }
    }
    refused ? waiter.fail(std::move(refused)) : waiter.resume();
  }

  // With the mutex held. False: the waiter is in line.
  bool decide(LockWaiter& waiter, TimePoint deadline) {
    if (closed_) {
      waiter.outcome = LockOutcome::closed;
      return true;
    }
    const TimePoint now = environment_.now();
    const FencingToken token = table_.take(waiter.key, waiter.holder, now);
    if (token != FencingToken()) {
      waiter.outcome = LockOutcome::granted;
      waiter.token = token;
      waiter.granted = LockGuard(weak_from_this(), std::move(waiter.key), token);
    } else {
      if (table_.waiting() >= options_.maxWaiters) throwOverloaded(waiter.key, options_.maxWaiters);
      table_.enqueue(waiter, now, deadline);
    }
    watch();
    return token != FencingToken();
  }

  bool cancel(LockWaiter& waiter) noexcept {
    std::shared_ptr<LockWaiter> owner;  // outlives the mutex
    const std::lock_guard lock(mutex_);
    if (!table_.cancel(waiter)) return false;
    owner = std::move(waiter.self);
    watch();
    return true;
  }

  bool end(std::string_view key, std::optional<FencingToken> token) noexcept {
    std::shared_ptr<LockWaiter> next;
    {
      const std::lock_guard lock(mutex_);
      const LockTable::Release ended = table_.release(key, token, [this] { return environment_.now(); });
      if (!ended.wasHeld) return false;
      if (ended.next) {
        next = ownerOf(*ended.next);
        next->granted = LockGuard(weak_from_this(), std::move(next->key), next->token);
      }
      watch();
    }
    if (next) next->resume();
    return true;
  }

  [[noreturn]] void refuseNow(const std::string& key) {
    LockRequest request(key, {});
    {
      const std::lock_guard lock(mutex_);
      const TimePoint now = environment_.now();
      table_.recordTimeout(now);
      if (const LockEntry* const entry = table_.find(key)) {
        request.blockedBy = entry->holder;
        request.blockerHeld = now - entry->since;
        request.otherWaiters = entry->waiters.size();
      }
    }
    throwTimeout(request, Duration::zero());
  }

  static void tick(LockState& state) {
    const TimePoint now = state.environment_.now();
    state.expire(now);
    try {
      state.report(now);
    } catch (const std::bad_alloc&) {
      // The warning is still to come: it is due, so the alarm below brings the next tick at once.
    }
    const std::lock_guard lock(state.mutex_);
    if (state.closed_) return;
    const std::optional<TimePoint> due = state.table_.nextDue();
    state.timer_->settle(now, due);
    state.watching_ = due ? Watching::armed : Watching::not_at_all;
  }
  void expire(TimePoint now) noexcept {
    LockQueue expired;
    {
      const std::lock_guard lock(mutex_);
      if (!closed_) table_.expire(now, perTick, expired);
    }
    resumeAll(expired);
  }
  void report(TimePoint now) {
    for (std::size_t i = 0; i < perTick; ++i) {
      std::optional<DeadlockWarning> warning;
      {
        const std::lock_guard lock(mutex_);
        if (!closed_) warning = table_.nextWarning(now);
      }
      if (!warning) return;
      onDeadlock.emit(*warning);
    }
  }

  // With the mutex held, after each change. The first deadline does not arm the timer but posts a tick, which
  // does so if the deadline is still there: a lock that is taken and given back within one step of a
  // coroutine costs no timer operation, and all such within one step share one post. Without memory the next
  // change tries again: an alarm may then be late, but the lock itself is as it should be.
  void watch() noexcept try {
    if (watching_ == Watching::tick_posted) return;
    const std::optional<TimePoint> due = table_.nextDue();
    if (watching_ == Watching::armed) {
      timer_->follow(due);
    } else if (due) {
      environment_.post([weak = weak_from_this()] {
        if (const std::shared_ptr<LockState> alive = weak.lock()) tick(*alive);
      });
      watching_ = Watching::tick_posted;
    }
  } catch (const std::bad_alloc&) {
  }

  static std::shared_ptr<LockWaiter> ownerOf(LockRequest& request) noexcept {
    return std::move(static_cast<LockWaiter&>(request).self);
  }
  static void resumeAll(LockQueue& decided) noexcept {
    while (!decided.empty()) ownerOf(decided.popFront())->resume();
  }

  enum class Watching { not_at_all, tick_posted, armed };

  const Environment environment_;
  const AsyncLockOptions options_;
  mutable std::mutex mutex_;  // guards everything below
  LockTable table_;
  std::optional<FrontTimer> timer_;  // until close()
  Watching watching_ = Watching::not_at_all;
  bool closed_ = false;
};

}  // namespace lukhas::detail
