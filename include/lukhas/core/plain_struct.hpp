// PlainStruct: what may be kept as it lies in memory.
#pragma once

#include <array>
#include <coroutine>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <variant>

namespace lukhas {

namespace detail {

// Whether values of T are known to be addresses, or to hold one: bytes that were kept of them would refer to
// what is gone. Of a struct of your own, nobody can tell.
template <class T>
inline constexpr bool holdsAddress = std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                                     std::is_null_pointer_v<T> || std::ranges::borrowed_range<T> ||
                                     (std::input_or_output_iterator<T> && !std::is_arithmetic_v<T>);
template <class T>
inline constexpr bool holdsAddress<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool holdsAddress<std::initializer_list<T>> = true;
template <class Promise>
inline constexpr bool holdsAddress<std::coroutine_handle<Promise>> = true;
template <class T>
inline constexpr bool holdsAddress<std::optional<T>> = holdsAddress<T>;
template <class T, std::size_t size>
inline constexpr bool holdsAddress<std::array<T, size>> = holdsAddress<T>;
template <class A, class B>
inline constexpr bool holdsAddress<std::pair<A, B>> = holdsAddress<A> || holdsAddress<B>;
template <class... T>
inline constexpr bool holdsAddress<std::variant<T...>> = (holdsAddress<T> || ...);

}  // namespace detail

// Trivially copyable, a value (no reference, no built-in array), and nothing that is known to hold an
// address: pointers, iterators, views and borrowed ranges, std::reference_wrapper, and these in an optional,
// array, pair or variant. A struct with a pointer inside passes, and should not be kept.
template <class T>
concept PlainStruct =
    std::is_trivially_copyable_v<T> && std::is_object_v<T> && !std::is_array_v<T> &&
    std::is_copy_constructible_v<T> && std::is_same_v<T, std::remove_cv_t<T>> && !detail::holdsAddress<T>;

}  // namespace lukhas
