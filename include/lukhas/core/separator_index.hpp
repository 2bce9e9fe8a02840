// SeparatorIndex: which of many ordered leaves a key belongs to.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "lukhas/core/allocated_bytes.hpp"

namespace lukhas {

// What a leaf carries so that the index finds its place again: derive from it.
struct IndexedLeaf {
  void* parent = nullptr;
};

// The inner nodes of a B+ tree (Bayer and McCreight, "Organization and maintenance of large ordered indexes",
// 1972; leaves apart as in Comer, "The ubiquitous B-tree", 1979), without the leaves: they are the owner's,
// and so is what lies in them. Between two neighbours stands a key, and find(key) gives the leaf right of the
// last one that is not greater. A million elements in leaves of a hundred have an index of 300 KB, which
// stays in the cache.
//
//   index.makeRoom();                              // the only call that can fail
//   index.insertAfter(leaf, firstKey, fresh);      // fresh takes over what leaf had from firstKey on
//   Leaf& leaf = *index.find(key).leaf;
//
// Costs. O(log n) each, in steps of at most one node's size. A node that has lost most of its children is
// joined with a neighbour, so that the memory follows the number of leaves.
//
// Lifetime. The index does not own the leaves. Not thread-safe: the component that owns it guards it.
template <class Key, class Leaf, std::size_t fanout = 64>
class SeparatorIndex {
 public:
  struct Found {
    Leaf* leaf;
    bool isLast;  // nothing comes after it
  };

  SeparatorIndex() = default;
  SeparatorIndex(const SeparatorIndex&) = delete;
  SeparatorIndex& operator=(const SeparatorIndex&) = delete;
  ~SeparatorIndex() {
    if (root_) discardBelow(root_);
    while (spares_) delete takeSpare();
  }

  [[nodiscard]] bool empty() const noexcept { return !root_; }
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return nodes_ * allocationBound(sizeof(Node)); }

  // Precondition of these two: not empty.
  [[nodiscard]] Leaf& first() const noexcept {
    const Node* node = root_;
    while (!node->isLowest) node = static_cast<const Node*>(node->child[0]);
    return leafAt(*node, 0);
  }
  [[nodiscard]] Found find(const Key& key) const noexcept {
    bool isLast = true;
    for (const Node* node = root_;;) {
      const std::size_t at = childFor(*node, key);
      isLast = isLast && at + 1 == node->count;
      if (node->isLowest) return {&leafAt(*node, at), isLast};
      node = static_cast<const Node*>(node->child[at]);
    }
  }

  // The key left of it; a default one where there is none.
  [[nodiscard]] Key lowOf(const Leaf& leaf) const noexcept {
    const Node* node = &parentOf(leaf);
    std::size_t at = positionOf(*node, &leaf);
    while (at == 0 && node->parent) {
      at = positionOf(*node->parent, node);
      node = node->parent;
    }
    return at == 0 ? Key{} : node->low[at];
  }
  // Its neighbours under the same node; null when there is none.
  [[nodiscard]] Leaf* leftOf(const Leaf& leaf) const noexcept {
    const Node& node = parentOf(leaf);
    const std::size_t at = positionOf(node, &leaf);
    return at > 0 ? &leafAt(node, at - 1) : nullptr;
  }
  [[nodiscard]] Leaf* rightOf(const Leaf& leaf) const noexcept {
    const Node& node = parentOf(leaf);
    const std::size_t at = positionOf(node, &leaf) + 1;
    return at < node.count ? &leafAt(node, at) : nullptr;
  }

  // So that the next insert does not allocate. Throws std::bad_alloc, and then nothing has changed.
  void makeRoom() {
    while (spareCount_ < mostSplits()) giveSpare(new Node), ++nodes_;
  }
  // Precondition: empty, and there is room.
  void insertFirst(Leaf& leaf) noexcept {
    assert(empty());
    root_ = takeSpare();
    root_->isLowest = true;
    height_ = 1;
    put(*root_, 0, Key{}, &leaf);
  }
  // Precondition: there is room; `low` lies between the keys left and right of `left`.
  void insertAfter(Leaf& left, const Key& low, Leaf& fresh) noexcept {
    Node& node = parentOf(left);
    insert(node, positionOf(node, &left) + 1, low, &fresh);
  }
  // What lay in it belongs to its left neighbour then, or, if it was the first under its node, to the right.
  void erase(Leaf& leaf) noexcept {
    Node& node = parentOf(leaf);
    erase(node, positionOf(node, &leaf));
    leaf.parent = nullptr;
  }

  // Calls visit(leaf) for each, in order, until one gives false. visit must not change the index.
  template <class Visit>
  void forEach(Visit&& visit) const {
    if (root_) (void)forEachBelow(*root_, visit);
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    return !root_ || (!root_->parent && isSound(*root_, height_));
  }

 private:
  struct Node {
    Node* parent = nullptr;
    std::uint32_t count = 0;
    bool isLowest = false;        // its children are leaves
    std::array<Key, fanout> low;  // [i] stands between the children i - 1 and i; [0] means nothing
    std::array<void*, fanout> child;
  };

  // Each level may split, and the root may get one above it.
  [[nodiscard]] std::size_t mostSplits() const noexcept { return height_ + 1; }

