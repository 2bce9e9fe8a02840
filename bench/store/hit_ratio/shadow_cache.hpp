// ShadowCache: what a cache of another window would have hit, by the keys alone.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "store/hit_ratio/segmented_order.hpp"

namespace hit_ratio {

// A cache of hashes without values. It holds at most `entries` of them, which weigh at most `capacity`. Takes
// its memory when it is made, and none later. Not thread-safe.
class ShadowCache {
 public:
  ShadowCache(std::size_t entries, std::size_t capacity, double windowPart)
      : capacity_(capacity),
        order_(capacity, windowPart),
        nodes_(entries),
        buckets_(std::bit_ceil(entries), nullptr) {
    for (Node& node : nodes_) giveBack(node);
  }

  // Whether it is a hit; if not, the key comes in.
  bool access(std::uint64_t hash, std::size_t charge, const FrequencySketch& sketch) noexcept {
    if (Node* const found = find(hash); found && found->weight == charge) {
      order_.use(*found);
      return true;
    } else if (found) {
      drop(*found);  // the key has a value of another size now
    }
    if (charge > capacity_) return false;
    while (!free_ || order_.charge() + charge > capacity_) drop(*order_.victim(charge, sketch));
    Node& node = *free_;
    free_ = node.nextInBucket;
    node.keyHash = hash;
    node.weight = charge;
    node.nextInBucket = bucketOf(hash);
    bucketOf(hash) = &node;
    order_.add(node);
    return false;
  }

  [[nodiscard]] std::size_t memoryBytes() const noexcept {
    return nodes_.capacity() * sizeof(Node) + buckets_.capacity() * sizeof(Node*);
  }
  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t free = 0;
    for (const Node* node = free_; node; node = node->nextInBucket) ++free;
    return free + order_.size() == nodes_.size() && order_.charge() <= capacity_ && order_.checkInvariants();
  }

 private:
  struct Node : OrderHook<Node> {
    [[nodiscard]] std::size_t charge() const noexcept { return weight; }

    std::uint64_t keyHash = 0;
    std::size_t weight = 0;
    Node* nextInBucket = nullptr;
  };

  [[nodiscard]] Node*& bucketOf(std::uint64_t hash) noexcept {
    return buckets_[hash & (buckets_.size() - 1)];
  }
  [[nodiscard]] Node* find(std::uint64_t hash) noexcept {
    Node* node = bucketOf(hash);
    while (node && node->keyHash != hash) node = node->nextInBucket;
    return node;
  }
  void giveBack(Node& node) noexcept {
    node.nextInBucket = free_;
    free_ = &node;
  }
  void drop(Node& node) noexcept {
    Node** link = &bucketOf(node.keyHash);
    while (*link != &node) link = &(*link)->nextInBucket;
    *link = node.nextInBucket;
    order_.remove(node);
    giveBack(node);
  }

  std::size_t capacity_;
  SegmentedOrder<Node> order_;
  std::vector<Node> nodes_;  // never resized: order and buckets point into it
  std::vector<Node*> buckets_;
  Node* free_ = nullptr;
};

}  // namespace hit_ratio
