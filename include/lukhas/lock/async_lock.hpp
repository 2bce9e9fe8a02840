// AsyncLock: locks by key for coroutines: first come, first served, every wait bounded.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/core/natural_call.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/lock/async_lock_options.hpp"
#include "lukhas/lock/deadlock_warning.hpp"
#include "lukhas/lock/detail/lock_call.hpp"
#include "lukhas/lock/detail/lock_health.hpp"
#include "lukhas/lock/detail/lock_state.hpp"
#include "lukhas/lock/fencing_token.hpp"
#include "lukhas/lock/lock_error.hpp"
#include "lukhas/lock/lock_guard.hpp"
#include "lukhas/lock/lock_holder.hpp"
#include "lukhas/lock/lock_scope.hpp"

namespace lukhas {

// A mutex for each key, for coroutines. A coroutine that waits blocks no thread.
//
//   lukhas::AsyncLock locks{environment};
//
//   lukhas::AsyncLock::Guard guard = co_await locks.acquire("session:42");      // until the end of the scope
//   int size = co_await locks.acquire("session:42", [&] { return change(); });  // while the function runs
//   auto reading = co_await locks.acquireShared("page");                        // beside other readers
//   auto both = co_await locks.acquireMultiple({"account:a", "account:b"});     // all or none
//   if (auto now = locks.tryAcquire("session:42")) …                            // never waits
//
// Guarantees. A key has at most one exclusive holder, or any number of shared ones. Each grant has a
// FencingToken greater than all before it. A lock is not recursive: who asks again for a key that it holds
// waits for itself, until the time-out; with a LockScope it is told so at once.
//
// Order. First come, first served for each key, in any mix of modes: a released lock passes to the first
// waiter directly, and nobody takes it in between. Shared requests that stand next to each other are granted
// together; one that comes after a waiting exclusive request waits behind it. acquireMultiple() takes its
// keys one after the other in sorted order, so that calls of it never wait for each other in a circle.
//
// Where the caller resumes. On its own executor; by a post when it had to wait, without suspending when the
// key was free. release() never runs another coroutine inside itself.
//
// Time-out and cancellation. A wait ends with LockErrc::timeout exactly when its time is over, or with
// asio::error::operation_aborted when the caller is cancelled through Asio's per-operation cancellation;
// nothing is left behind. When a grant and one of these race, one of them wins: a lock that was granted is
// delivered, and a coroutine that is destroyed before it takes the delivery gives it back.
//
// Deadlocks. A request of a LockScope that would close a circle of tasks waiting for each other is refused at
// once. Without scopes each wait is bounded, so a circle dissolves by itself; a lock held longer than
// heldWarning is reported by onDeadlock, once for each hold, and by healthCheck() as long as it lasts.
//
// Lifetime. Destroying the AsyncLock completes all waiters with LockErrc::lock_closed and makes all guards
// stale; guards may outlive it. Destroy it before its io_context. A free key costs no memory.
//
// Any thread may call. A timer keeps io_context::run() from returning while somebody waits, and while a hold
// is still to be reported: not once its warning was given, nor ever with a heldWarning of zero.
//
// Costs. O(1), and O(log n) to wait among n waiters of all keys; a wait of a scope that others may be waiting
// for, O(k) for the k requests and holds that it waits for in the end.
class AsyncLock {
 public:
  using Options = AsyncLockOptions;
  using Guard = LockGuard;
  using MultiGuard = MultiLockGuard;

  static constexpr std::size_t maxKeyBytes = detail::maxLockKeyBytes;

  // Throws Errc::invalid_option.
  explicit AsyncLock(Environment environment, AsyncLockOptions options = {})
      : AsyncLock((options.check(), detail::LockState::make(std::move(environment), options))) {}
  AsyncLock(const AsyncLock&) = delete;
  AsyncLock& operator=(const AsyncLock&) = delete;
  ~AsyncLock() { state_->close(); }

  // Waits until the key is free and nobody who came earlier waits for it. The key is checked in the call
  // itself, everything else when it is awaited.
  //
  // Throws LockErrc::timeout, deadlock_detected, lock_closed, empty_key, key_too_long or overloaded;
  // Errc::invalid_option for a time-out out of its range; operation_aborted when the caller is cancelled.
  [[nodiscard]] asio::awaitable<Guard> acquire(std::string_view key, AcquireOptions options = {}) {
    return acquireAs(LockMode::exclusive, key, options);
  }
  // The same, holding the lock just while `function` runs. It takes no argument and is an ordinary function
  // or a coroutine; its result, or what it throws, is the result of this call.
  template <detail::LockedFunction Function>
  [[nodiscard]] auto acquire(std::string_view key, AcquireOptions options, Function&& function)
      -> asio::awaitable<detail::LockedResult<Function>> {
    LUKHAS_CHECK_NATURAL_CALL(Function);
    return detail::LockCall::runHolding(acquire(key, options), std::forward<Function>(function));
  }
  template <detail::LockedFunction Function>
  [[nodiscard]] auto acquire(std::string_view key, Function&& function)
      -> asio::awaitable<detail::LockedResult<Function>> {
    return acquire(key, AcquireOptions{}, std::forward<Function>(function));
  }

