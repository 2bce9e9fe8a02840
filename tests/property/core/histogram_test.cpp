#include "lukhas/core/histogram.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "support/rapidcheck.hpp"

namespace {

using lukhas::LatencyHistogram;
using std::chrono::nanoseconds;

// Durations of every magnitude from nanoseconds to what the last bucket holds, each as likely.
rc::Gen<std::int64_t> anyLatency() {
  return rc::gen::map(rc::gen::pair(rc::gen::resize(100, rc::gen::inRange(0, 42)),
                                    rc::gen::resize(100, rc::gen::arbitrary<std::uint64_t>())),
                      [](const std::pair<int, std::uint64_t>& drawn) {
                        const std::uint64_t mask = (std::uint64_t{1} << drawn.first) - 1;
                        return static_cast<std::int64_t>(drawn.second & mask);
                      });
}

rc::Gen<std::vector<std::int64_t>> anyLatencies() {
  return rc::gen::scale(3, rc::gen::nonEmpty(rc::gen::container<std::vector<std::int64_t>>(anyLatency())));
}

LatencyHistogram recorded(const std::vector<std::int64_t>& latencies) {
  LatencyHistogram histogram;
  for (const std::int64_t ns : latencies) histogram.record(nanoseconds(ns));
  return histogram;
}

}  // namespace

TEST_CASE("every percentile is within the stated error of the sorted reference", "[core]") {
  lukhas::test::holdsForAll("percentiles follow the nearest rank", [] {
    auto latencies = *anyLatencies();
    const LatencyHistogram histogram = recorded(latencies);
    std::sort(latencies.begin(), latencies.end());
    // Rank r of n is the percentile of every percent above (r - 1) / n up to r / n: the middle is safe from
    // rounding.
    for (std::size_t rank = 1; rank <= latencies.size(); ++rank) {
      const double percent = 100 * (static_cast<double>(rank) - 0.5) / static_cast<double>(latencies.size());
      const std::int64_t expected = latencies[rank - 1];
      const std::int64_t reported = histogram.percentile(percent).count();
      const double error = std::abs(static_cast<double>(reported - expected));
      RC_ASSERT(error <= LatencyHistogram::relativeError * static_cast<double>(expected));
    }
  });
}

TEST_CASE("count and mean and max are those of the values", "[core]") {
  lukhas::test::holdsForAll("they are exact", [] {
    const auto latencies = *anyLatencies();
    const LatencyHistogram histogram = recorded(latencies);
    const auto count = static_cast<std::int64_t>(latencies.size());
    const std::int64_t sum = std::accumulate(latencies.begin(), latencies.end(), std::int64_t{0});
    RC_ASSERT(histogram.count() == latencies.size());
    RC_ASSERT(histogram.max().count() == *std::max_element(latencies.begin(), latencies.end()));
    RC_ASSERT(histogram.mean().count() == (sum + count / 2) / count);
  });
}

TEST_CASE("merged histograms are as one that recorded everything", "[core]") {
  lukhas::test::holdsForAll("merging adds", [] {
    auto left = *anyLatencies();
    const auto right = *anyLatencies();
    LatencyHistogram merged = recorded(left);
    merged.merge(recorded(right));
    left.insert(left.end(), right.begin(), right.end());
    const LatencyHistogram whole = recorded(left);

    RC_ASSERT(merged.count() == whole.count());
    RC_ASSERT(merged.mean() == whole.mean());
    RC_ASSERT(merged.max() == whole.max());
    for (int percent = 0; percent <= 100; ++percent)
      RC_ASSERT(merged.percentile(percent) == whole.percentile(percent));
  });
}
