// ExpiryHeap: what is due next, among many deadlines that move.
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <queue>
#include <ranges>
#include <vector>

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

// An intrusive 4-ary min-heap on time (Johnson: "Priority queues with update and finding minimum spanning
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
// Four children a node make the heap half as deep as a binary one, and their 96 bytes share two cache lines
// or three.
//
// Order. By time; elements with the same time in the order in which they were last pushed, updated or built
// in.
//
// Costs. front: O(1). push, update, erase: O(log n), and now and then a copy of the array of 24 bytes an
// element: it doubles when it is full and halves when three quarters of it are empty. build: O(n).
//
// Lifetime. The heap neither owns its elements nor touches them when it is destroyed; an element that is
// destroyed first must be erased before. At most 2^32 - 1 elements. Reads no clock. Not thread-safe: the
// component that owns it guards it.
template <class Node, class TimePoint = std::chrono::steady_clock::time_point>
class ExpiryHeap {
 public:
  ExpiryHeap() = default;
  ExpiryHeap(const ExpiryHeap&) = delete;  // an element has one slot, so it can be in one heap only
  ExpiryHeap& operator=(const ExpiryHeap&) = delete;

  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return items_.capacity() * sizeof(Item); }

  // Whether it is in this very heap. O(1).
  [[nodiscard]] bool contains(const Node& node) const noexcept {
    const std::size_t slot = hook(node).heapSlot;
    return slot < items_.size() && items_[slot].node == &node;
  }

  // The earliest element and its time. Precondition: not empty.
  [[nodiscard]] Node& front() const noexcept {
    assert(!empty());
    return *items_.front().node;
  }
  [[nodiscard]] TimePoint frontTime() const noexcept {
    assert(!empty());
    return items_.front().time;
  }
  // Precondition: contains(node).
  [[nodiscard]] TimePoint timeOf(const Node& node) const noexcept {
    assert(contains(node));
    return items_[hook(node).heapSlot].time;
  }

  // Precondition: the node is in no heap. Without memory it throws std::bad_alloc and changes nothing.
  void push(Node& node, TimePoint time) {
    assert(!hook(node).inHeap());
    assert(items_.size() < ExpiryHook::notInHeap);
    items_.push_back({time, ++sequence_, &node});
    siftUp(items_.size() - 1);
  }

  // Memory for one element more, so that the next push does not throw. Without memory it throws
  // std::bad_alloc.
  void makeRoom() {
    if (items_.size() == items_.capacity()) items_.reserve(std::max(items_.size() * 2, std::size_t{1}));
  }

  // Precondition: contains(node). The new time may be earlier or later.
  void update(Node& node, TimePoint time) noexcept {
    assert(contains(node));
    const std::size_t slot = hook(node).heapSlot;
    items_[slot].time = time;
    items_[slot].sequence = ++sequence_;
    restore(slot);
  }

  // Precondition: contains(node).
  void erase(Node& node) noexcept {
    assert(contains(node));
    const std::size_t slot = hook(node).heapSlot;
    hook(node).heapSlot = ExpiryHook::notInHeap;
    const Item last = items_.back();
    items_.pop_back();
    if (slot < items_.size()) {
      place(slot, last);
      restore(slot);
    }
    shrink();
  }

  // Takes out up to `max` elements whose time is at or before `now`, earliest first, and calls take(node,
  // time) for each, when it is out already: take may push it again, destroy it, or change the heap otherwise.
  // When take throws, the elements before and this one are out. Returns how many were taken.
  template <class Take>
  std::size_t popExpired(TimePoint now, std::size_t max, Take&& take) {
    std::size_t taken = 0;
    while (taken < max && !items_.empty() && items_.front().time <= now) {
      Node& node = *items_.front().node;
      const TimePoint time = items_.front().time;
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
    const auto later = [this](std::size_t a, std::size_t b) { return before(items_[b], items_[a]); };
    std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> frontier(later);
    if (!items_.empty() && items_.front().time <= limit) frontier.push(0);
    while (!frontier.empty()) {
      const std::size_t slot = frontier.top();
      frontier.pop();
      visit(*items_[slot].node, items_[slot].time);
      const std::size_t end = std::min(firstChild(slot) + arity, items_.size());
      for (std::size_t child = firstChild(slot); child < end; ++child) {
        if (items_[child].time <= limit) frontier.push(child);
      }
    }
  }

  // Loads many elements at once: a range of pairs (pointer to node, time), none of them in a heap yet (Floyd,
  // "Treesort 3", 1964). O(n) for n elements in the heap afterwards, so that it pays when there are many.
  // Without memory it throws std::bad_alloc and changes nothing.
  template <std::ranges::forward_range Range>
  void build(Range&& elements) {
    items_.reserve(items_.size() + static_cast<std::size_t>(std::ranges::distance(elements)));
    for (const auto& [node, time] : elements) {
      assert(!hook(*node).inHeap());
      items_.push_back({time, ++sequence_, node});
      hook(*node).heapSlot = static_cast<std::uint32_t>(items_.size() - 1);
    }
    if (items_.size() < 2) return;
    for (std::size_t slot = parent(items_.size() - 1) + 1; slot-- > 0;) siftDown(slot);
  }

  // Forgets all elements, for an owner that destroys them anyway.
  void clear() noexcept {
    for (const Item& item : items_) hook(*item.node).heapSlot = ExpiryHook::notInHeap;
    std::vector<Item>().swap(items_);  // assigning {} would keep the memory
  }

  // True when no element is before its parent and each knows its slot. For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    for (std::size_t slot = 0; slot < items_.size(); ++slot) {
      if (hook(*items_[slot].node).heapSlot != slot) return false;
      if (slot > 0 && before(items_[slot], items_[parent(slot)])) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t arity = 4;
  static constexpr std::size_t smallestCapacity = 64;

  struct Item {
    TimePoint time;
    std::uint64_t sequence;
    Node* node;
  };

  static ExpiryHook& hook(Node& node) noexcept { return node; }
  static const ExpiryHook& hook(const Node& node) noexcept { return node; }
  static std::size_t parent(std::size_t slot) noexcept { return (slot - 1) / arity; }
  static std::size_t firstChild(std::size_t slot) noexcept { return slot * arity + 1; }
  static bool before(const Item& a, const Item& b) noexcept {
    return a.time < b.time || (a.time == b.time && a.sequence < b.sequence);
  }

  void place(std::size_t slot, const Item& item) noexcept {
    items_[slot] = item;
    hook(*item.node).heapSlot = static_cast<std::uint32_t>(slot);
  }

  void restore(std::size_t slot) noexcept {
    if (slot > 0 && before(items_[slot], items_[parent(slot)])) {
      siftUp(slot);
    } else {
      siftDown(slot);
    }
  }

  void siftUp(std::size_t slot) noexcept {
    const Item item = items_[slot];
    while (slot > 0 && before(item, items_[parent(slot)])) {
      place(slot, items_[parent(slot)]);
      slot = parent(slot);
    }
    place(slot, item);
  }

  void siftDown(std::size_t slot) noexcept {
    const Item item = items_[slot];
    for (;;) {
      const std::size_t first = firstChild(slot);
      if (first >= items_.size()) break;
      std::size_t earliest = first;
      for (std::size_t child = first + 1; child < std::min(first + arity, items_.size()); ++child) {
        if (before(items_[child], items_[earliest])) earliest = child;
      }
      if (!before(items_[earliest], item)) break;
      place(slot, items_[earliest]);
      slot = earliest;
    }
    place(slot, item);
  }

  // To twice the size, so that neither the next push nor the next erase copies again.
  void shrink() noexcept {
    if (items_.capacity() <= smallestCapacity || items_.size() * 4 > items_.capacity()) return;
    try {
      std::vector<Item> smaller;
      smaller.reserve(std::max(items_.size() * 2, smallestCapacity));
      smaller.assign(items_.begin(), items_.end());
      items_.swap(smaller);
    } catch (const std::bad_alloc&) {  // no memory for the smaller array: the large one still serves
    }
  }

  std::vector<Item> items_;     // a heap by before(); the children of slot s are 4s + 1 to 4s + 4
  std::uint64_t sequence_ = 0;  // of the last push, update or build: breaks ties
};

}  // namespace lukhas
