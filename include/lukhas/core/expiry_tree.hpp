// ExpiryTree: what is due next, among very many deadlines that are mostly put off before they come.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "lukhas/core/allocated_bytes.hpp"
#include "lukhas/core/chunked_array.hpp"
#include "lukhas/core/expiry_key.hpp"
#include "lukhas/core/prefetch.hpp"
#include "lukhas/core/separator_index.hpp"

namespace lukhas {

// A B+ tree on time whose leaves are not in order until they come to the front.
//
//   struct Session { lukhas::ExpiryKey due; lukhas::ExpiryPlace place; … };
//   struct ByDue { ExpiryKey keyOf(const Session& s) const noexcept { return s.due; } … };
//   lukhas::ExpiryTree<Session, ByDue> tree;
//   tree.makeRoom();                              // the only calls that can fail are this and settleFront
//   tree.push(session);
//   session.due = {now + 5min, ++sequence};       // a later time: the tree need not be told
//   session.due = {now + 1s, ++sequence};         // an earlier one: tree.relocate(session)
//   while (!tree.empty() && tree.frontTime() <= now) {
//     if (tree.settleFront(1)) take(tree.front());
//   }
//
// Why not a heap. A heap of a million touches an element of its array, and the object that it belongs to, on
// each level that something sinks: a wait for memory each. Here an element is appended to a leaf, which is
// found by an index that stays in the cache, and stays there untouched until its leaf is the first one; that
// is sorted then, all at once and near together. See docs/decisions/0012-expiry-tree.md.
//
// Late is free. Where an element lies is a lower bound of when it is due. One that comes to the front before
// its time is put where it belongs then: once for each time that it was due at, however often it was put off.
// frontTime() is exact when settleFront() gave true since the last change; else it may be too early.
//
// Order. By key, exactly. (An element whose time stays the same must keep its sequence.)
//
// Costs. push, erase, relocate and a step of settleFront: O(log n + leafSize), with small factors; n elements
// take 16 bytes each, and half as much again for what is free in the leaves. Nothing is ever copied as a
// whole, and leaves that have become small are joined, so that the memory follows the number of elements but
// for 8 bytes a leaf of the most that there were at once since it was empty.
//
// Lifetime. The tree neither owns its elements nor touches them when it is destroyed. Reads no clock. Not
// thread-safe: the component that owns it guards it.
template <class Node, class Order, std::size_t leafSize = 124>
class ExpiryTree {
  static_assert(leafSize >= 8);

 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  explicit ExpiryTree(Order order = {}) : order_(order) { static_assert(ExpiryOrder<Order, Node>); }
  ExpiryTree(const ExpiryTree&) = delete;  // an element has one place, so it can be in one tree only
  ExpiryTree& operator=(const ExpiryTree&) = delete;
  ~ExpiryTree() {
    index_.forEach([](Leaf& leaf) { return delete &leaf, true; });
    delete spare_;
  }

  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  // What it takes of the allocator.
  [[nodiscard]] std::size_t memoryBytes() const noexcept {
    return leaves_ * allocationBound(sizeof(Leaf)) + index_.memoryBytes() + slots_.memoryBytes();
  }
  // Whether it is in this very tree. O(leafSize).
  [[nodiscard]] bool contains(const Node& node) const noexcept;

  [[nodiscard]] ExpiryKey keyOf(const Node& node) const noexcept { return order_.keyOf(node); }
  // A lower bound of the first time; precondition: not empty.
  [[nodiscard]] TimePoint frontTime() const noexcept { return first_->items[first_->begin].time; }
  // The first element; precondition: settleFront() gave true since the last change.
  [[nodiscard]] Node& front() const noexcept {
    assert(isSettled(first_->items[first_->begin]));
    return *first_->items[first_->begin].node;
  }
  // The element `count` places behind the first one, to have its memory fetched ahead; null where it is not
  // known cheaply. `count` is less than leafSize / 4.
  [[nodiscard]] const Node* ahead(std::size_t count) noexcept;

