#include <cstdint>

#include "support/catch.hpp"
#include "support/crash_scenario.hpp"
#include "support/fault_schedule.hpp"

using lukhas::test::CoordinatorMistake;
using lukhas::test::CrashRun;
using lukhas::test::CrashScenario;
using lukhas::test::FaultSchedule;

namespace {

constexpr std::uint64_t schedules = 100;

// How many schedules of faults end in a violation.
std::uint64_t caughtBySchedules(CoordinatorMistake mistake) {
  std::uint64_t caught = 0;
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    if (!FaultSchedule(seed, mistake).play().violations.empty()) ++caught;
  }
  return caught;
}

// At how many single crash points of one transaction there is a violation.
std::uint64_t caughtByCrashes(CoordinatorMistake mistake) {
  std::uint64_t caught = 0;
  CrashScenario scenario;
  scenario.shape.seed = 11;
  scenario.shape.history = 0;
  scenario.shape.mistake = mistake;
  CrashRun run;
  for (std::uint64_t step = 0; !run.changeEnded && step < 200; ++step) {
    run = crashIn(scenario, step);
    if (!run.violations.empty()) ++caught;
  }
  return caught;
}

}  // namespace

TEST_CASE("a coordinator without a mistake passes where the wrong ones are caught", "[preserve]") {
  CHECK(caughtBySchedules(CoordinatorMistake::none) == 0);
  CHECK(caughtByCrashes(CoordinatorMistake::none) == 0);
}

TEST_CASE("a coordinator that commits before the record is durable is caught", "[preserve]") {
  CHECK(caughtByCrashes(CoordinatorMistake::commits_before_durable) > 0);
  CHECK(caughtBySchedules(CoordinatorMistake::commits_before_durable) > 0);
}

TEST_CASE("a coordinator that aborts after the decision is caught", "[preserve]") {
  CHECK(caughtBySchedules(CoordinatorMistake::aborts_after_decision) > 0);
}

TEST_CASE("a coordinator that forgets a decision early is caught", "[preserve]") {
  CHECK(caughtByCrashes(CoordinatorMistake::forgets_early) > 0);
  CHECK(caughtBySchedules(CoordinatorMistake::forgets_early) > 0);
}

TEST_CASE("a recovery that touches a live transaction is caught", "[preserve]") {
  CHECK(caughtByCrashes(CoordinatorMistake::recovers_the_live) > 0);
  CHECK(caughtBySchedules(CoordinatorMistake::recovers_the_live) > 0);
}

TEST_CASE("a coordinator that retries a failed sync is caught", "[preserve]") {
  CHECK(caughtBySchedules(CoordinatorMistake::retries_failed_sync) > 0);
}
