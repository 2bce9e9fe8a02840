// ExpiryHeap: the sorted heap of deadlines that lock, store and engine share.
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <queue>
#include <utility>
#include <vector>

namespace lukhas {

// What an element carries so that the heap finds it again. Derive from it, or hold one and pass its address.
struct ExpiryHook {
  static constexpr std::uint32_t notInHeap = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t heapSlot = notInHeap;

  [[nodiscard]] bool inHeap() const noexcept { return heapSlot != notInHeap; }
};

// An intrusive 4-ary min-heap on time (Johnson: "Priority queues with update and finding minimum spanning trees", 1975).
// Elements know their slot, so that one that is refreshed or removed is found in O(1) and moved in O(log n), without
// tombstones. The array holds the times beside the pointers: comparing does not touch the elements. Four children a node
// make the heap half as deep as a binary one, and the four times share a cache line or two.
//
//   struct Entry : lukhas::ExpiryHook { … };
//   lukhas::ExpiryHeap<Entry> heap;
//   heap.push(entry, now + 5min);
//   heap.update(entry, now + 10min);
//   heap.popExpired(now, 1000, [](Entry& e, TimePoint when) { … });
//
// Elements with the same time come out in the order in which they were pushed or updated. push, update, erase: O(log n);
// front: O(1); build: O(n). The array shrinks again when three quarters of it are empty. It neither owns its elements nor
// reads a clock. Not thread-safe.
template <class Node, class TimePoint = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>>
class ExpiryHeap {
 public:
  [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return items_.capacity() * sizeof(Item); }

  // The earliest element. Precondition: not empty.
  [[nodiscard]] Node& front() const noexcept { return *items_.front().node; }
  [[nodiscard]] TimePoint frontTime() const noexcept { return items_.front().time; }
  // Precondition: the node is in the heap.
  [[nodiscard]] TimePoint timeOf(const Node& node) const noexcept { return items_[hook(node).heapSlot].time; }

  void push(Node& node, TimePoint time) {
    assert(!hook(node).inHeap());
    items_.push_back({time, ++sequence_, &node});
    siftUp(items_.size() - 1);
  }

  void update(Node& node, TimePoint time) {
    const std::size_t slot = hook(node).heapSlot;
    assert(slot < items_.size());
    items_[slot].time = time;
    items_[slot].sequence = ++sequence_;
    restore(slot);
  }

  void erase(Node& node) {
    const std::size_t slot = hook(node).heapSlot;
    assert(slot < items_.size());
    hook(node).heapSlot = ExpiryHook::notInHeap;
    const Item last = items_.back();
    items_.pop_back();
    if (slot < items_.size()) {
      place(slot, last);
      restore(slot);
    }
    shrink();
  }

  // Takes out up to `max` elements whose time is at or before `now`, earliest first, and calls take(node, time) for each.
  // Returns how many.
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

  // Calls visit(node, time) for each element at or before `limit`, earliest first, without sorting the rest: the heap
  // itself bounds the search. O(k log k) for k elements found.
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

  // Loads many elements at once: pairs of node pointer and time, none of them in the heap yet (Floyd, 1964).
  template <class Range>
  void build(const Range& elements) {
    for (const auto& [node, time] : elements) {
      items_.push_back({time, ++sequence_, node});
      hook(*node).heapSlot = static_cast<std::uint32_t>(items_.size() - 1);
    }
    for (std::size_t slot = items_.size() / arity + 1; slot-- > 0;) {
      if (slot < items_.size()) siftDown(slot);
    }
  }

  // Forgets all elements, for an owner that destroys them anyway.
  void clear() noexcept {
    for (const Item& item : items_) hook(*item.node).heapSlot = ExpiryHook::notInHeap;
    items_ = {};
  }

  // True when order and slots are consistent. For tests: O(n).
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

  void shrink() {
    if (items_.capacity() <= smallestCapacity || items_.size() * 4 > items_.capacity()) return;
    std::vector<Item> smaller;
    smaller.reserve(std::max(items_.size() * 2, smallestCapacity));
    smaller.assign(items_.begin(), items_.end());
    items_.swap(smaller);
  }

  std::vector<Item> items_;
  std::uint64_t sequence_ = 0;
};

}  // namespace lukhas