  // Puts up to `most` elements where they belong that have come to the front too early. Gives whether the
  // front is exact now, also when it is empty. Throws std::bad_alloc, between two of them.
  bool settleFront(std::size_t most);

  // So that the next push or relocate does not allocate. Throws std::bad_alloc, and then nothing has changed.
  void makeRoom();
  // Precondition: there is room, and the element is in no tree with this place.
  void push(Node& node) noexcept;
  // Precondition: in this tree.
  void erase(Node& node) noexcept;
  // To be called when the key of an element has become less. Precondition: there is room; in this tree.
  void relocate(Node& node) noexcept {
    erase(node);
    push(node);
  }

  // Calls visit(node) for all elements that may be due at or before `limit`, in no order; those that lie
  // there too early are among them; but for no more than `most`, those of the first leaves. visit must not
  // change the tree. O(k + leafSize) for k of them.
  template <class Visit>
  void forEachUntil(TimePoint limit, std::size_t most, Visit&& visit) const;

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept;

 private:
  struct Item {
    TimePoint time;  // of the element's key when it came here: never later than it is now
    Node* node;
  };
  struct Leaf : IndexedLeaf {
    std::uint32_t number = 0;
    std::uint16_t begin = 0;
    std::uint16_t end = 0;
    bool sorted = true;
    std::array<Item, leafSize> items;

    [[nodiscard]] std::size_t size() const noexcept { return std::size_t{end} - begin; }
    [[nodiscard]] bool full() const noexcept { return size() == leafSize; }
  };
  // By the number of a leaf: the leaf, or what number is free next.
  union Slot {
    Leaf* leaf;
    std::uint64_t nextFree;
  };

  [[nodiscard]] ExpiryKey keyOf(const Item& item) const noexcept { return keyOf(*item.node); }
  [[nodiscard]] bool isSettled(const Item& item) const noexcept { return keyOf(item).time == item.time; }
  [[nodiscard]] bool isBefore(const Item& item, const ExpiryKey& key) const noexcept {
    return item.time < key.time || (item.time == key.time && isSettled(item) && keyOf(item) < key);
  }
  // By time; among those of one time those first that lie there too early, as their sequences have changed
  // since they came here. This reads the elements of equal times only.
  [[nodiscard]] auto inOrder() const noexcept {
    return [this](const Item& a, const Item& b) {
      if (a.time != b.time) return a.time < b.time;
      return isSettled(b) && (!isSettled(a) || keyOf(a) < keyOf(b));
    };
  }

  void place(Leaf& leaf, std::size_t at, const Item& item) noexcept {
    leaf.items[at] = item;
    order_.placeOf(*item.node).leaf_ = leaf.number;
  }
  static void closeGap(Leaf& leaf) noexcept {
    std::move(leaf.items.begin() + leaf.begin, leaf.items.begin() + leaf.end, leaf.items.begin());
    leaf.end = static_cast<std::uint16_t>(leaf.size());
    leaf.begin = 0;
  }
  void sort(Leaf& leaf) noexcept {
    std::sort(leaf.items.begin() + leaf.begin, leaf.items.begin() + leaf.end, inOrder());
    leaf.sorted = true;
  }
  // The first leaf is always in order.
  void sortFirst() noexcept {
    if (first_) sortFetched(*first_);
  }
  void sortFetched(Leaf& leaf) noexcept {
    if (leaf.sorted) return;
    for (std::size_t i = leaf.begin; i < leaf.end; ++i) prefetch(leaf.items[i].node);
    sort(leaf);
  }

  void append(Leaf& leaf, Node& node, const ExpiryKey& key) noexcept;
  void insertInOrder(Leaf& leaf, Node& node, const ExpiryKey& key) noexcept;
  // Of the two halves, the one for `key`.
  Leaf& split(Leaf& leaf, const ExpiryKey& key, bool isLast) noexcept;
  // Puts the least `cut` elements first, and gives the key between them and the others.
  ExpiryKey divide(Leaf& leaf, std::size_t cut) noexcept;
  void joinWithNeighbour(Leaf& leaf) noexcept;
  Leaf& takeSpare() noexcept;
  void release(Leaf& leaf) noexcept;

