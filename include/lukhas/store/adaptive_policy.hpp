// AdaptivePolicy: which entry goes, by whichever of three ways to choose would have hit most of late.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lukhas/store/detail/frequency_sketch.hpp"
#include "lukhas/store/detail/segmented_order.hpp"
#include "lukhas/store/detail/shadow_contest.hpp"
#include "lukhas/store/eviction_policy.hpp"

namespace lukhas {

namespace detail {

// How SegmentedOrder reaches the entries of a store.
struct EntrySpace {
  using Ref = EvictionEntry*;
  static constexpr Ref none = nullptr;

  static auto& newer(Ref ref) noexcept { return ref->newer; }
  static auto& older(Ref ref) noexcept { return ref->older; }
  static std::uint8_t& state(Ref ref) noexcept { return ref->policyState; }
  static std::size_t charge(Ref ref) noexcept { return ref->charge(); }
  static std::uint32_t hash(Ref ref) noexcept {
    const std::uint64_t hash = ref->keyHash;
    return static_cast<std::uint32_t>(hash ^ (hash >> 32U));
  }
};

}  // namespace detail

// Loads that follow recency want LRU; loads that follow frequency, scans and loops want W-TinyLFU with a
// small window (Einziger, Friedman and Manes 2017). Instead of guessing a step and looking whether it helped,
// this policy measures the ways next to each other, in shadow caches of hashes:
//
//   order     where each entry stands: SegmentedOrder, with a window of the whole capacity, a quarter, or 1 %
//   sketch    how often each key was used of late: FrequencySketch
//   contest   which window would have hit most, and whether leaving LRU pays at all: ShadowContest
//
// It begins as LRU, and returns to it when it has lost more to it than about 0.3 % of the accesses, whatever
// else seems better: so it may be chosen without knowing the load. For a store:
//
//   options.eviction = lukhas::Eviction::adaptive();
//
// Entries count by what they take (charge), so that small ones are worth their place; who wins between two is
// decided by how often they were used alone.
//
// Costs. O(1) a call, amortised. Memory: 9 bytes an entry for the sketch, and for the shadows 15 up to 8,192
// entries, less than two from 100,000 on, and about 4 KiB where there are few. All of it is taken in
// reserve(). Deterministic: the same calls with the same seed give the same victims. Not thread-safe.
//
// Rejected: climbing by the cache's own hit ratio (Caffeine), which has to lose in order to learn.
class AdaptivePolicy final : public EvictionPolicy {
 public:
  // `seed` keeps chosen keys from choosing the sample that the shadows see.
  explicit AdaptivePolicy(std::uint64_t seed) noexcept : contest_(seed) {}

  void added(EvictionEntry& entry) noexcept override {
    order_.setCapacity(capacity(entry.charge()));
    order_.add(&entry);
    sketch_.follow(order_.size());
    contest_.entered(hashOf(entry), entry.charge(), order_.size());
    askedSinceAdded_ = false;
    learn(entry, false);
  }
  void used(EvictionEntry& entry) noexcept override {
    order_.use(&entry);
    learn(entry, true);
  }
  // The new value takes the place of the old one, and is used.
  void replaced(EvictionEntry& old, EvictionEntry& fresh) noexcept override {
    order_.replace(&old, &fresh);
    contest_.left(hashOf(old), old.charge(), order_.size());
    contest_.entered(hashOf(fresh), fresh.charge(), order_.size());
    askedSinceAdded_ = false;
    used(fresh);
  }
  void removed(EvictionEntry& entry) noexcept override {
    order_.remove(&entry);
    sketch_.follow(order_.size());
    contest_.left(hashOf(entry), entry.charge(), order_.size());
  }
  // May move an entry from the window to main. To be asked is what tells how much there is room for.
  [[nodiscard]] EvictionEntry* victim(std::size_t incomingBytes) noexcept override {
    if (!askedSinceAdded_) {
      if (full_ == 0) contest_.becameFull(order_.charge());
      full_ = order_.charge();
      order_.setCapacity(full_);
      askedSinceAdded_ = true;
    }
    return order_.victim(incomingBytes, sketch_);
  }
  void clear() noexcept override {
    order_.clear();
    sketch_.clear();
    contest_.clear();
    order_.setWindow(Contest::windows[contest_.choice()]);
    full_ = inEpoch_ = sinceChange_ = 0;
  }
  void resized([[maybe_unused]] std::size_t capacityBytes) noexcept override { full_ = 0; }

  [[nodiscard]] std::size_t memoryBytes() const noexcept override {
    return sketch_.memoryBytes() + contest_.memoryBytes();
  }
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t entries) const noexcept override {
    return sketch_.memoryBytesFor(entries) + contest_.memoryBytesFor(entries);
  }
  [[nodiscard]] std::size_t memoryBound(std::size_t entries) const noexcept override {
    return Sketch::memoryBound(entries) + Contest::memoryBound(entries);
  }
  void reserve(std::size_t entries) override {
    sketch_.reserve(entries);
    contest_.reserve(entries);
  }
  [[nodiscard]] bool checkInvariants() const noexcept override {
    return order_.checkInvariants() && contest_.checkInvariants();
  }

  // For looking.
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
  // The part of the capacity that belongs to new entries; 1 is LRU.
  [[nodiscard]] double window() const noexcept { return static_cast<double>(order_.window()) / Order::whole; }

 private:
  using Order = detail::SegmentedOrder<detail::EntrySpace>;
  using Sketch = detail::FrequencySketch;
  using Contest = detail::ShadowContest;

  static std::uint32_t hashOf(EvictionEntry& entry) noexcept { return detail::EntrySpace::hash(&entry); }
  [[nodiscard]] std::size_t capacity(std::size_t incoming) const noexcept {
    return std::max(full_, order_.charge() + incoming);
  }
  void learn(EvictionEntry& entry, bool hit) noexcept {
    const std::uint32_t hash = hashOf(entry);
    sketch_.add(hash);
    contest_.saw(hash, entry.charge(), hit, full_ > 0 ? capacity(0) : 0, sketch_);
    if (++inEpoch_ >= Contest::epochFor(order_.size())) endEpoch();
  }
  // After a change those who are there are not better than those who come: half a turnover without advantage
  // lets the order find the entries that the winning shadow has.
  void endEpoch() noexcept {
    sinceChange_ += inEpoch_;
    inEpoch_ = 0;
    if (sinceChange_ > order_.size() / 2) order_.setAdvantage(1);
    contest_.endEpoch(order_.size(), order_.charge(), full_);
    const unsigned window = Contest::windows[contest_.choice()];
    if (window == order_.window()) return;
    order_.setWindow(window);
    order_.setAdvantage(0);
    sinceChange_ = 0;
  }

  Order order_{Contest::windows[0]};
  Sketch sketch_;
  Contest contest_;
  std::size_t full_ = 0;          // what was held when room was last needed; 0: it never was
  bool askedSinceAdded_ = false;  // for a victim: what is held then is less and less
  std::size_t inEpoch_ = 0;
  std::size_t sinceChange_ = 0;
};

}  // namespace lukhas
