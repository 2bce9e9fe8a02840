// W-TinyLFU with a fixed window, with one that climbs, and the adaptive policy, over numbered keys.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lukhas/store/adaptive_policy.hpp"
#include "store/hit_ratio/segmented_order.hpp"
#include "store/hit_ratio/trace.hpp"

namespace hit_ratio {

struct NumberedEntry : OrderHook<NumberedEntry> {
  [[nodiscard]] static constexpr std::size_t charge() noexcept { return 1; }
  std::uint64_t keyHash = 0;
};

[[nodiscard]] inline std::vector<NumberedEntry> numberedEntries(std::size_t keys) {
  std::vector<NumberedEntry> entries(keys);
  std::uint64_t weyl = 0;
  for (NumberedEntry& entry : entries) {  // SplitMix64 (Steele, Lea and Flood 2014)
    std::uint64_t mixed = weyl += 0x9e3779b97f4a7c15U;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    entry.keyHash = mixed ^ (mixed >> 31);
  }
  return entries;
}

class WTinyLfu {
 public:
  WTinyLfu(std::size_t capacity, std::size_t keys, double window)
      : capacity_(capacity), entries_(numberedEntries(keys)), sketch_(capacity), order_(capacity, window) {}

  bool access(Key key) {
    NumberedEntry& entry = entries_[key];
    sketch_.add(entry.keyHash);
    if (entry.segment != Segment::none) {
      order_.use(entry);
      return true;
    }
    if (order_.size() == capacity_) order_.remove(*order_.victim(1, sketch_));
    order_.add(entry);
    return false;
  }
  void setWindow(double part) { order_.setWindow(part); }

 private:
  std::size_t capacity_;
  std::vector<NumberedEntry> entries_;
  FrequencySketch sketch_;
  SegmentedOrder<NumberedEntry> order_;
};

// Einziger, Eytan, Friedman and Manes, "Adaptive Software Cache Management", 2018: after ten accesses an
// entry the window goes on in the direction that helped, by steps that become smaller; a jump of the hit
// ratio makes them large again.
class ClimbingWTinyLfu {
 public:
  ClimbingWTinyLfu(std::size_t capacity, std::size_t keys)
      : sample_(10 * capacity), cache_(capacity, keys, window_) {}

  bool access(Key key) {
    const bool hit = cache_.access(key);
    hits_ += hit ? 1 : 0;
    if (++accesses_ == sample_) climb();
    return hit;
  }

 private:
  static constexpr double firstStep = 0.0625;
  static constexpr double restart = 0.05;

  void climb() {
    const double ratio = static_cast<double>(hits_) / static_cast<double>(accesses_);
    const double amount = ratio >= lastRatio_ ? step_ : -step_;
    step_ = std::abs(ratio - lastRatio_) >= restart ? std::copysign(firstStep, amount) : 0.98 * amount;
    lastRatio_ = ratio;
    window_ = std::clamp(window_ + amount, 0.001, 0.8);
    cache_.setWindow(window_);
    hits_ = accesses_ = 0;
  }

  std::size_t sample_;
  double window_ = 0.01;
  WTinyLfu cache_;
  double step_ = -firstStep;
  double lastRatio_ = 0;
  std::size_t hits_ = 0;
  std::size_t accesses_ = 0;
};

// The library's.
class Adaptive {
 public:
  Adaptive(std::size_t capacity, std::size_t keys, std::uint64_t seed = 42)
      : capacity_(capacity), policy_(seed) {
    entries_.reserve(keys);
    for (const NumberedEntry& numbered : numberedEntries(keys)) entries_.emplace_back(numbered.keyHash);
  }

  bool access(Key key) {
    Entry& entry = entries_[key];
    if (entry.held) {
      policy_.used(entry);
      return true;
    }
    if (policy_.size() == capacity_) {
      auto& victim = static_cast<Entry&>(*policy_.victim(entry.charge()));
      victim.held = false;
      policy_.removed(victim);
    }
    policy_.reserve(policy_.size() + 1);
    policy_.added(entry);
    entry.held = true;
    return false;
  }
  [[nodiscard]] std::size_t memoryBytes() const { return policy_.memoryBytes(); }

 private:
  struct alignas(16) Entry : lukhas::EvictionEntry {
    explicit Entry(std::uint64_t hash) : EvictionEntry(static_cast<std::uint32_t>(hash), 32) {}
    bool held = false;
  };

  std::size_t capacity_;
  std::vector<Entry> entries_;
  lukhas::AdaptivePolicy policy_;
};

}  // namespace hit_ratio
