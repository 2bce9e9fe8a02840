// ShadowContest: which window would have hit most of late, and whether choosing pays against LRU.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "lukhas/core/allocated_bytes.hpp"
#include "lukhas/store/detail/frequency_sketch.hpp"
#include "lukhas/store/detail/segmented_order.hpp"
#include "lukhas/store/detail/shadow_cache.hpp"

namespace lukhas::detail {

// Each of `windows` has a shadow cache, which sees the same accesses as the real one and counts its hits.
//
//   each epoch             the window becomes that of the shadow with most hits, if it leads by the margin;
//   (1/20 of the entries)  then all counts fade, by half in five times as many accesses as there are entries,
//                          and at least in 5,000, for a period of the load may be long beside a small cache
//
// Samples. Of a cache of over 64 entries a shadow is a miniature: it takes a half of the keys, by hash, or a
// quarter, and of over 8,192 entries as many as leave 2,048 (Waldspurger et al., "Cache Modeling and
// Optimization using Miniature Simulations", 2017). Its capacity is not that part of the real one, but what
// the sampled entries of the real one weigh: a loop that just fits into the cache fits then into the
// miniature, and one that does not, does not, whatever sample the hashes happen to draw.
//
// A limit on regret. A shadow does not show what a change costs: the real cache first has to collect what the
// shadow has collected. So the hits of the real cache are held against those of the LRU shadow over a long
// time (half goes in 250 times the entries). If it has lost more than a budget, the choice is LRU until the
// budget, which grows with each access, is above the loss again: whatever the shadows say, no more is risked
// than 0.3 % of the accesses and one hit for fifty entries, and of what was won no more than 2 %. The way
// back to LRU comes on top.
//
// All memory is taken in reserve(). Deterministic. Not thread-safe.
class ShadowContest {
 public:
  // In parts of SegmentedOrder::whole: LRU, a quarter, one percent.
  static constexpr std::array<unsigned, 3> windows = {128, 32, 1};

  explicit ShadowContest(std::uint64_t seed) noexcept : seed_(seed) {}

  // Of `windows`, the one to use now.
  [[nodiscard]] std::size_t choice() const noexcept { return choice_; }

  // Room for the shadows of so many entries. Throws std::bad_alloc, and then nothing has changed.
  void reserve(std::size_t entries) {
    const std::size_t slots = slotsFor(entries);
    if (slots <= slots_) return;
    auto memory = std::make_unique<std::byte[]>(bytesFor(slots));
    for (std::size_t i = 0; i < shadows_.size(); ++i) {
      shadows_[i].grow(memory.get() + i * ShadowCache::bytesFor(slots), slots);
    }
    memory_ = std::move(memory);
    slots_ = slots;
  }
  // What the real cache holds now, of which `entered` or `left` is the latest change.
  void entered(std::uint32_t hash, std::size_t charge, std::size_t entries) noexcept {
    weigh(hash, static_cast<std::int64_t>(charge));
    sampleFor(entries);
  }
  void left(std::uint32_t hash, std::size_t charge, std::size_t entries) noexcept {
    weigh(hash, -static_cast<std::int64_t>(charge));
    if (slots_ > 4 * slotsFor(entries)) release();
  }
  // The real cache is full with so many bytes, for the first time or after a change.
  void becameFull(std::size_t held) noexcept {
    share_ = held > 0 ? static_cast<double>(seen_) / static_cast<double>(held) : 0;
  }

  // An access, and whether the real cache hit. `capacity` is that of the real one; zero: it was never full.
  void saw(std::uint32_t hash, std::size_t charge, bool hit, std::size_t capacity,
           const FrequencySketch& sketch) noexcept {
    if (slots_ == 0 || levelOf(hash) < rate_) return;
    // to the nearest entry, not down: half an entry is much of a small miniature
    const double miniature =
        capacity > 0 ? share_ * static_cast<double>(capacity) + static_cast<double>(charge) / 2 : most;
    const auto weight =
        static_cast<std::uint32_t>(std::min<std::size_t>(charge, std::numeric_limits<std::uint32_t>::max()));
    for (std::size_t i = 0; i < shadows_.size(); ++i) {
      const bool shadowHit =
          shadows_[i].access(hash, weight, static_cast<std::size_t>(std::max(miniature, 1.0)), sketch);
      hits_[i] += shadowHit ? 1 : 0;
      if (i == lru && !settled_) regret_ += (shadowHit ? 1 : 0) - (hit ? 1 : 0);
    }
    accesses_ += 1;
    risked_ += 1;
  }
  // How many accesses an epoch has.
  [[nodiscard]] static std::size_t epochFor(std::size_t entries) noexcept {
    return std::max(entries / epochsPerEntry, shortestEpoch);
  }
  void endEpoch(std::size_t entries, std::size_t held, std::size_t capacity) noexcept {
    if (capacity > 0 && held > 0) {
      share_ += (static_cast<double>(seen_) / static_cast<double>(held) - share_) * shareStep;
    }
    const auto best = static_cast<std::size_t>(std::max_element(hits_.begin(), hits_.end()) - hits_.begin());
    const std::size_t before = choice_;
    if (hits_[best] > hits_[choice_] + margin * accesses_ + 1) choice_ = best;
    regret_ = std::max(regret_, -mostWon * risked_);
    if (regret_ > risk * risked_ + firstRisk * static_cast<double>(entries >> rate_)) choice_ = lru;
    sinceChange_ = choice_ == before ? sinceChange_ + epochFor(entries) : 0;
    settled_ = choice_ == lru && (settled_ || sinceChange_ > 2 * entries);
    for (double& hits : hits_) hits *= fade;
    accesses_ *= fade;
    regret_ *= slowFade;
    risked_ *= slowFade;
  }
  void clear() noexcept {
    release();
    chargeAt_ = {};
    hits_ = {};
    seen_ = 0;
    accesses_ = risked_ = regret_ = share_ = 0;
    rate_ = 0;
    choice_ = lru;
    settled_ = true;
  }

