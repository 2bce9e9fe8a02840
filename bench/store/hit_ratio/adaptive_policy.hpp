// AdaptivePolicy: which entry goes, by whichever of four ways to choose would have hit most of late.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "store/hit_ratio/frequency_sketch.hpp"
#include "store/hit_ratio/segmented_order.hpp"
#include "store/hit_ratio/shadow_cache.hpp"

namespace hit_ratio {

// Loads that follow recency want LRU; loads that follow frequency, scans and loops want W-TinyLFU with a
// small window. Instead of guessing a step and looking whether it helped, this policy measures the ways next
// to each other: each of `windows` has a shadow cache, which sees the same accesses and counts its hits.
//
//   each use or addition   the sketch counts it; if the key is sampled, so do the shadows
//   each epoch             the window becomes that of the shadow with most hits, if it leads by the margin;
//   (1/20 of the entries)  then all counts fade, by half in five times as many uses as there are entries,
//                          and at least in 5,000, for a period of the load may be long beside a small cache
//
// A shadow holds at most `shadowEntries`. Of a larger cache it is a miniature: it takes a fixed part of the
// keys, by hash, and the same part of the capacity (Waldspurger et al., "Cache Modeling and Optimization
// using Miniature Simulations", 2017). It starts as LRU, which is also the first of the shadows: wherever LRU
// wins for long, it is chosen.
//
// The caller asks victim() and removes until the new entry fits, then adds it. `seed` keeps chosen keys from
// choosing the sample. All memory is taken at the start: see memoryBytes(). Each call is O(1) amortised.
// Deterministic. Not thread-safe.
//
// Rejected: climbing by the cache's own hit ratio (Caffeine), which loses for long after each change of the
// load; a part of the keys as sample in small caches too, which misses the edge at which a loop fits.
template <class Entry>
class AdaptivePolicy {
 public:
  static constexpr std::size_t shadowEntries = 2048;
  static constexpr std::array<double, 4> windows = {1.0, 0.5, 0.2, 0.01};

  // `entries` is how many are expected to fit into `capacity`; both are at least one.
  AdaptivePolicy(std::size_t capacity, std::size_t entries, std::uint64_t seed)
      : seed_(seed), order_(capacity, windows.front()), sketch_(entries) {
    const std::size_t shadowed = std::min(entries, shadowEntries);
    part_ = static_cast<double>(shadowed) / static_cast<double>(entries);
    const auto miniature = static_cast<std::size_t>(part_ * static_cast<double>(capacity));
    shadows_.reserve(windows.size());
    for (const double window : windows) {
      shadows_.emplace_back(shadowed, std::max<std::size_t>(miniature, 1), window);
    }
  }

  void added(Entry& entry) noexcept {
    order_.add(entry);
    learn(entry);
  }
  void used(Entry& entry) noexcept {
    order_.use(entry);
    learn(entry);
  }
  // Also when it is the victim.
  void removed(Entry& entry) noexcept { order_.remove(entry); }
  [[nodiscard]] Entry* victim(std::size_t incoming) noexcept { return order_.victim(incoming, sketch_); }

  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
  // The part of the capacity that belongs to new entries; 1 is plain LRU.
  [[nodiscard]] double window() const noexcept { return windows[chosen_]; }
  [[nodiscard]] std::size_t memoryBytes() const noexcept {
    std::size_t bytes = sketch_.memoryBytes();
    for (const ShadowCache& shadow : shadows_) bytes += sizeof(ShadowCache) + shadow.memoryBytes();
    return bytes;
  }
  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    return order_.checkInvariants() && std::all_of(shadows_.begin(), shadows_.end(),
                                                   [](const ShadowCache& s) { return s.checkInvariants(); });
  }

 private:
  static constexpr std::size_t epochsPerEntry = 20;
  static constexpr std::size_t shortestEpoch = 50;
  static constexpr double fade = 0.99309;  // 0.5^(1/100): a hundred epochs are five times the entries
  static constexpr double margin = 0.002;  // of the accesses, on top of one hit

  [[nodiscard]] bool sampled(std::uint64_t hash) const noexcept {
    const std::uint64_t mixed = ((hash ^ seed_) ^ ((hash ^ seed_) >> 29)) * 0xbf58476d1ce4e5b9U;
    return static_cast<double>(mixed >> 11) < part_ * 0x1p53;
  }
  void learn(const Entry& entry) noexcept {
    sketch_.add(entry.keyHash);
    if (sampled(entry.keyHash)) {
      for (std::size_t i = 0; i < shadows_.size(); ++i) {
        hits_[i] += shadows_[i].access(entry.keyHash, entry.charge(), sketch_) ? 1 : 0;
      }
    }
    if (++inEpoch_ >= std::max(order_.size() / epochsPerEntry, shortestEpoch)) endEpoch();
  }
  void endEpoch() noexcept {
    accesses_ += part_ * static_cast<double>(inEpoch_);
    inEpoch_ = 0;
    const auto best = static_cast<std::size_t>(std::max_element(hits_.begin(), hits_.end()) - hits_.begin());
    if (hits_[best] > hits_[chosen_] + margin * accesses_ + 1) {
      chosen_ = best;
      order_.setWindow(windows[best]);
    }
    for (double& hits : hits_) hits *= fade;
    accesses_ *= fade;
  }

  std::uint64_t seed_;
  SegmentedOrder<Entry> order_;
  FrequencySketch sketch_;
  std::vector<ShadowCache> shadows_;
  double part_ = 1;                            // of the keys that the shadows see
  std::array<double, windows.size()> hits_{};  // of the shadows, fading
  double accesses_ = 0;                        // of the shadows, fading
  std::size_t chosen_ = 0;
  std::size_t inEpoch_ = 0;
};

}  // namespace hit_ratio
