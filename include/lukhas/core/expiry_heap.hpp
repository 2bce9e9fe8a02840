// ExpiryHeap: what is due next, among many deadlines that move.
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory_resource>
#include <queue>
#include <ranges>
#include <utility>
#include <vector>

#include "lukhas/core/chunked_array.hpp"

namespace lukhas {

// What an element carries so that the heap finds it again: derive from it. It belongs to the object, not to
// its value, so a copy of an element is in no heap.
struct ExpiryHook {
  static constexpr std::uint32_t notInHeap = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t heapSlot = notInHeap;

  ExpiryHook() = default;
  ExpiryHook(const ExpiryHook&) noexcept {}
  ExpiryHook& operator=(const ExpiryHook&) noexcept { return *this; }

  [[nodiscard]] bool inHeap() const noexcept { return heapSlot != notInHeap; }
};

// What a heap keeps of an element: its time, and its place among those with the same time.
template <class Node, class TimePoint>
struct FifoExpiryItem {
  FifoExpiryItem(TimePoint when, std::uint64_t number, Node* element) noexcept
      : time_(when), sequence_(number), node_(element) {}

  [[nodiscard]] TimePoint time() const noexcept { return time_; }
  [[nodiscard]] Node* node() const noexcept { return node_; }
  [[nodiscard]] bool before(const FifoExpiryItem& other) const noexcept {
    return time_ < other.time_ || (time_ == other.time_ && sequence_ < other.sequence_);
  }

 private:
  TimePoint time_;
  std::uint64_t sequence_;
  Node* node_;
};

// An intrusive 8-ary min-heap on time (Johnson: "Priority queues with update and finding minimum spanning
// trees", 1975).
//
//   struct Entry : lukhas::ExpiryHook { std::string key; };
//   lukhas::ExpiryHeap<Entry> heap;
//   heap.push(entry, now + 5min);
//   heap.update(entry, now + 10min);
//   heap.popExpired(now, 1000, [](Entry& entry, auto when) { … });      // at most 1000, earliest first
//   heap.forEachUntil(now + 1min, [](Entry& entry, auto when) { … });  // looks, takes nothing
//
// Elements know their slot, so that one that is refreshed or removed is found in O(1) and moved in O(log n),
// without tombstones. The array holds the times beside the pointers: comparing does not touch the elements.
// Eight children a node, side by side in three or four cache lines, make the heap a third as deep as a binary
// one: each level that an element sinks writes to another one, which with many of them is a wait for memory.
// Other arities and a timer wheel were measured against it: docs/decisions/0009-expiry-heap-arity.md.
//
// Order. By time; elements with the same time in the order in which they were last pushed, updated or built
// in. Where that does not matter, an Item of one's own may do without the sequence and save its memory.
//
// Costs. front: O(1). push, update, erase: O(log n), and none of them ever copies the array: it is a
// ChunkedArray of 24 bytes an element, which grows by a chunk when it is full and gives one back when half of
// what is left would do. build: O(n).
//
// Lifetime. The heap neither owns its elements nor touches them when it is destroyed; an element that is
// destroyed first must be erased before. At most 2^32 - 1 elements. Reads no clock. Not thread-safe: the
// component that owns it guards it.
template <class Node, class TimePoint = std::chrono::steady_clock::time_point, std::size_t arity = 8,
          class Item = FifoExpiryItem<Node, TimePoint>>
class ExpiryHeap {
  static_assert(std::has_single_bit(arity) && arity > 1);  // so that siblings never lie in two chunks

