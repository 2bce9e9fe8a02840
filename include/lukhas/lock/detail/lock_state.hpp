// LockState: the LockTable with its mutex, its timer and its coroutines. AsyncLock is the front of it.
#pragma once

#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/front_timer.hpp"
#include "lukhas/async/suspension.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/lock/async_lock_options.hpp"
#include "lukhas/lock/deadlock_warning.hpp"
#include "lukhas/lock/detail/lock_failure.hpp"
#include "lukhas/lock/detail/lock_hold.hpp"
#include "lukhas/lock/detail/lock_owner.hpp"
#include "lukhas/lock/detail/lock_table.hpp"
#include "lukhas/lock/detail/wait_graph.hpp"
#include "lukhas/lock/lock_guard.hpp"
#include "lukhas/lock/lock_scope.hpp"

namespace lukhas::detail {

// A coroutine that waits for a lock. What it is granted lies in `granted` until the coroutine takes it: when
// the coroutine is destroyed before it resumes, the guard in here gives the lock back.
struct LockWaiter final : LockRequest, Suspension {
  using LockRequest::LockRequest;

  // What the wait came to. `timeout` is what led to its deadline.
  [[nodiscard]] LockGuard take(Duration timeout) {
    if (circle) throwDeadlock(hold->key(), *circle);
    if (outcome == LockOutcome::timed_out) throwTimeout(*this, timeout);
    if (outcome == LockOutcome::closed) throwClosed(hold->key());
    return std::move(granted);
  }

  std::unique_ptr<const std::vector<WaitStep>> circle;  // that the wait would have closed, if any
  LockGuard granted;
  std::shared_ptr<LockWaiter> self;  // while the table links it
};

// Waiting coroutines hold it, and it holds them, until their outcome is decided; close() decides all that is
// left, so that circle ends with the AsyncLock. Guards hold it, too; what they hold after close() is empty.
// Timers refer to it weakly.
class LockState final : public LockOwner, public std::enable_shared_from_this<LockState> {
 public:
  static std::shared_ptr<LockState> make(Environment environment, const AsyncLockOptions& options) {
    auto state = std::make_shared<LockState>(std::move(environment), options);
    state->timer_.emplace(*state->environment_, std::weak_ptr(state), &LockState::tick);
    return state;
  }
  LockState(Environment environment, const AsyncLockOptions& options)
      : clock_(environment.on(asio::any_io_executor())),
        options_(options),
        table_(options.heldWarning, environment.random()),
        environment_(std::move(environment)) {}

  Signal<DeadlockWarning> onDeadlock;

  // Throws what checkLockKey() does.
  [[nodiscard]] LockHoldPtr makeHold(std::string_view key, LockMode mode, std::string_view label,
                                     const LockScope* scope) const {
    checkLockKey(key);
    return LockHold::make(key, table_.hashOf(key), mode, label.substr(0, maxLockLabelBytes), scope);
  }

  // False: somebody else holds the key. Its key is a valid one.
  bool tryTake(LockHold& hold) {
    const std::lock_guard lock(mutex_);
    if (closed_) throwClosed(hold.key());
    if (table_.take(hold, clock_.coarseNow())) return false;
    watch();
    return true;
  }

  // Takes the first of the holds, as far as they are to be had; how many. Their keys are valid ones.
  std::size_t tryTakeSeveral(std::span<const LockHoldPtr> holds) {
    const std::lock_guard lock(mutex_);
    std::size_t taken = 0;
    try {
      const TimePoint now = clock_.coarseNow();
      while (taken < holds.size() && !closed_ && !table_.take(*holds[taken], now)) ++taken;
    } catch (const std::bad_alloc&) {
      if (taken == 0) throw;  // otherwise it comes again, when those that were taken have their guards
    }
    if (closed_) throwClosed(holds.front()->key());
    watch();
    return taken;
  }

  // Suspends until the outcome is decided. `now` is the beginning of the wait. The state must live until the
  // end of it.
  [[nodiscard]] asio::awaitable<void> suspend(LockWaiter& waiter, TimePoint now, TimePoint deadline) {
    const auto arm = [this, &waiter, now, deadline] { link(waiter, now, deadline); };
    const auto onCancel = [this, &waiter] { return cancel(waiter); };
    return waiter.wait(arm, onCancel);
  }

  // For a request that is not to wait.
  [[noreturn]] void refuseNow(LockHoldPtr hold) {
    LockRequest request(std::move(hold));
    std::vector<WaitStep> circle;
    {
      const std::lock_guard lock(mutex_);
      circle = table_.refuse(request, clock_.now());
    }
    if (!circle.empty()) throwDeadlock(request.hold->key(), circle);
    throwTimeout(request, Duration::zero());
  }

  void release(LockHold& hold) noexcept override {
    change([&](auto& readTime, LockQueue& decided) { return table_.release(hold, readTime, decided); });
  }
  void releaseSeveral(std::span<const LockHoldPtr> holds) noexcept override {
    change([&](auto& readTime, LockQueue& decided) {
      bool any = false;
      for (std::size_t i = holds.size(); i-- > 0;) any |= table_.release(*holds[i], readTime, decided);
      return any;
    });
  }
  bool forceRelease(std::string_view key) noexcept {
    return change(
        [&](auto& readTime, LockQueue& decided) { return table_.forceRelease(key, readTime, decided); });
  }
  bool downgrade(LockHold& hold) noexcept override {
    return change(
        [&](auto& readTime, LockQueue& decided) { return table_.downgrade(hold, readTime, decided); });
  }

