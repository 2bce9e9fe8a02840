// LockCall: the coroutines behind AsyncLock's calls.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/awaited_value.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/lock/async_lock_options.hpp"
#include "lukhas/lock/detail/lock_failure.hpp"
#include "lukhas/lock/detail/lock_hold.hpp"
#include "lukhas/lock/detail/lock_state.hpp"
#include "lukhas/lock/lock_guard.hpp"

namespace lukhas::detail {

// clang-format off
template <class F>
concept LockedFunction = std::invocable<std::decay_t<F>&> && std::constructible_from<std::decay_t<F>, F>;
// clang-format on

// What a function gives in the end, be it a coroutine or not.
template <class F>
using LockedResult = typename AwaitedValue<std::invoke_result_t<std::decay_t<F>&>>::Type;

// What AcquireOptions say, without what the call has copied already.
[[nodiscard]] inline Duration checkedTimeout(const std::optional<Duration>& asked,
                                             const AsyncLockOptions& defaults) {
  using namespace std::chrono_literals;
  if (!asked) return defaults.timeout;
  requireOption("AsyncLock::acquire", "timeout", *asked, 0s, 24h);
  return *asked;
}

// Static functions with the state as a parameter: a coroutine may begin, and go on, after its AsyncLock is
// gone. The hold was made by the call, so that what the call was given need not live as long as the
// coroutine.
struct LockCall {
  static asio::awaitable<LockGuard> acquire(std::shared_ptr<LockState> state, LockHoldPtr hold,
                                            std::optional<Duration> asked) {
    const Duration timeout = checkedTimeout(asked, state->options());
    if (state->tryTake(*hold)) co_return LockGuard(std::move(state), std::move(hold));
    if (timeout == Duration::zero()) state->refuseNow(std::move(hold));
    const auto waiter = std::make_shared<LockWaiter>(std::move(hold));
    const TimePoint now = state->now();
    co_await state->suspend(*waiter, now, Environment::saturatingAdd(now, timeout));
    co_return waiter->take(timeout);
  }

  static asio::awaitable<MultiLockGuard> acquireAll(std::shared_ptr<LockState> state,
                                                    std::vector<LockHoldPtr> holds,
                                                    std::optional<Duration> asked) {
    const Duration timeout = checkedTimeout(asked, state->options());
    const TimePoint deadline = Environment::saturatingAdd(state->now(), timeout);
    // Gives back what it has when one of the keys is not to be had.
    MultiLockGuard guard = MultiGuardBuilder::make(state, holds.size());
    while (guard.size() < holds.size()) {
      const std::span<LockHoldPtr> left = std::span(holds).subspan(guard.size());
      const std::size_t taken = state->tryTakeSeveral(left);
      for (LockHoldPtr& hold : left.first(taken)) MultiGuardBuilder::add(guard, std::move(hold));
      if (taken == left.size()) break;
      if (timeout == Duration::zero()) state->refuseNow(std::move(left[taken]));
      const auto waiter = std::make_shared<LockWaiter>(std::move(left[taken]));
      co_await state->suspend(*waiter, state->now(), deadline);
      MultiGuardBuilder::add(guard, waiter->take(timeout));
    }
    co_return guard;
  }

  // One hold for each key, in sorted order.
  [[nodiscard]] static std::vector<LockHoldPtr> makeHolds(const LockState& state, NameList list,
                                                          const AcquireOptions& options) {
    std::vector<std::string> keys = std::move(list).names();
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    std::vector<LockHoldPtr> holds;
    holds.reserve(keys.size());
    for (const std::string& key : keys) {
      holds.push_back(state.makeHold(key, LockMode::exclusive, options.label, options.scope));
    }
    return holds;
  }

  // The function is kept here: a coroutine lambda's captures must outlive it.
  template <class Guard, class Function>
  static auto runHolding(asio::awaitable<Guard> acquiring, Function function)
      -> asio::awaitable<LockedResult<Function>> {
    const Guard guard = co_await std::move(acquiring);
    if constexpr (AwaitedValue<std::invoke_result_t<Function&>>::isAwaitable) {
      co_return co_await function();
    } else {
      co_return function();
    }
  }
};

}  // namespace lukhas::detail
