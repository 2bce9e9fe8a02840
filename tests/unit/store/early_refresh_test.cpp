#include "lukhas/store/detail/early_refresh.hpp"

#include <limits>

#include "lukhas/async/split_mix.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::detail::EarlyRefresh;

namespace {

// Which share of many reads takes the value for expired.
double shareDue(const EarlyRefresh& refresh, Duration remaining) {
  lukhas::SplitMix chance(7);
  int due = 0;
  for (int i = 0; i < 10'000; ++i) due += refresh.isDue(1, remaining, chance.next()) ? 1 : 0;
  return due / 10'000.0;
}

}  // namespace

TEST_CASE("a value is due the sooner the longer it takes to load", "[store]") {
  EarlyRefresh refresh(1);
  CHECK(refresh.isOn());
  CHECK(shareDue(refresh, 1ns) == 0);  // never loaded
  refresh.loaded(1, 1s);
  // -ln(u) >= x has the probability e^-x
  CHECK(shareDue(refresh, 1s) == Approx(0.368).margin(0.02));
  CHECK(shareDue(refresh, 3s) == Approx(0.050).margin(0.01));
  CHECK(shareDue(refresh, 100s) == 0);
  CHECK(shareDue(refresh, 0s) == 1);
  refresh.loaded(1, 3s);
  CHECK(shareDue(refresh, 3s) == Approx(0.368).margin(0.02));
  refresh.loaded(1, Duration::zero());
  CHECK(shareDue(refresh, 1ns) == 0);
}

TEST_CASE("a greater beta is earlier and none is never", "[store]") {
  EarlyRefresh twice(2);
  twice.loaded(1, 1s);
  CHECK(shareDue(twice, 2s) == Approx(0.368).margin(0.02));
  const EarlyRefresh off(0);
  CHECK_FALSE(off.isOn());
}

TEST_CASE("no draw is infinitely early", "[store]") {
  EarlyRefresh refresh(100);
  refresh.loaded(1, 1s);
  CHECK_FALSE(refresh.isDue(1, Duration::max(), 0));
  CHECK_FALSE(refresh.isDue(1, 3700s, 0));
  CHECK(refresh.isDue(1, 3600s, 0));
  CHECK_FALSE(refresh.isDue(1, 1ns, std::numeric_limits<std::uint64_t>::max()));
}
