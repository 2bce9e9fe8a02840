// LockCall: the coroutines behind AsyncLock's calls.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <memory>
#include <optional>
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
#include "lukhas/lock/detail/lock_state.hpp"
#include "lukhas/lock/lock_guard.hpp"

namespace lukhas::detail {

// AcquireOptions with the holder's name copied, so that the call may begin later than it is written.
struct LockTerms {
  explicit LockTerms(const AcquireOptions& options) : timeout(options.timeout), holder(options.holder) {}

  [[nodiscard]] Duration checkedTimeout(const AsyncLockOptions& defaults) const {
    using namespace std::chrono_literals;
    if (!timeout) return defaults.timeout;
    requireOption("AsyncLock::acquire", "timeout", *timeout, 0s, 24h);
    return *timeout;
  }

  std::optional<Duration> timeout;
  std::string holder;
};

// clang-format off
template <class F>
concept LockedFunction = std::invocable<std::decay_t<F>&> && std::constructible_from<std::decay_t<F>, F>;
// clang-format on

// What a function gives in the end, be it a coroutine or not.
template <class F>
using LockedResult = typename AwaitedValue<std::invoke_result_t<std::decay_t<F>&>>::Type;

// Static functions with the state as a parameter: a coroutine may begin, and go on, after its AsyncLock is
// gone.
struct LockCall {
  static asio::awaitable<LockGuard> acquire(std::shared_ptr<LockState> state, std::string key,
                                            LockTerms terms) {
    checkLockKey(key);
    const Duration timeout = terms.checkedTimeout(state->options());
    if (std::optional<LockGuard> free = state->tryTake(key, terms.holder)) co_return std::move(*free);
    const TimePoint deadline = state->deadlineAfter(timeout);
    co_return co_await LockState::waitFor(std::move(state), std::move(key), std::move(terms.holder), timeout,
                                          deadline);
  }

  static asio::awaitable<MultiLockGuard> acquireAll(std::shared_ptr<LockState> state, NameList list,
                                                    LockTerms terms) {
    std::vector<std::string> keys = std::move(list).names();
    for (const std::string& key : keys) checkLockKey(key);
    std::sort(keys.begin(), keys.end());
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());

    const Duration timeout = terms.checkedTimeout(state->options());
    const TimePoint deadline = state->deadlineAfter(timeout);
    std::vector<LockGuard> guards;  // given back when one of the keys is not to be had
    guards.reserve(keys.size());
    for (const std::string& key : keys) {
      std::optional<LockGuard> guard = state->tryTake(key, terms.holder);
      if (!guard) guard = co_await LockState::waitFor(state, key, terms.holder, timeout, deadline);
      guards.push_back(std::move(*guard));
    }
    co_return MultiLockGuard(std::move(guards));
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
