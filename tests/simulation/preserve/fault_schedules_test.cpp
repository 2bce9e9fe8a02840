#include <cstdint>

#include "support/catch.hpp"
#include "support/deep.hpp"
#include "support/fault_schedule.hpp"

using lukhas::test::FaultSchedule;
using lukhas::test::ScheduleOutcome;

TEST_CASE("under thousands of schedules of faults a context is in all participants or in none",
          "[preserve]") {
  const std::uint64_t seeds = test::runs(2000, 100'000);
  std::uint64_t acknowledged = 0;
  std::uint64_t aborted = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const ScheduleOutcome outcome = FaultSchedule(seed).play();
    acknowledged += outcome.acknowledged;
    aborted += outcome.aborted;
    if (!outcome.violations.empty()) FAIL_CHECK("seed " << seed << ": " << outcome.violations);
  }
  CHECK(acknowledged > 5 * seeds);
  CHECK(aborted > seeds / 2);
}

TEST_CASE("a seed replays its schedule of faults step by step", "[preserve]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    CHECK(FaultSchedule(seed).play().fingerprint == FaultSchedule(seed).play().fingerprint);
  }
}
