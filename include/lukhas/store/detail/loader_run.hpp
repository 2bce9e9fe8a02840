// LoaderRun: a loader, run in a coroutine of its own, and what it gave.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/awaited_value.hpp"
#include "lukhas/store/detail/load_trace.hpp"

namespace lukhas::detail {

// Shared by the coroutine that runs the loader and by who waits for it: either may go first.
template <class Loader, class Value>
struct LoaderRun {
  explicit LoaderRun(Loader given) : loader(std::move(given)) {}

  static asio::awaitable<void> run(std::shared_ptr<LoaderRun> self, std::shared_ptr<const LoadTrace> trace) {
    const LoadTrace::Run running(std::move(trace));
    if constexpr (AwaitedValue<std::invoke_result_t<Loader&>>::isAwaitable) {
      self->value.emplace(co_await self->loader());
    } else {
      self->value.emplace(self->loader());
      co_return;
    }
  }

  Loader loader;
  std::optional<Value> value;
};

}  // namespace lukhas::detail
