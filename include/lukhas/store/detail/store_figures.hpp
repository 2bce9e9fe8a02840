// StoreFigures: what the store counts, and what of it is a reason to worry.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <fmt/format.h>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/async/world.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/store/store_events.hpp"
#include "lukhas/store/store_options.hpp"

namespace lukhas::detail {

// Totals for the metrics, and the counts of the last one to two minutes for the health: a store that was ill
// an hour ago is not ill now. Pure; the owner guards it with its mutex, hit() excepted.
class StoreFigures {
 public:
  static constexpr Duration recentWindow = std::chrono::minutes(1);
  static constexpr std::uint64_t fewestToJudge = 100;  // a share of fewer calls says nothing
  static constexpr double errorLimit = 0.01;
  static constexpr double fullLimit = 0.9;
  static constexpr double evictionsPerHitLimit = 1;

  // A call begins.
  void call(TimePoint now) noexcept {
    rotate(now);
    ++current_.calls;
    ++calls_;
  }
  // Whether to measure a call's time: one in 16, for a second look at the clock and at the mutex would make
  // the fastest calls half as long again. At random distances, so that no rhythm of the calls hides one of
  // them. sampleIsDue() is for a first look without the mutex: only who has read the clock before he waits
  // for it can say how long that took.
  [[nodiscard]] bool sampleIsDue() const noexcept {
    return untilSample_.load(std::memory_order_relaxed) == 0;
  }
  [[nodiscard]] bool isSample(bool wasDue) noexcept {
    const std::uint32_t left = untilSample_.load(std::memory_order_relaxed);
    if (left > 0) untilSample_.store(left - 1, std::memory_order_relaxed);
    if (left > 0 || !wasDue) return false;
    const std::uint64_t distance = distances_.below(2 * meanDistance - 1);
    untilSample_.store(static_cast<std::uint32_t>(distance), std::memory_order_relaxed);
    return true;
  }
  void time(Duration taken) noexcept { latency_.record(taken); }
  void error() noexcept {
    ++errors_;
    ++current_.errors;
  }
  // A read found an entry or not. An entry is a hit only when it turns out to be sound: the total is a
  // counter, which must never go back.
  void read(bool found) noexcept {
    ++current_.reads;
    ++(found ? current_.hits : misses_);
  }
  // What was found is sound. Any thread may call: checksums are looked at without the mutex.
  void hit() noexcept { hits_.fetch_add(1, std::memory_order_relaxed); }
  // The same under the mutex, where it costs less.
  void hitInside() noexcept { ++hitsInside_; }
  // A getOrCompute has begun to load in the background; that came to nothing.
  void refreshBegan() noexcept { ++earlyRefreshes_; }
  void refreshFailed() noexcept { ++failedRefreshes_; }
  // What was found is damaged.
  void foundDamaged() noexcept {
    ++misses_;
    if (current_.hits > 0) --current_.hits;
  }
  void gone(EvictionCause cause) noexcept {
    switch (cause) {
      case EvictionCause::size:
        ++evictions_;
        ++current_.evictions;
        break;
      case EvictionCause::expired: ++expirations_; break;
      case EvictionCause::corrupt:
        ++corruptions_;
        ++current_.damaged;
        break;
      case EvictionCause::replaced:
      case EvictionCause::removed: break;  // it was asked for
    }
  }

  // Counts what another one has counted too, as if it had been here.
  void add(const StoreFigures& other) noexcept {
    hitsInside_ += other.hitsInside_ + other.hits_.load(std::memory_order_relaxed);
    misses_ += other.misses_;
    evictions_ += other.evictions_;
    expirations_ += other.expirations_;
    corruptions_ += other.corruptions_;
    earlyRefreshes_ += other.earlyRefreshes_;
    failedRefreshes_ += other.failedRefreshes_;
    calls_ += other.calls_;
    errors_ += other.errors_;
    latency_.merge(other.latency_);
    current_ = current_ + other.current_;
    previous_ = previous_ + other.previous_;
  }

  [[nodiscard]] StoreMetrics metrics() const noexcept {
    StoreMetrics metrics;
    metrics.hits = hitsInside_ + hits_.load(std::memory_order_relaxed);
    metrics.misses = misses_;
    metrics.evictions = evictions_;
    metrics.expirations = expirations_;
    metrics.corruptions = corruptions_;
    metrics.earlyRefreshes = earlyRefreshes_;
    metrics.failedRefreshes = failedRefreshes_;
    metrics.avgLatencyMs = toMilliseconds(latency_.mean());
    metrics.p99LatencyMs = toMilliseconds(latency_.percentile(99));
    metrics.errorRate = calls_ == 0 ? 0 : static_cast<double>(errors_) / static_cast<double>(calls_);
    return metrics;
  }

  // Before add() and report(): forgets what is too long ago.
  void rotate(TimePoint now) noexcept {
    if (now - windowBegan_ < recentWindow) return;
    previous_ = now - windowBegan_ < 2 * recentWindow ? current_ : Recent{};
    current_ = Recent{};
    windowBegan_ = now;
  }
  void report(HealthReport& health, std::size_t bytes, std::size_t maxBytes) const {
    const Recent recent = current_ + previous_;
    if (recent.damaged > 0) {
      const auto damaged = static_cast<double>(recent.damaged);
      health.report("corruption", fmt::format("{} values did not match their checksum", recent.damaged),
                    damaged, 0);
    }
    const double errors = share(recent.errors, recent.calls);
    if (recent.calls >= fewestToJudge && errors > errorLimit) {
      health.report("high_error_rate",
                    fmt::format("{:.1f} % of the calls met damage or were refused", 100 * errors), errors,
                    errorLimit);
    }
    const double full = share(bytes, maxBytes);
    const double pressure = share(recent.evictions, std::max<std::uint64_t>(recent.hits, 1));
    if (full >= fullLimit && recent.reads >= fewestToJudge && pressure > evictionsPerHitLimit) {
      health.report("eviction_pressure",
                    fmt::format("{:.1f} % of the memory is taken, and {:.1f} entries were evicted for each "
                                "read that found one",
                                100 * full, pressure),
                    pressure, evictionsPerHitLimit);
    }
  }

 private:
  static constexpr std::uint64_t meanDistance = 16;

  struct Recent {
    std::uint64_t calls = 0;
    std::uint64_t errors = 0;
    std::uint64_t reads = 0;
    std::uint64_t hits = 0;
    std::uint64_t damaged = 0;
    std::uint64_t evictions = 0;

    friend Recent operator+(const Recent& a, const Recent& b) noexcept {
      return {a.calls + b.calls, a.errors + b.errors,   a.reads + b.reads,
              a.hits + b.hits,   a.damaged + b.damaged, a.evictions + b.evictions};
    }
  };

  static double share(std::uint64_t part, std::uint64_t whole) noexcept {
    return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
  }

  std::atomic<std::uint64_t> hits_ = 0;
  std::uint64_t hitsInside_ = 0;
  std::uint64_t misses_ = 0;
  std::uint64_t evictions_ = 0;
  std::uint64_t expirations_ = 0;
  std::uint64_t corruptions_ = 0;
  std::uint64_t earlyRefreshes_ = 0;
  std::uint64_t failedRefreshes_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t errors_ = 0;
  LatencyHistogram latency_;
  SplitMix distances_{0};
  std::atomic<std::uint32_t> untilSample_ = 0;  // calls that are not measured before the next one that is
  Recent current_;
  Recent previous_;
  TimePoint windowBegan_{};
};

}  // namespace lukhas::detail
