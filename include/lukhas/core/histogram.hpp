// LatencyHistogram: percentiles with a bounded relative error, in fixed memory, O(1) to record.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace lukhas {

// Log-linear buckets, the idea of HdrHistogram (Gil Tene): each power of two is divided into 32 equal buckets, and a
// percentile is reported as the middle of its bucket. Its relative error is therefore at most 1/64 (1.6 %); values below
// 32 ns are exact. 1,184 buckets (9.3 KiB) reach to 2^41 ns, about 36 minutes; what is longer counts in the last one.
// count, mean and max are exact. Not thread-safe: its owner guards it.
class LatencyHistogram {
 public:
  static constexpr double relativeError = 1.0 / 64;

  void record(std::chrono::nanoseconds value) noexcept {
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(value.count(), 0));
    ++buckets_[bucketOf(ns)];
    ++count_;
    sum_ += static_cast<double>(ns);
    max_ = std::max(max_, ns);
  }

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::chrono::nanoseconds max() const noexcept { return std::chrono::nanoseconds(max_); }
  [[nodiscard]] std::chrono::nanoseconds mean() const noexcept {
    return std::chrono::nanoseconds(count_ == 0 ? 0 : std::llround(sum_ / static_cast<double>(count_)));
  }

  // The smallest recorded value that at least `percent` of all values do not exceed; zero when there are none.
  [[nodiscard]] std::chrono::nanoseconds percentile(double percent) const noexcept {
    if (count_ == 0) return std::chrono::nanoseconds::zero();
    const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
    const auto rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
      seen += buckets_[bucket];
      if (seen >= rank) return std::chrono::nanoseconds(std::min(middleOf(bucket), max_));
    }
    return max();
  }

  void merge(const LatencyHistogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) buckets_[bucket] += other.buckets_[bucket];
    count_ += other.count_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }
  void reset() noexcept { *this = LatencyHistogram(); }

 private:
  static constexpr unsigned subBits = 5;
  static constexpr std::uint64_t subBuckets = 1U << subBits;
  static constexpr unsigned maxBits = 41;
  static constexpr std::size_t bucketCount = (maxBits - subBits + 1) * subBuckets;

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

  std::array<std::uint64_t, bucketCount> buckets_{};
  std::uint64_t count_ = 0;
  double sum_ = 0;
  std::uint64_t max_ = 0;
};

// Milliseconds as people read them in metrics.
[[nodiscard]] inline double toMilliseconds(std::chrono::nanoseconds value) noexcept {
  return std::chrono::duration<double, std::milli>(value).count();
}

}  // namespace lukhas
