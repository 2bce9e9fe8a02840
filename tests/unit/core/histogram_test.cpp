#include "lukhas/core/histogram.hpp"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>

#include "support/catch.hpp"

using lukhas::LatencyHistogram;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

bool isClose(nanoseconds reported, nanoseconds actual) {
  const auto error = static_cast<double>(std::abs((reported - actual).count()));
  return error <= LatencyHistogram::relativeError * static_cast<double>(actual.count());
}

}  // namespace

TEST_CASE("an empty histogram reports zero everywhere", "[core]") {
  const LatencyHistogram histogram;
  CHECK(histogram.count() == 0);
  CHECK(histogram.mean() == 0ns);
  CHECK(histogram.max() == 0ns);
  CHECK(histogram.percentile(0) == 0ns);
  CHECK(histogram.percentile(99) == 0ns);
  CHECK(histogram.percentile(100) == 0ns);
}

TEST_CASE("count and mean and max are exact", "[core]") {
  LatencyHistogram histogram;
  for (const nanoseconds value : {nanoseconds(1'000'003), nanoseconds(7), nanoseconds(999'999'999)})
    histogram.record(value);
  CHECK(histogram.count() == 3);
  CHECK(histogram.mean() == nanoseconds(333'666'670));  // 1,001,000,009 / 3 = 333,666,669.67
  CHECK(histogram.max() == nanoseconds(999'999'999));
}

TEST_CASE("each value alone is reported within the stated error", "[core]") {
  // Both sides of every bucket edge of every power of two, up to the last bucket.
  for (unsigned power = 0; power < 41; ++power) {
    for (std::int64_t sub = 0; sub < 32; ++sub) {
      const std::int64_t edge = (std::int64_t{1} << power) + ((sub << power) >> 5);
      for (const std::int64_t ns : {edge - 1, edge, edge + 1}) {
        LatencyHistogram histogram;
        histogram.record(nanoseconds(ns));
        histogram.record(LatencyHistogram::saturation -
                         1ns);  // so that neither max() nor the rank makes it exact
        INFO("value " << ns << " reported " << histogram.percentile(50).count());
        CHECK(isClose(histogram.percentile(50), nanoseconds(ns)));
        if (ns < 64) CHECK(histogram.percentile(50) == nanoseconds(ns));
      }
    }
  }
}

TEST_CASE("the hundredth percentile is the exact maximum", "[core]") {
  LatencyHistogram histogram;
  histogram.record(1'234'567ns);
  histogram.record(987'654'321ns);
  CHECK(histogram.percentile(100) == 987'654'321ns);
  CHECK(histogram.percentile(250) == 987'654'321ns);
}

TEST_CASE("a percentile is the value of its nearest rank", "[core]") {
  LatencyHistogram histogram;
  for (int ns = 1; ns <= 10; ++ns) histogram.record(nanoseconds(ns));
  CHECK(histogram.percentile(0) == 1ns);
  CHECK(histogram.percentile(10) == 1ns);
  CHECK(histogram.percentile(10.1) == 2ns);
  CHECK(histogram.percentile(50) == 5ns);
  CHECK(histogram.percentile(90) == 9ns);
  CHECK(histogram.percentile(-5) == 1ns);
  CHECK(histogram.percentile(std::numeric_limits<double>::quiet_NaN()) == 1ns);
}

TEST_CASE("rounding of the percent does not move the rank", "[core]") {
  // 999 values of 1 ns and one of 2 ns: 99.9 % of a thousand is rank 999.
  LatencyHistogram histogram;
  for (int i = 0; i < 999; ++i) histogram.record(1ns);
  histogram.record(2ns);
  CHECK(histogram.percentile(99.9) == 1ns);
  // 7 % of a hundred is 7.000000000000001 in floating point.
  LatencyHistogram other;
  for (int i = 0; i < 7; ++i) other.record(1ns);
  for (int i = 7; i < 100; ++i) other.record(2ns);
  CHECK(other.percentile(7) == 1ns);
}

TEST_CASE("a negative duration counts as zero", "[core]") {
  LatencyHistogram histogram;
  histogram.record(-5s);
  histogram.record(nanoseconds::min());
  CHECK(histogram.count() == 2);
  CHECK(histogram.mean() == 0ns);
  CHECK(histogram.max() == 0ns);
  CHECK(histogram.percentile(50) == 0ns);
}

TEST_CASE("a huge duration saturates the percentile but neither mean nor max", "[core]") {
  LatencyHistogram histogram;
  for (int i = 0; i < 4; ++i) histogram.record(nanoseconds::max());
  CHECK(histogram.max() == nanoseconds::max());
  CHECK(histogram.mean() == nanoseconds::max());  // the sum of four does not fit 64 bits
  CHECK(histogram.percentile(100) == nanoseconds::max());
  CHECK(isClose(histogram.percentile(50), LatencyHistogram::saturation));
  CHECK(histogram.percentile(50) < LatencyHistogram::saturation);
}

TEST_CASE("no percentile is above the maximum", "[core]") {
  LatencyHistogram histogram;
  histogram.record(1024ns);  // the lowest value of its bucket: the middle is above it
  histogram.record(1024ns);
  CHECK(histogram.percentile(50) == 1024ns);
}

TEST_CASE("reset forgets everything", "[core]") {
  LatencyHistogram histogram;
  histogram.record(3s);
  histogram.reset();
  CHECK(histogram.count() == 0);
  CHECK(histogram.max() == 0ns);
  histogram.record(5ns);
  CHECK(histogram.mean() == 5ns);
  CHECK(histogram.percentile(99) == 5ns);
}

TEST_CASE("a histogram stays below ten kibibytes", "[core]") { CHECK(sizeof(LatencyHistogram) < 10 * 1024); }

TEST_CASE("milliseconds keep their fraction", "[core]") { CHECK(lukhas::toMilliseconds(1500us) == 1.5); }
