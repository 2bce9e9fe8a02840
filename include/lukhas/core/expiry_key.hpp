// ExpiryKey and ExpiryPlace: when an element of an ExpiryTree is due, and where it lies.
#pragma once

#include <chrono>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lukhas {

// When an element is due; among those of one time, the lower sequence is first.
struct ExpiryKey {
  std::chrono::steady_clock::time_point time;
  std::uint64_t sequence;

  friend constexpr auto operator<=>(const ExpiryKey&, const ExpiryKey&) = default;
};

// Where an element lies in a tree: a member of it, one for each tree that it may be in. It belongs to the
// object, not to its value.
class ExpiryPlace {
 public:
  ExpiryPlace() = default;
  ExpiryPlace(const ExpiryPlace&) noexcept {}
  ExpiryPlace& operator=(const ExpiryPlace&) noexcept { return *this; }
  [[nodiscard]] bool inTree() const noexcept { return leaf_ != none; }

 private:
  template <class, class, std::size_t>
  friend class ExpiryTree;
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t leaf_ = none;
};

// How a tree sees its elements.
template <class Order, class Node>
concept ExpiryOrder = requires(const Order& order, Node& node, const Node& constant) {
  { order.keyOf(constant) }
  noexcept->std::same_as<ExpiryKey>;  // the sequences of all elements differ
  { order.placeOf(node) }
  noexcept->std::same_as<ExpiryPlace&>;
};

}  // namespace lukhas