 public:
  // Null: operator new and delete. The resource outlives the heap.
  explicit ExpiryHeap(std::pmr::memory_resource* memory = nullptr) noexcept : items_(memory) {}
  ExpiryHeap(const ExpiryHeap&) = delete;  // an element has one slot, so it can be in one heap only
  ExpiryHeap& operator=(const ExpiryHeap&) = delete;

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // What the array takes of the allocator.
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return items_.memoryBytes(); }
  // What memoryBytes() is when reserve(elements) has been called.
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t elements) const noexcept {
    return items_.memoryBytesFor(placesFor(elements));
  }
  // The most that memoryBytes() can be with so many elements in it, whatever was in it before; with none,
  // after clear().
  [[nodiscard]] static constexpr std::size_t memoryBound(std::size_t elements) noexcept {
    return elements == 0 ? 0 : Items::memoryBound(placesFor(elements * 2));
  }

  // Whether it is in this very heap. O(1).
  [[nodiscard]] bool contains(const Node& node) const noexcept {
    const std::size_t slot = hook(node).heapSlot;
    return slot < size_ && at(slot).node() == &node;
  }

  // The earliest element and its time. Precondition: not empty.
  [[nodiscard]] Node& front() const noexcept {
    assert(!empty());
    return *at(0).node();
  }
  [[nodiscard]] TimePoint frontTime() const noexcept {
    assert(!empty());
    return at(0).time();
  }
  // Precondition: contains(node).
  [[nodiscard]] TimePoint timeOf(const Node& node) const noexcept {
    assert(contains(node));
    return at(hook(node).heapSlot).time();
  }

  // Precondition: the node is in no heap. Without memory it throws std::bad_alloc and changes nothing.
  void push(Node& node, TimePoint time) {
    assert(!hook(node).inHeap());
    assert(size_ < ExpiryHook::notInHeap);
    makeRoom();
    siftUp(size_++, Item(time, ++sequence_, &node));
  }

  // Memory for so many elements in all, or for one more, so that pushing them does not throw. An erase may
  // give it back. Without memory it throws std::bad_alloc.
  void reserve(std::size_t elements) { items_.reserve(placesFor(elements)); }
  void makeRoom() { reserve(size_ + 1); }

  // Precondition: contains(node). The new time may be earlier or later.
  void update(Node& node, TimePoint time) noexcept {
    assert(contains(node));
    restore(hook(node).heapSlot, Item(time, ++sequence_, &node));
  }

  // `fresh`, which is in no heap, takes the place of `old`. Precondition: contains(old).
  void replace(Node& old, Node& fresh, TimePoint time) noexcept {
    assert(contains(old) && !hook(fresh).inHeap());
    const std::size_t slot = std::exchange(hook(old).heapSlot, ExpiryHook::notInHeap);
    restore(slot, Item(time, ++sequence_, &fresh));
  }

  // Precondition: contains(node).
  void erase(Node& node) noexcept {
    assert(contains(node));
    const std::size_t slot = hook(node).heapSlot;
    hook(node).heapSlot = ExpiryHook::notInHeap;
    const Item last = at(--size_);
    if (slot < size_) restore(slot, last);
    items_.shrinkTo(placesFor(size_ * 2));
  }

  // Takes out up to `max` elements whose time is at or before `now`, earliest first, and calls take(node,
  // time) for each, when it is out already: take may push it again, destroy it, or change the heap otherwise.
  // When take throws, the elements before and this one are out. Returns how many were taken.
  template <class Take>
  std::size_t popExpired(TimePoint now, std::size_t max, Take&& take) {
    std::size_t taken = 0;
    while (taken < max && !empty() && at(0).time() <= now) {
      Node& node = *at(0).node();
      const TimePoint time = at(0).time();
      erase(node);
      ++taken;
      take(node, time);
    }
    return taken;
  }

  // Calls visit(node, time) for each element at or before `limit`, earliest first, without sorting the rest:
  // the heap itself bounds the search. O(k log k) time and O(k) memory for k elements found. visit must not
  // change the heap.
  template <class Visit>
  void forEachUntil(TimePoint limit, Visit&& visit) const {
    const auto later = [this](std::size_t a, std::size_t b) { return before(at(b), at(a)); };
    std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> frontier(later);
    if (!empty() && at(0).time() <= limit) frontier.push(0);
    while (!frontier.empty()) {
      const std::size_t slot = frontier.top();
      frontier.pop();
      visit(*at(slot).node(), at(slot).time());
      const std::size_t end = std::min(firstChild(slot) + arity, size_);
      for (std::size_t child = firstChild(slot); child < end; ++child) {
        if (at(child).time() <= limit) frontier.push(child);
      }
    }
  }

  // Loads many elements at once: a range of pairs (pointer to node, time), none of them in a heap yet (Floyd,
  // "Treesort 3", 1964). O(n) for n elements in the heap afterwards, so that it pays when there are many.
  // Without memory it throws std::bad_alloc and changes nothing.
  template <std::ranges::forward_range Range>
  void build(Range&& elements) {
    reserve(size_ + static_cast<std::size_t>(std::ranges::distance(elements)));
    for (const auto& [node, time] : elements) {
      assert(!hook(*node).inHeap());
      place(size_++, Item(time, ++sequence_, node));
    }
    heapify();
  }

  // Calls visit(node) for each element, in no order, even where what is kept in the elements is damaged. It
  // must not change the heap, but may destroy the elements, if forget() follows. O(n).
  template <class Visit>
  void forEach(Visit&& visit) const {
    for (std::size_t slot = 0; slot < size_; ++slot) visit(*at(slot).node());
  }
  // An element by its number, which changes whenever the heap does. Precondition: slot < size().
  [[nodiscard]] Node& nodeAt(std::size_t slot) const noexcept { return *at(slot).node(); }
  // Where the slots that elements keep may be damaged: writes all of them anew, and lets those go for which
  // lost(node) is true. It may destroy these. O(n).
  template <class Lost>
  void restoreSlots(Lost&& lost) noexcept {
    std::size_t kept = 0;
    for (std::size_t slot = 0; slot < size_; ++slot) {
      const Item item = at(slot);
      if (!lost(*item.node())) place(kept++, item);
    }
    size_ = kept;
    heapify();
    items_.shrinkTo(placesFor(size_ * 2));
  }
  // As clear(), but does not touch the elements.
  void forget() noexcept {
    size_ = 0;
    items_.shrinkTo(0);
  }

  // Forgets all elements, for an owner that destroys them anyway.
  void clear() noexcept {
    for (std::size_t slot = 0; slot < size_; ++slot) hook(*at(slot).node()).heapSlot = ExpiryHook::notInHeap;
    forget();
  }

  // True when no element is before its parent and each knows its slot. For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    for (std::size_t slot = 0; slot < size_; ++slot) {
      if (hook(*at(slot).node()).heapSlot != slot) return false;
      if (slot > 0 && before(at(slot), at(parent(slot)))) return false;
    }
    return true;
  }

 private:
  using Items = ChunkedArray<Item>;

  static ExpiryHook& hook(Node& node) noexcept { return node; }
  static const ExpiryHook& hook(const Node& node) noexcept { return node; }
  static std::size_t parent(std::size_t slot) noexcept { return (slot - 1) / arity; }
  static std::size_t firstChild(std::size_t slot) noexcept { return slot * arity + 1; }
  static bool before(const Item& a, const Item& b) noexcept { return a.before(b); }

  // The first places of the array stay empty, so that siblings begin at a multiple of the arity: they lie
  // side by side, in one chunk and in few cache lines. The first chunk stays when the heap empties.
  static constexpr std::size_t unusedPlaces = arity - 1;
  static constexpr std::size_t placesFor(std::size_t elements) noexcept { return elements + unusedPlaces; }
  [[nodiscard]] Item& at(std::size_t slot) const noexcept { return items_[slot + unusedPlaces]; }

  void place(std::size_t slot, const Item& item) noexcept {
    at(slot) = item;
    hook(*item.node()).heapSlot = static_cast<std::uint32_t>(slot);
  }

  // Each puts `item` where it belongs, from the slot on, which nothing else needs any more.
  void restore(std::size_t slot, const Item& item) noexcept {
    if (slot > 0 && before(item, at(parent(slot)))) {
      siftUp(slot, item);
    } else {
      siftDown(slot, item);
    }
  }

  void heapify() noexcept {
    if (size_ < 2) return;
    for (std::size_t slot = parent(size_ - 1) + 1; slot-- > 0;) siftDown(slot, at(slot));
  }

  void siftUp(std::size_t slot, const Item item) noexcept {
    while (slot > 0 && before(item, at(parent(slot)))) {
      place(slot, at(parent(slot)));
      slot = parent(slot);
    }
    place(slot, item);
  }

  void siftDown(std::size_t slot, const Item item) noexcept {
    for (std::size_t first = firstChild(slot); first < size_; first = firstChild(slot)) {
      const Item* const siblings = &at(first);
      const std::size_t count = std::min(arity, size_ - first);
      std::size_t earliest = 0;
      for (std::size_t i = 1; i < count; ++i) {
        if (before(siblings[i], siblings[earliest])) earliest = i;
      }
      if (!before(siblings[earliest], item)) break;
      place(slot, siblings[earliest]);
      slot = first + earliest;
    }
    place(slot, item);
  }

  Items items_;  // the children of slot s are s * arity + 1 and those after it
  std::size_t size_ = 0;
  std::uint64_t sequence_ = 0;  // of the last push, update or build: breaks ties
};

}  // namespace lukhas
