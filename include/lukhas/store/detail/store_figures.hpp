// StoreFigures: what the store counts, and what of it is a reason to worry.
#pragma once

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

#include "lukhas/async/world.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/store/store_events.hpp"
#include "lukhas/store/store_options.hpp"

namespace lukhas::detail {

// Totals for the metrics, and the counts of the last one to two minutes for the health: a store that was ill
// an hour ago is not ill now. Pure; the owner guards it.
class StoreFigures {
 public:
  static constexpr Duration recentWindow = std::chrono::minutes(1);
  static constexpr std::uint64_t fewestToJudge = 100;  // a share of fewer calls says nothing
  static constexpr double errorLimit = 0.01;
  static constexpr double fullLimit = 0.9;
  static constexpr double evictionsPerHitLimit = 1;

  // A call begins. True for one in 16: its time is measured too, for a second look at the clock and at the
  // mutex would make the fastest calls half as long again.
  [[nodiscard]] bool call(TimePoint now) noexcept {
    rotate(now);
    ++current_.calls;
    return calls_++ % 16 == 0;
  }
  void time(Duration taken) noexcept { latency_.record(taken); }
  void error() noexcept {
    ++errors_;
    ++current_.errors;
  }
  void read(bool hit) noexcept {
    ++(hit ? hits_ : misses_);
    ++current_.reads;
    if (hit) ++current_.hits;
  }
  void damaged() noexcept {
    ++current_.damaged;
    error();
  }
  // What was counted as a hit turned out to be damaged.
  void hitWasDamaged() noexcept {
    --hits_;
    ++misses_;
    if (current_.hits > 0) --current_.hits;
    damaged();
  }
  void gone(EvictionCause cause) noexcept {
    switch (cause) {
      case EvictionCause::size:
        ++evictions_;
        ++current_.evictions;
        break;
      case EvictionCause::expired: ++expirations_; break;
      case EvictionCause::corrupted: ++corruptions_; break;
    }
  }

  [[nodiscard]] StoreMetrics metrics() const noexcept {
    StoreMetrics metrics;
    metrics.hits = hits_;
    metrics.misses = misses_;
    metrics.evictions = evictions_;
    metrics.expirations = expirations_;
    metrics.corruptions = corruptions_;
    metrics.avgLatencyMs = toMilliseconds(latency_.mean());
    metrics.p99LatencyMs = toMilliseconds(latency_.percentile(99));
    metrics.errorRate = calls_ == 0 ? 0 : static_cast<double>(errors_) / static_cast<double>(calls_);
    return metrics;
  }

  void report(HealthReport& health, TimePoint now, std::size_t bytes, std::size_t maxBytes) {
    rotate(now);
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

  void rotate(TimePoint now) noexcept {
    if (now - windowBegan_ < recentWindow) return;
    previous_ = now - windowBegan_ < 2 * recentWindow ? current_ : Recent{};
    current_ = Recent{};
    windowBegan_ = now;
  }

  std::uint64_t hits_ = 0;
  std::uint64_t misses_ = 0;
  std::uint64_t evictions_ = 0;
  std::uint64_t expirations_ = 0;
  std::uint64_t corruptions_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t errors_ = 0;
  LatencyHistogram latency_;
  Recent current_;
  Recent previous_;
  TimePoint windowBegan_{};
};

}  // namespace lukhas::detail
