// NaturalCallable: keeps a known compiler defect away from users' callables.
#pragma once

#include <type_traits>

namespace lukhas {

// g++ 12 copies some temporaries bit by bit into the frame of a coroutine that they are passed to. A lambda
// that captures a std::string by value then holds a pointer into the old copy: a corrupt heap. A callable
// that is trivially copyable (one that captures by reference, or nothing) is safe, and so is one that was
// named before the call and is passed as an lvalue.
//
//   auto load = [id = std::string("42")]() -> asio::awaitable<json> { … };   // name it …
//   co_await store.getOrCompute<json>(key, load);                             // … and pass it
//
// `F` is the deduced type of a forwarding reference: an lvalue reference for a named callable.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
template <class F>
inline constexpr bool isNaturalCallable =
    std::is_lvalue_reference_v<F> || std::is_trivially_copyable_v<std::remove_cvref_t<F>>;
#else
template <class F>
inline constexpr bool isNaturalCallable = true;
#endif

#define LUKHAS_CHECK_NATURAL_CALL(F)                                                                      \
  static_assert(                                                                                          \
      ::lukhas::isNaturalCallable<F>,                                                                     \
      "lukhas: this compiler (g++ 12) corrupts temporary callables that own something inside a co_await " \
      "expression; give the callable a name before the call: auto fn = [...]{...}; co_await call(..., fn);")

}  // namespace lukhas