  bool isHeld(const LockHold& hold) const noexcept override {
    const std::lock_guard lock(mutex_);
    return hold.held;
  }

  // All waiters get LockErrc::lock_closed; all guards become stale. Nothing of Asio's is kept.
  void close() noexcept {
    LockQueue ended;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      table_.close(ended);
      timer_.reset();
      environment_.reset();
    }
    resumeAll(ended);
  }

  // Calls read(table, now) under the mutex.
  template <class Read>
  auto look(Read&& read) const {
    const std::lock_guard lock(mutex_);
    return read(std::as_const(table_), clock_.now());
  }

  [[nodiscard]] const AsyncLockOptions& options() const noexcept { return options_; }
  [[nodiscard]] TimePoint now() const noexcept { return clock_.now(); }

 private:
  // Bounds the time-outs and the warnings of one tick, before it lets others run. (Those who are granted
  // because of a time-out are all granted at once.)
  static constexpr std::size_t perTick = 256;

  // With the coroutine suspended: takes the lock if it has become free, or waits in line.
  void link(LockWaiter& waiter, TimePoint now, TimePoint deadline) {
    const auto owner = std::static_pointer_cast<LockWaiter>(waiter.shared_from_this());
    std::exception_ptr refused;
    {
      const std::lock_guard lock(mutex_);
      try {
        if (!decide(waiter, now, deadline)) {
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
  bool decide(LockWaiter& waiter, TimePoint now, TimePoint deadline) {
    if (closed_) {
      waiter.outcome = LockOutcome::closed;
      return true;
    }
    LockHold* const leader = table_.take(*waiter.hold, now);
    if (!leader) {
      waiter.outcome = LockOutcome::granted;
      deliver(waiter);
      watch();
      return true;
    }
    if (table_.waiting() >= options_.maxWaiters) throwOverloaded(waiter.hold->key(), options_.maxWaiters);
    std::vector<WaitStep> circle = table_.enqueue(waiter, *leader, now, deadline);
    if (!circle.empty()) {
      waiter.circle = std::make_unique<const std::vector<WaitStep>>(std::move(circle));
      return true;
    }
    watch();
    return false;
  }

  bool cancel(LockWaiter& waiter) noexcept {
    std::shared_ptr<LockWaiter> owner;  // outlives the mutex
    return change([&](auto& readTime, LockQueue& decided) {
      if (!table_.cancel(waiter, readTime, decided)) return false;
      owner = std::move(waiter.self);
      return true;
    });
  }

  // Calls change(readTime, decided) under the mutex; then whoever was granted because of it is resumed.
  template <class Change>
  bool change(Change&& change) noexcept {
    const auto readTime = [this] { return clock_.now(); };
    LockQueue decided;
    {
      const std::lock_guard lock(mutex_);
      if (!change(readTime, decided)) return false;
      deliverAll(decided);
      watch();
    }
    resumeAll(decided);
    return true;
  }

  void deliverAll(const LockQueue& decided) noexcept {
    for (LockRequest* request = decided.first(); request; request = request->next) {
      if (request->outcome == LockOutcome::granted) deliver(static_cast<LockWaiter&>(*request));
    }
  }
  void deliver(LockWaiter& waiter) noexcept {
    waiter.granted = LockGuard(shared_from_this(), std::move(waiter.hold));
  }

  static void tick(LockState& state) {
    const TimePoint now = state.clock_.now();
    state.expire(now);
    try {
      state.report(now);
    } catch (const std::bad_alloc&) {
      // The warning is still to come: it is due, so the alarm below brings the next tick at once.
    }
    const std::lock_guard lock(state.mutex_);
    if (state.closed_) return;
    const TimePoint due = state.table_.nextDue();
    const bool any = due != TimePoint::max();
    state.timer_->settle(now, any ? std::optional(due) : std::nullopt);
    state.watching_ = any ? Watching::armed : Watching::not_at_all;
  }
  void expire(TimePoint now) noexcept {
    LockQueue decided;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      table_.expire(now, perTick, decided);
      deliverAll(decided);
    }
    resumeAll(decided);
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
    const TimePoint due = table_.nextDue();
    const bool any = due != TimePoint::max();
    if (watching_ == Watching::armed) {
      if (any && timer_->rings(due)) return;
      timer_->follow(any ? std::optional(due) : std::nullopt);
    } else if (any) {
      environment_->post([weak = weak_from_this()] {
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

  const Environment clock_;  // only that: without the executor, which guards must not keep
  const AsyncLockOptions options_;
  mutable std::mutex mutex_;  // guards everything below
  LockTable table_;
  std::optional<Environment> environment_;  // until close(), as is the timer
  std::optional<FrontTimer> timer_;
  Watching watching_ = Watching::not_at_all;
  bool closed_ = false;
};

}  // namespace lukhas::detail
