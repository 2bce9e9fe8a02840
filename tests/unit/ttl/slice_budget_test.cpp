#include "lukhas/ttl/detail/slice_budget.hpp"

#include <chrono>
#include <cstddef>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::TimePoint;
using lukhas::detail::SliceBudget;

namespace {

struct SliceRun {
  std::size_t entries = 0;
  std::size_t looks = 0;
  Duration taken{};
};

// A slice in which each entry takes as long as `cost(n)` says for the nth.
template <class Cost>
SliceRun runSlice(SliceBudget budget, Cost cost) {
  SliceRun run;
  while (!budget.spent()) {
    run.taken += cost(run.entries++);
    budget.count();
    if (!budget.wantsTime()) continue;
    budget.tell(TimePoint(run.taken));
    ++run.looks;
  }
  return run;
}

}  // namespace

TEST_CASE("a slice of quick entries ends by their number and seldom looks at the clock", "[ttl]") {
  const SliceRun run = runSlice({1000, 1ms, TimePoint()}, [](std::size_t) { return 100ns; });
  CHECK(run.entries == 1000);
  CHECK(run.looks <= 80);
}

TEST_CASE("a slice of slow entries ends on time", "[ttl]") {
  for (const Duration cost : {Duration(1us), Duration(10us), Duration(100us), Duration(300us)}) {
    INFO(cost.count());
    const SliceRun run = runSlice({1'000'000, 1ms, TimePoint()}, [&](std::size_t) { return cost; });
    CHECK(run.taken >= 1ms);
    CHECK(run.taken <= 1ms + cost);
  }
}

TEST_CASE("a slice gets on by one entry however slow that is", "[ttl]") {
  CHECK(runSlice({1000, 1ms, TimePoint()}, [](std::size_t) { return 5s; }).entries == 1);
  CHECK(runSlice({1, 1ms, TimePoint()}, [](std::size_t) { return 0s; }).entries == 1);
}

TEST_CASE("where time stands still a slice ends by its number", "[ttl]") {
  const SliceRun run = runSlice({1000, 1ms, TimePoint(5s)}, [](std::size_t) { return 0s; });
  CHECK(run.entries == 1000);
}

TEST_CASE("where listeners are called, those that become slow make a slice late by at most four of them",
          "[ttl]") {
  const SliceRun run = runSlice({1000, 1ms, TimePoint(), SliceBudget::rarestBetweenCalls},
                                [](std::size_t n) { return n < 200 ? Duration(1us) : Duration(2ms); });
  CHECK(run.taken <= 1ms + 4 * 2ms);
}

TEST_CASE("entries that become slow in the middle of a slice make it late by at most sixteen of them",
          "[ttl]") {
  const auto cost = [](std::size_t n) { return n < 500 ? Duration(100ns) : Duration(100us); };
  const SliceRun run = runSlice({1'000'000, 1ms, TimePoint()}, cost);
  CHECK(run.taken <= 1ms + 16 * 100us);
}
