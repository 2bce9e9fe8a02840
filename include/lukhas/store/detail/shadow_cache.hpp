// ShadowCache: what a cache of another window would have hit, by the hashes of keys alone.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "lukhas/store/detail/segmented_order.hpp"

namespace lukhas::detail {

// A node takes 16 bytes, and its bucket two. Charges beyond 4 GiB count as that.
struct ShadowNode {
  std::uint32_t hash;
  std::uint32_t charge;
  std::uint16_t newer;
  std::uint16_t older;
  std::uint16_t nextInBucket;
  std::uint8_t state;
};

// How SegmentedOrder reaches nodes: by their index.
struct ShadowSpace {
  using Ref = std::uint16_t;
  static constexpr Ref none = std::numeric_limits<Ref>::max();

  [[nodiscard]] std::uint16_t& newer(Ref ref) const noexcept { return nodes[ref].newer; }
  [[nodiscard]] std::uint16_t& older(Ref ref) const noexcept { return nodes[ref].older; }
  [[nodiscard]] std::uint8_t& state(Ref ref) const noexcept { return nodes[ref].state; }
  [[nodiscard]] std::size_t charge(Ref ref) const noexcept { return nodes[ref].charge; }
  [[nodiscard]] std::uint32_t hash(Ref ref) const noexcept { return nodes[ref].hash; }

  ShadowNode* nodes = nullptr;
};

// A cache without keys and values, in memory that its owner gives it. Each call is O(1) but for grow(),
// keepOnly() and the check. Not thread-safe.
class ShadowCache {
 public:
  explicit ShadowCache(unsigned window) noexcept : order_(window) {}

  // What so many slots need: room for that many keys. Less than ShadowSpace::none of them.
  [[nodiscard]] static constexpr std::size_t bytesFor(std::size_t slots) noexcept {
    if (slots == 0) return 0;
    return slots * sizeof(ShadowNode) + std::bit_ceil(slots) * sizeof(std::uint16_t);
  }
  // Goes on in `memory`, of bytesFor(slots) bytes, aligned for any type. Precondition: slots do not become
  // fewer.
  void grow(std::byte* memory, std::size_t slots) noexcept {
    auto* const nodes = reinterpret_cast<ShadowNode*>(memory);
    auto* const buckets = reinterpret_cast<std::uint16_t*>(nodes + slots);
    if (slots_ > 0) std::memcpy(nodes, space_.nodes, slots_ * sizeof(ShadowNode));
    mask_ = static_cast<std::uint32_t>(std::bit_ceil(slots) - 1);
    std::fill_n(buckets, std::bit_ceil(slots), ShadowSpace::none);
    for (std::size_t i = slots_; i < slots; ++i) {
      nodes[i] = ShadowNode{0, 0, 0, 0, free_, unused};
      free_ = static_cast<std::uint16_t>(i);
    }
    space_.nodes = nodes;
    buckets_ = buckets;
    const std::size_t known = slots_;
    slots_ = slots;
    for (std::size_t i = 0; i < known; ++i) {
      if (nodes[i].state == unused) continue;
      std::uint16_t& bucket = bucketOf(nodes[i].hash);
      nodes[i].nextInBucket = bucket;
      bucket = static_cast<std::uint16_t>(i);
    }
    order_.setSpace(space_);
  }
  // Forgets all, and its memory.
  void reset() noexcept {
    order_.clear();
    slots_ = 0;
    free_ = ShadowSpace::none;
  }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }

  // Whether it is a hit; if not, the key comes in. Precondition: there are slots.
  bool access(std::uint32_t hash, std::uint32_t charge, std::size_t capacity,
              const FrequencySketch& sketch) noexcept {
    order_.setCapacity(capacity);
    const std::uint16_t found = find(hash);
    if (found != ShadowSpace::none && space_.nodes[found].charge == charge) {
      order_.use(found);
      return true;
    }
    if (found != ShadowSpace::none) drop(found);  // the key has a value of another size now
    if (charge > capacity) return false;
    while (free_ == ShadowSpace::none || order_.charge() + charge > capacity) {
      drop(order_.victim(charge, sketch));
    }
    const std::uint16_t fresh = free_;
    ShadowNode& node = space_.nodes[fresh];
    free_ = node.nextInBucket;
    std::uint16_t& bucket = bucketOf(hash);
    node = ShadowNode{hash, charge, 0, 0, bucket, 0};
    bucket = fresh;
    order_.add(fresh);
    return false;
  }
  // Drops all whose keys are not to be seen any more. O(slots).
  template <class Seen>
  void keepOnly(Seen&& seen) noexcept {
    for (std::size_t i = 0; i < slots_; ++i) {
      const ShadowNode& node = space_.nodes[i];
      if (node.state != unused && !seen(node.hash)) drop(static_cast<std::uint16_t>(i));
    }
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t free = 0;
    for (std::uint16_t at = free_; at != ShadowSpace::none; at = space_.nodes[at].nextInBucket) ++free;
    return free + order_.size() == slots_ && order_.checkInvariants();
  }

 private:
  static constexpr std::uint8_t unused = 0xff;

  [[nodiscard]] std::uint16_t& bucketOf(std::uint32_t hash) noexcept {
    return buckets_[(hash * 0x9e3779b1U >> 15U) & mask_];
  }
  [[nodiscard]] std::uint16_t find(std::uint32_t hash) noexcept {
    std::uint16_t at = bucketOf(hash);
    while (at != ShadowSpace::none && space_.nodes[at].hash != hash) at = space_.nodes[at].nextInBucket;
    return at;
  }
  void drop(std::uint16_t ref) noexcept {
    ShadowNode& node = space_.nodes[ref];
    std::uint16_t* link = &bucketOf(node.hash);
    while (*link != ref) link = &space_.nodes[*link].nextInBucket;
    *link = node.nextInBucket;
    order_.remove(ref);
    node.state = unused;
    node.nextInBucket = free_;
    free_ = ref;
  }

  SegmentedOrder<ShadowSpace> order_;
  ShadowSpace space_;
  std::uint16_t* buckets_ = nullptr;
  std::size_t slots_ = 0;
  std::uint32_t mask_ = 0;
  std::uint16_t free_ = ShadowSpace::none;
};

}  // namespace lukhas::detail