  [[nodiscard]] std::size_t memoryBytes() const noexcept { return allocationBound(bytesFor(slots_)); }
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t entries) const noexcept {
    return allocationBound(bytesFor(std::max(slots_, slotsFor(entries))));
  }
  [[nodiscard]] static constexpr std::size_t memoryBound(std::size_t entries) noexcept {
    return allocationBound(bytesFor(4 * slotsFor(entries)));
  }
  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::int64_t seen = 0;
    for (std::size_t i = rate_; i < chargeAt_.size(); ++i) seen += chargeAt_[i];
    return seen == seen_ && std::all_of(shadows_.begin(), shadows_.end(),
                                        [](const ShadowCache& each) { return each.checkInvariants(); });
  }

 private:
  static constexpr std::size_t lru = 0;
  static constexpr std::size_t wholeUpTo = 64;  // entries: from there on a sample
  static constexpr unsigned smallRate = 2;      // one key of four, where that leaves at most mostSampled
  static constexpr std::size_t mostSampled = 2048;
  static constexpr std::size_t levels = 40;
  static constexpr std::size_t epochsPerEntry = 20;
  static constexpr std::size_t shortestEpoch = 50;
  static constexpr double fade = 0.99309;      // 0.5^(1/100): a hundred epochs are five times the entries
  static constexpr double slowFade = 0.99986;  // 0.5^(1/5000)
  static constexpr double margin = 0.002;      // of the accesses, on top of one hit
  static constexpr double risk = 0.003;        // of the accesses
  static constexpr double firstRisk = 0.02;    // of the entries: what the first change may cost
  static constexpr double mostWon = 0.02;      // of the accesses
  static constexpr double shareStep = 0.3;
  static constexpr double most = 0x1p62;

  // Of so many entries one of two to this power is sampled.
  static constexpr unsigned rateFor(std::size_t entries) noexcept {
    unsigned rate = 0;
    while (rate < smallRate && (entries >> rate) > wholeUpTo) ++rate;
    while ((entries >> rate) > mostSampled) ++rate;
    return rate;
  }
  // An eighth more than are expected, in steps of about a quarter.
  static constexpr std::size_t slotsFor(std::size_t entries) noexcept {
    if (entries == 0) return 0;
    const std::size_t sampled = std::max<std::size_t>(8, entries >> rateFor(entries));
    const std::size_t step = std::bit_floor(sampled) / 8;
    return (sampled + sampled / 8 + step - 1) / step * step;
  }
  static constexpr std::size_t bytesFor(std::size_t slots) noexcept {
    return windows.size() * ShadowCache::bytesFor(slots);
  }

  // A key is sampled if its level is at least the rate: half of the keys have level 0, a quarter 1, …
  [[nodiscard]] unsigned levelOf(std::uint32_t hash) const noexcept {
    const std::uint64_t mixed = (hash ^ seed_) * 0xbf58476d1ce4e5b9U;
    const auto level = static_cast<unsigned>(std::countl_zero(mixed ^ (mixed << 32U)));
    return std::min<unsigned>(level, levels - 1);
  }
  void weigh(std::uint32_t hash, std::int64_t charge) noexcept {
    const unsigned level = levelOf(hash);
    chargeAt_[level] += charge;
    if (level >= rate_) seen_ += charge;
  }
  // The rate follows the number of entries, but comes down only when that is clearly smaller.
  void sampleFor(std::size_t entries) noexcept {
    unsigned rate = rateFor(entries);
    if (rate < rate_ && rateFor(entries + entries / 4) == rate_) rate = rate_;
    if (rate == rate_) return;
    const auto before = static_cast<double>(seen_);
    rate_ = rate;
    for (ShadowCache& shadow : shadows_) {
      shadow.keepOnly([this](std::uint32_t hash) { return levelOf(hash) >= rate_; });
    }
    seen_ = 0;
    for (std::size_t i = rate_; i < chargeAt_.size(); ++i) seen_ += chargeAt_[i];
    share_ = before > 0 ? share_ * static_cast<double>(seen_) / before : 0;
  }
  void release() noexcept {
    for (ShadowCache& shadow : shadows_) shadow.reset();
    memory_.reset();
    slots_ = 0;
  }

  std::uint64_t seed_;  // keeps chosen keys from choosing the sample
  std::array<ShadowCache, 3> shadows_{ShadowCache(windows[0]), ShadowCache(windows[1]),
                                      ShadowCache(windows[2])};
  std::unique_ptr<std::byte[]> memory_;  // of all shadows
  std::size_t slots_ = 0;                // of each
  unsigned rate_ = 0;
  std::array<std::int64_t, levels> chargeAt_{};  // of the real entries, by level
  std::int64_t seen_ = 0;                        // of the real entries that are sampled
  double share_ = 0;                             // of the sampled ones in all that is held, smoothed
  std::array<double, windows.size()> hits_{};    // of the shadows, fading
  double accesses_ = 0;                          // of the shadows, fading
  double risked_ = 0;                            // accesses of the shadows, fading slowly
  double regret_ = 0;                            // LRU's hits less the real ones, fading slowly
  std::size_t choice_ = lru;
  std::size_t sinceChange_ = 0;  // accesses
  bool settled_ = true;          // LRU for so long that what it hits differs by chance alone from its shadow
};

}  // namespace lukhas::detail