  static Leaf& leafAt(const Node& node, std::size_t at) noexcept {
    return *static_cast<Leaf*>(node.child[at]);
  }
  static Node& parentOf(const Leaf& leaf) noexcept {
    return *static_cast<Node*>(static_cast<const IndexedLeaf&>(leaf).parent);
  }
  static std::size_t positionOf(const Node& node, const void* child) noexcept {
    std::size_t at = 0;
    while (node.child[at] != child) ++at;
    return at;
  }
  // Without branches that depend on the keys: they would be guessed wrong half of the time.
  static std::size_t childFor(const Node& node, const Key& key) noexcept {
    std::size_t at = 0;
    for (std::size_t length = node.count; length > 1;) {
      const std::size_t half = length / 2;
      at = node.low[at + half] <= key ? at + half : at;
      length -= half;
    }
    return at;
  }

  static void adopt(Node& node, void* child) noexcept {
    if (node.isLowest) {
      static_cast<Leaf*>(child)->parent = &node;
    } else {
      static_cast<Node*>(child)->parent = &node;
    }
  }
  // Precondition: it is not full.
  static void put(Node& node, std::size_t at, const Key& low, void* child) noexcept {
    for (std::size_t i = node.count++; i > at; --i) {
      node.low[i] = node.low[i - 1];
      node.child[i] = node.child[i - 1];
    }
    node.low[at] = low;
    node.child[at] = child;
    adopt(node, child);
  }
  // To the end of `to`, and `low` before them.
  static void moveChildren(Node& from, std::size_t begin, Node& to, const Key& low) noexcept {
    for (std::size_t i = begin; i < from.count; ++i) {
      put(to, to.count, i == begin ? low : from.low[i], from.child[i]);
    }
    from.count = static_cast<std::uint32_t>(begin);
  }

  void insert(Node& node, std::size_t at, const Key& low, void* child) noexcept {
    if (node.count < fanout) return put(node, at, low, child);
    Node& right = *takeSpare();
    right.isLowest = node.isLowest;
    // What grows at its end leaves full nodes behind.
    const std::size_t cut = at == fanout ? fanout : fanout / 2;
    const Key rightLow = cut == fanout ? low : node.low[cut];
    moveChildren(node, cut, right, rightLow);
    if (at > cut || cut == fanout) {
      put(right, at - cut, low, child);
    } else {
      put(node, at, low, child);
    }
    if (Node* const above = node.parent)
      return insert(*above, positionOf(*above, &node) + 1, rightLow, &right);
    root_ = takeSpare();
    root_->isLowest = false;
    ++height_;
    put(*root_, 0, Key{}, &node);
    put(*root_, 1, rightLow, &right);
  }

  void erase(Node& node, std::size_t at) noexcept {
    --node.count;
    for (std::size_t i = at; i < node.count; ++i) {
      node.low[i] = node.low[i + 1];
      node.child[i] = node.child[i + 1];
    }
    Node* const above = node.parent;
    if (node.count == 0) {
      if (above) {
        erase(*above, positionOf(*above, &node));
      } else {
        root_ = nullptr;
        height_ = 0;
      }
      release(node);
    } else if (above) {
      joinWithNeighbour(*above, positionOf(*above, &node));
    } else if (node.count == 1 && !node.isLowest) {
      root_ = static_cast<Node*>(node.child[0]);
      root_->parent = nullptr;
      --height_;
      release(node);
    }
  }
  void joinWithNeighbour(Node& above, std::size_t at) noexcept {
    const auto child = [&](std::size_t i) -> Node& { return *static_cast<Node*>(above.child[i]); };
    for (const std::size_t right : {at + 1, at}) {
      if (right == 0 || right >= above.count) continue;
      if (child(right - 1).count + child(right).count > fanout / 2) continue;
      Node& joined = child(right);
      moveChildren(joined, 0, child(right - 1), above.low[right]);
      erase(above, right);
      return release(joined);
    }
  }

  Node* takeSpare() noexcept {
    assert(spares_);
    Node* const node = spares_;
    spares_ = node->parent;
    --spareCount_;
    node->parent = nullptr;
    node->count = 0;
    return node;
  }
  void giveSpare(Node* node) noexcept {
    node->parent = spares_;
    spares_ = node;
    ++spareCount_;
  }
  // Keeps what the next insert may need, so that what comes and goes does not ask the allocator each time.
  void release(Node& node) noexcept {
    giveSpare(&node);
    while (spareCount_ > mostSplits() + 1) {
      delete takeSpare();
      --nodes_;
    }
  }
  void discardBelow(Node* node) noexcept {
    if (!node->isLowest) {
      for (std::size_t i = 0; i < node->count; ++i) discardBelow(static_cast<Node*>(node->child[i]));
    }
    delete node;
  }

  template <class Visit>
  static bool forEachBelow(const Node& node, Visit& visit) {
    for (std::size_t i = 0; i < node.count; ++i) {
      const bool goesOn = node.isLowest ? bool(visit(leafAt(node, i)))
                                        : forEachBelow(*static_cast<const Node*>(node.child[i]), visit);
      if (!goesOn) return false;
    }
    return true;
  }
  static bool isSound(const Node& node, std::size_t height) noexcept {
    if (node.count == 0 || node.isLowest != (height == 1)) return false;
    for (std::size_t i = 0; i < node.count; ++i) {
      if (i > 1 && !(node.low[i - 1] < node.low[i])) return false;
      if (node.isLowest) {
        if (&parentOf(leafAt(node, i)) != &node) return false;
      } else {
        const Node& below = *static_cast<const Node*>(node.child[i]);
        if (below.parent != &node || !isSound(below, height - 1)) return false;
      }
    }
    return true;
  }

  Node* root_ = nullptr;
  std::size_t height_ = 0;
  Node* spares_ = nullptr;  // linked by their parents
  std::size_t spareCount_ = 0;
  std::size_t nodes_ = 0;
};

}  // namespace lukhas