  Order order_;
  SeparatorIndex<ExpiryKey, Leaf> index_;
  Leaf* first_ = nullptr;
  std::size_t size_ = 0;

  Leaf* spare_ = nullptr;
  std::size_t leaves_ = 0;  // with the spare one
  ChunkedArray<Slot> slots_;
  std::uint64_t numbers_ = 0;  // that were ever given to a leaf
  std::uint64_t nextFree_ = ExpiryPlace::none;
};

template <class Node, class Order, std::size_t leafSize>
bool ExpiryTree<Node, Order, leafSize>::contains(const Node& node) const noexcept {
  bool found = false;
  const std::uint32_t number = order_.placeOf(const_cast<Node&>(node)).leaf_;
  if (empty() || number >= numbers_) return false;
  for (std::uint64_t free = nextFree_; free != ExpiryPlace::none; free = slots_[free].nextFree) {
    if (free == number) return false;
  }
  const Leaf& leaf = *slots_[number].leaf;
  for (std::size_t i = leaf.begin; i < leaf.end; ++i) found = found || leaf.items[i].node == &node;
  return found;
}

// The next leaf is put in order some elements before it is the first.
template <class Node, class Order, std::size_t leafSize>
const Node* ExpiryTree<Node, Order, leafSize>::ahead(std::size_t count) noexcept {
  if (empty()) return nullptr;
  if (count < first_->size()) return first_->items[first_->begin + count].node;
  Leaf* const next = index_.rightOf(*first_);
  if (!next) return nullptr;
  sortFetched(*next);
  count -= first_->size();
  return count < next->size() ? next->items[next->begin + count].node : nullptr;
}

template <class Node, class Order, std::size_t leafSize>
bool ExpiryTree<Node, Order, leafSize>::settleFront(std::size_t most) {
  for (; !empty(); --most) {
    const Item& item = first_->items[first_->begin];
    if (isSettled(item)) return true;
    if (most == 0) return false;
    makeRoom();
    relocate(*item.node);
  }
  return true;
}

template <class Node, class Order, std::size_t leafSize>
void ExpiryTree<Node, Order, leafSize>::makeRoom() {
  index_.makeRoom();
  if (nextFree_ == ExpiryPlace::none) slots_.reserve(numbers_ + 1);
  if (!spare_) spare_ = new Leaf, ++leaves_;
}

template <class Node, class Order, std::size_t leafSize>
void ExpiryTree<Node, Order, leafSize>::push(Node& node) noexcept {
  assert(!order_.placeOf(node).inTree());
  const ExpiryKey key = keyOf(node);
  if (empty()) {
    first_ = &takeSpare();
    index_.insertFirst(*first_);
  }
  ++size_;
  const auto [found, isLast] = index_.find(key);
  Leaf& leaf = found->full() ? split(*found, key, isLast) : *found;
  if (leaf.end == leafSize) closeGap(leaf);
  if (&leaf == first_) {
    insertInOrder(leaf, node, key);
  } else {
    append(leaf, node, key);
  }
}

template <class Node, class Order, std::size_t leafSize>
void ExpiryTree<Node, Order, leafSize>::append(Leaf& leaf, Node& node, const ExpiryKey& key) noexcept {
  leaf.sorted = leaf.sorted && (leaf.size() == 0 || isBefore(leaf.items[leaf.end - 1U], key));
  place(leaf, leaf.end++, {key.time, &node});
}

// Elements that lie there too early may have any sequence: they are no landmarks.
template <class Node, class Order, std::size_t leafSize>
void ExpiryTree<Node, Order, leafSize>::insertInOrder(Leaf& leaf, Node& node, const ExpiryKey& key) noexcept {
  const auto begin = leaf.items.begin() + leaf.begin;
  const auto end = leaf.items.begin() + leaf.end;
  auto at = std::upper_bound(begin, end, key.time,
                             [](TimePoint time, const Item& item) { return time < item.time; });
  while (at != begin && at[-1].time == key.time && !isBefore(at[-1], key)) --at;
  std::move_backward(at, end, end + 1);
  ++leaf.end;
  place(leaf, static_cast<std::size_t>(at - leaf.items.begin()), {key.time, &node});
}

template <class Node, class Order, std::size_t leafSize>
void ExpiryTree<Node, Order, leafSize>::erase(Node& node) noexcept {
  ExpiryPlace& where = order_.placeOf(node);
  assert(contains(node));
  Leaf& leaf = *slots_[where.leaf_].leaf;
  std::size_t at = leaf.begin;
  while (leaf.items[at].node != &node) ++at;
  where.leaf_ = ExpiryPlace::none;
  --size_;
  if (at == leaf.begin) {
    ++leaf.begin;
  } else if (leaf.sorted) {
    std::move(leaf.items.begin() + at + 1, leaf.items.begin() + leaf.end, leaf.items.begin() + at);
    --leaf.end;
  } else {
    leaf.items[at] = leaf.items[--leaf.end];
  }
  if (leaf.size() == 0) {
    index_.erase(leaf);
    if (&leaf == first_) first_ = index_.empty() ? nullptr : &index_.first();
    release(leaf);
  } else if (&leaf != first_ && leaf.size() <= leafSize / 4) {
    joinWithNeighbour(leaf);
  }
  sortFirst();
}

template <class Node, class Order, std::size_t leafSize>
typename ExpiryTree<Node, Order, leafSize>::Leaf& ExpiryTree<Node, Order, leafSize>::split(
    Leaf& leaf, const ExpiryKey& key, bool isLast) noexcept {
  // Where keys come in ascending order, what is left behind stays full.
  const bool ascends = leaf.sorted && isBefore(leaf.items[leaf.end - 1U], key);
  const std::size_t cut = !ascends ? leafSize / 2 : isLast ? leafSize : leafSize - leafSize / 8;
  Leaf& right = takeSpare();
  if (cut == leafSize) {
    index_.insertAfter(leaf, key, right);
    return right;
  }
  const ExpiryKey low = divide(leaf, cut);
  for (std::size_t i = cut; i < leafSize; ++i) place(right, right.end++, leaf.items[i]);
  leaf.end = static_cast<std::uint16_t>(cut);
  right.sorted = leaf.sorted;
  index_.insertAfter(leaf, low, right);
  return key < low ? leaf : right;
}

// A key that separates the elements that lie where they belong, and is greater than the one left of the leaf.
// Those that lie there too early may be on either side of it, but not before an earlier time.
template <class Node, class Order, std::size_t leafSize>
ExpiryKey ExpiryTree<Node, Order, leafSize>::divide(Leaf& leaf, std::size_t cut) noexcept {
  const auto begin = leaf.items.begin();
  const auto end = leaf.items.end();
  if (!leaf.sorted) std::nth_element(begin, begin + cut, end, inOrder());
  const TimePoint time = begin[cut].time;
  const auto hasTime = [time](const Item& item) { return item.time == time; };
  if (std::none_of(begin, begin + cut, hasTime)) return {time, 0};

  if (!leaf.sorted || !std::is_sorted(begin, end, inOrder())) sort(leaf);
  if (isSettled(begin[cut - 1])) return keyOf(begin[cut]);
  // Left of the cut is none of this time that lies where it belongs, unless it made the key left of the leaf.
  const ExpiryKey left = index_.lowOf(leaf);
  const ExpiryKey low{time, left.time == time ? left.sequence + 1 : 0};
  const auto first = std::find_if(begin + cut, end, [this](const Item& item) { return isSettled(item); });
  if (first != end && keyOf(*first) < low) std::swap(*first, begin[cut - 1]);
  return low;
}

template <class Node, class Order, std::size_t leafSize>
void ExpiryTree<Node, Order, leafSize>::joinWithNeighbour(Leaf& leaf) noexcept {
  for (Leaf* const neighbour : {index_.rightOf(leaf), index_.leftOf(leaf)}) {
    if (!neighbour || leaf.size() + neighbour->size() > leafSize / 2) continue;
    const bool isRight = neighbour == index_.rightOf(leaf);
    Leaf& left = isRight ? leaf : *neighbour;
    Leaf& right = isRight ? *neighbour : leaf;
    closeGap(left);
    for (std::size_t i = right.begin; i < right.end; ++i) place(left, left.end++, right.items[i]);
    left.sorted = left.sorted && right.sorted;
    index_.erase(right);
    return release(right);
  }
}

template <class Node, class Order, std::size_t leafSize>
typename ExpiryTree<Node, Order, leafSize>::Leaf& ExpiryTree<Node, Order, leafSize>::takeSpare() noexcept {
  assert(spare_);
  Leaf& leaf = *spare_;
  spare_ = nullptr;
  leaf.begin = leaf.end = 0;
  leaf.sorted = true;
  const std::uint64_t number = nextFree_ != ExpiryPlace::none ? nextFree_ : numbers_++;
  if (number == nextFree_) nextFree_ = slots_[number].nextFree;
  slots_[number].leaf = &leaf;
  leaf.number = static_cast<std::uint32_t>(number);
  return leaf;
}

template <class Node, class Order, std::size_t leafSize>
void ExpiryTree<Node, Order, leafSize>::release(Leaf& leaf) noexcept {
  slots_[leaf.number].nextFree = nextFree_;
  nextFree_ = leaf.number;
  if (spare_) {
    delete &leaf;
    --leaves_;
  } else {
    spare_ = &leaf;
  }
  if (!empty()) return;
  slots_.shrinkTo(1);
  numbers_ = 0;
  nextFree_ = ExpiryPlace::none;
}

template <class Node, class Order, std::size_t leafSize>
template <class Visit>
void ExpiryTree<Node, Order, leafSize>::forEachUntil(TimePoint limit, std::size_t most, Visit&& visit) const {
  index_.forEach([&](Leaf& leaf) {
    bool goesOn = true;
    for (std::size_t i = leaf.begin; i < leaf.end; ++i) {
      if (leaf.items[i].time <= limit) prefetch(leaf.items[i].node);
    }
    for (std::size_t i = leaf.begin; i < leaf.end; ++i) {
      if (leaf.items[i].time > limit) {
        goesOn = false;
      } else if (most > 0) {
        --most;
        visit(static_cast<const Node&>(*leaf.items[i].node));
      }
    }
    return goesOn && most > 0;
  });
}

template <class Node, class Order, std::size_t leafSize>
bool ExpiryTree<Node, Order, leafSize>::checkInvariants() const noexcept {
  if (!index_.checkInvariants() || (empty() != !first_) || (empty() != index_.empty())) return false;
  if (first_ && (&index_.first() != first_ || !first_->sorted)) return false;
  bool sound = true;
  std::size_t seen = 0;
  TimePoint least = TimePoint::min();      // what the leaves before have at most
  ExpiryKey settled{TimePoint::min(), 0};  // the same of the elements that lie where they belong
  index_.forEach([&](Leaf& leaf) {
    TimePoint most = least;
    ExpiryKey mostSettled = settled;
    sound = sound && leaf.size() > 0 && slots_[leaf.number].leaf == &leaf;
    for (std::size_t i = leaf.begin; i < leaf.end; ++i, ++seen) {
      const Item& item = leaf.items[i];
      const ExpiryKey key = keyOf(*item.node);
      sound = sound && order_.placeOf(*item.node).leaf_ == leaf.number;
      sound = sound && item.time <= key.time && item.time >= (leaf.sorted ? most : least);
      if (isSettled(item)) {
        sound = sound && key > (leaf.sorted ? mostSettled : settled);
        mostSettled = std::max(mostSettled, key);
      }
      most = std::max(most, item.time);
    }
    least = most;
    settled = mostSettled;
    return true;
  });
  return sound && seen == size_;
}

}  // namespace lukhas
