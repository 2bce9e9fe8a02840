// LatencyHistogram: percentiles with a bounded relative error, in fixed memory, O(1) to record.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace lukhas {

// How long things took, for the figures of getMetrics().
//
//   lukhas::LatencyHistogram latency;
//   latency.record(environment.now() - started);
//   metrics.avgLatencyMs = toMilliseconds(latency.mean());
//   metrics.p99LatencyMs = toMilliseconds(latency.percentile(99));
//
// Log-linear buckets, the idea of HdrHistogram (Gil Tene, 2012, hdrhistogram.org): each power of two is
// divided into 32 equal buckets, and a percentile is reported as the middle of its bucket. So its relative
// error is at most 1/64 (1.6 %), and values below 64 ns are exact. 1,184 buckets (9.3 KiB) reach to 2^41 ns,
// about 36 minutes; what is longer counts in the last bucket, and what is negative counts as zero. count,
// mean and max are exact, whatever was recorded.
//
// Not thread-safe: the component that owns it guards it.
class LatencyHistogram {
 public:
  static constexpr double relativeError = 1.0 / 64;
  // From here on a percentile is only known to be at least about this, though never above max().
  static constexpr std::chrono::nanoseconds saturation{std::int64_t{1} << 41};

  void record(std::chrono::nanoseconds value) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
    ++buckets_[bucketOf(ns)];
    ++count_;
    sum_ += ns;
    max_ = std::max(max_, ns);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::chrono::nanoseconds max() const noexcept { return toDuration(max_); }
  // Rounded to the nearest nanosecond; zero when nothing was recorded.
  [[nodiscard]] std::chrono::nanoseconds mean() const noexcept {
    if (count_ == 0) return std::chrono::nanoseconds::zero();
    return toDuration(static_cast<std::uint64_t>((sum_ + count_ / 2) / count_));
  }

  // The smallest recorded value that at least `percent` of all values do not exceed (nearest rank), within
  // relativeError; 100 gives max(), exactly. `percent` is taken into 0 to 100. Zero when nothing was
  // recorded.
  [[nodiscard]] std::chrono::nanoseconds percentile(double percent) const noexcept {
    if (count_ == 0) return std::chrono::nanoseconds::zero();
    const std::uint64_t rank = rankOf(percent);
    if (rank == count_) return max();
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen >= rank) return toDuration(std::min(middleOf(bucket), max_));
    }
    return max();
  }

  // As if what `other` recorded had been recorded here.
  void merge(const LatencyHistogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket)
      buckets_[bucket] += other.buckets_[bucket];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }
  void reset() noexcept { *this = LatencyHistogram(); }

 private:
  // 64 bits of nanoseconds overflow after two of the longest durations; 128 never do.
  __extension__ using Sum = unsigned __int128;

  static constexpr unsigned subBits = 5;
  static constexpr std::uint64_t subBuckets = 1U << subBits;
  static constexpr unsigned maxBits = 41;
  static constexpr std::size_t bucketCount = (maxBits - subBits + 1) * subBuckets;

  // Below 2 * subBuckets each value has its own bucket. Above, a value keeps its 6 leading bits: the highest
  // gives the power of two, the other five the bucket within it.
  static constexpr std::size_t bucketOf(std::uint64_t ns) noexcept {
    if (ns < subBuckets) return ns;
    const auto exponent = static_cast<unsigned>(std::bit_width(ns)) - 1 - subBits;
    const std::size_t bucket = exponent * subBuckets + (ns >> exponent);
    return std::min(bucket, bucketCount - 1);
  }
  static constexpr std::uint64_t middleOf(std::size_t bucket) noexcept {
    if (bucket < 2 * subBuckets) return bucket;
    const std::uint64_t exponent = bucket / subBuckets - 1;
    const std::uint64_t lowest = (bucket % subBuckets + subBuckets) << exponent;
    return lowest + (std::uint64_t{1} << exponent) / 2;
  }

  [[nodiscard]] std::uint64_t rankOf(double percent) const noexcept {
    if (!(percent > 0)) return 1;  // NaN too
    if (percent >= 100) return count_;
    // The product may come out a hair above a whole number (99.9 % of 1,000 is rank 999, not 1,000).
    const double rank = std::ceil(percent * static_cast<double>(count_) / 100 * (1 - 1e-12));
    return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(rank), 1, count_);
  }
  static constexpr std::chrono::nanoseconds toDuration(std::uint64_t ns) noexcept {
    return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
  }

  std::array<std::uint64_t, bucketCount> buckets_{};
  std::uint64_t count_ = 0;
  Sum sum_ = 0;
  std::uint64_t max_ = 0;
};

// Milliseconds as people read them in metrics.
[[nodiscard]] inline double toMilliseconds(std::chrono::nanoseconds value) noexcept {
  return std::chrono::duration<double, std::milli>(value).count();
}

}  // namespace lukhas