  // Waits until no exclusive holder has the key, and no exclusive request that came earlier waits for it.
  // Throws as acquire() does.
  [[nodiscard]] asio::awaitable<Guard> acquireShared(std::string_view key, AcquireOptions options = {}) {
    return acquireAs(LockMode::shared, key, options);
  }
  template <detail::LockedFunction Function>
  [[nodiscard]] auto acquireShared(std::string_view key, AcquireOptions options, Function&& function)
      -> asio::awaitable<detail::LockedResult<Function>> {
    LUKHAS_CHECK_NATURAL_CALL(Function);
    return detail::LockCall::runHolding(acquireShared(key, options), std::forward<Function>(function));
  }
  template <detail::LockedFunction Function>
  [[nodiscard]] auto acquireShared(std::string_view key, Function&& function)
      -> asio::awaitable<detail::LockedResult<Function>> {
    return acquireShared(key, AcquireOptions{}, std::forward<Function>(function));
  }

  // All of the keys, each once, in sorted order; or none of them. The time-out is that of the whole call.
  // While it waits for one key it holds those before it. No keys: granted at once.
  //
  // Throws as acquire() does, before it takes any lock if one of the keys is not allowed.
  [[nodiscard]] asio::awaitable<MultiGuard> acquireMultiple(NameList keys, AcquireOptions options = {}) {
    std::vector<detail::LockHoldPtr> holds = detail::LockCall::makeHolds(*state_, std::move(keys), options);
    return detail::LockCall::acquireAll(state_, std::move(holds), options.timeout);
  }
  template <detail::LockedFunction Function>
  [[nodiscard]] auto acquireMultiple(NameList keys, AcquireOptions options, Function&& function)
      -> asio::awaitable<detail::LockedResult<Function>> {
    LUKHAS_CHECK_NATURAL_CALL(Function);
    return detail::LockCall::runHolding(acquireMultiple(std::move(keys), options),
                                        std::forward<Function>(function));
  }
  template <detail::LockedFunction Function>
  [[nodiscard]] auto acquireMultiple(NameList keys, Function&& function)
      -> asio::awaitable<detail::LockedResult<Function>> {
    return acquireMultiple(std::move(keys), AcquireOptions{}, std::forward<Function>(function));
  }

  // The lock, or nullopt when it could only be had by waiting: nobody is overtaken. Throws
  // LockErrc::empty_key or key_too_long.
  [[nodiscard]] std::optional<Guard> tryAcquire(std::string_view key, TryAcquireOptions options = {}) {
    return tryAcquireAs(LockMode::exclusive, key, options);
  }
  [[nodiscard]] std::optional<Guard> tryAcquireShared(std::string_view key, TryAcquireOptions options = {}) {
    return tryAcquireAs(LockMode::shared, key, options);
  }

  // For emergencies: takes the lock away from all who hold it and hands it to the first waiter, if there is
  // one. The old guards are stale then. The old holders are not stopped: what they still do to the thing that
  // the lock protects is only kept out by the FencingToken. False when the key was free.
  bool forceRelease(std::string_view key) noexcept { return state_->forceRelease(key); }

  // How many requests wait for the key now.
  [[nodiscard]] std::size_t waiters(std::string_view key) const {
    return state_->look([key](const detail::LockTable& table, TimePoint) { return table.waiters(key); });
  }
  // Who holds the key now, the longest first; empty when it is free. O(k) for k holders.
  [[nodiscard]] std::vector<LockHolder> holders(std::string_view key) const {
    return state_->look(
        [key](const detail::LockTable& table, TimePoint now) { return table.holders(key, now); });
  }

  // Emitted on the environment's executor: see DeadlockWarning.
  Signal<DeadlockWarning>& onDeadlock;

  [[nodiscard]] LockMetrics getMetrics() const {
    return state_->look([](const detail::LockTable& table, TimePoint) { return table.metrics(); });
  }

  // "high_timeout_rate": of the last minute's requests, see AsyncLockOptions::maxTimeoutPercent.
  // "held_too_long": at least one lock is held longer than heldWarning.
  [[nodiscard]] HealthReport healthCheck() const {
    return state_->look([this](const detail::LockTable& table, TimePoint now) {
      return detail::checkLockHealth(table, state_->options(), now);
    });
  }

  // Whether the internal structure is consistent. For tests: O(n).
  [[nodiscard]] bool checkInvariants() const {
    return state_->look([](const detail::LockTable& table, TimePoint) { return table.checkInvariants(); });
  }

 private:
  [[nodiscard]] asio::awaitable<Guard> acquireAs(LockMode mode, std::string_view key,
                                                 const AcquireOptions& options) {
    return detail::LockCall::acquire(state_, state_->makeHold(key, mode, options.label, options.scope),
                                     options.timeout);
  }
  [[nodiscard]] std::optional<Guard> tryAcquireAs(LockMode mode, std::string_view key,
                                                  const TryAcquireOptions& options) {
    detail::LockHoldPtr hold = state_->makeHold(key, mode, options.label, options.scope);
    if (!state_->tryTake(*hold)) return std::nullopt;
    return std::optional<Guard>(std::in_place, state_, std::move(hold));
  }

  explicit AsyncLock(std::shared_ptr<detail::LockState> state)
      : onDeadlock(state->onDeadlock), state_(std::move(state)) {}

  std::shared_ptr<detail::LockState> state_;
};

}  // namespace lukhas
