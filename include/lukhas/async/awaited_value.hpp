// AwaitedValue: what a function gives in the end, be it a coroutine or not.
#pragma once

#include <type_traits>

#include <asio/awaitable.hpp>

namespace lukhas {

template <class T>
struct AwaitedValue {
  static constexpr bool isAwaitable = false;
  using Type = std::remove_cvref_t<T>;
};
template <class T, class Executor>
struct AwaitedValue<asio::awaitable<T, Executor>> {
  static constexpr bool isAwaitable = true;
  using Type = T;
};

}  // namespace lukhas
