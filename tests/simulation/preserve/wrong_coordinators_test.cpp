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

// Whether a schedule of faults ends in a violation.
bool isCaughtBySchedules(CoordinatorMistake mistake) {
  for (std::uint64_t seed = 1; seed <= schedules; ++seed) {
    if (!FaultSchedule(seed, mistake).play().violations.empty()) return true;
  }
  return false;
}

// Whether a single crash in one transaction ends in a violation.
bool isCaughtByCrashes(CoordinatorMistake mistake) {
  CrashScenario scenario;
  scenario.shape.seed = 11;
  scenario.shape.history = 0;
  scenario.shape.mistake = mistake;
  CrashRun run;
  for (std::uint64_t step = 0; !run.changeEnded && step < 200; ++step) {
    run = crashIn(scenario, step);
    if (!run.violations.empty()) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("a coordinator without a mistake passes where the wrong ones are caught", "[preserve]") {
  CHECK_FALSE(isCaughtBySchedules(CoordinatorMistake::none));
  CHECK_FALSE(isCaughtByCrashes(CoordinatorMistake::none));
}

TEST_CASE("a coordinator that commits before the record is durable is caught", "[preserve]") {
  CHECK(isCaughtByCrashes(CoordinatorMistake::commits_before_durable));
  CHECK(isCaughtBySchedules(CoordinatorMistake::commits_before_durable));
}

TEST_CASE("a coordinator that aborts after the decision is caught", "[preserve]") {
  CHECK(isCaughtBySchedules(CoordinatorMistake::aborts_after_decision));
}

TEST_CASE("a coordinator that forgets a decision early is caught", "[preserve]") {
  CHECK(isCaughtByCrashes(CoordinatorMistake::forgets_early));
  CHECK(isCaughtBySchedules(CoordinatorMistake::forgets_early));
}

TEST_CASE("a recovery that touches a live transaction is caught", "[preserve]") {
  CHECK(isCaughtByCrashes(CoordinatorMistake::recovers_the_live));
  CHECK(isCaughtBySchedules(CoordinatorMistake::recovers_the_live));
}

TEST_CASE("a coordinator that retries a failed sync is caught", "[preserve]") {
  CHECK(isCaughtBySchedules(CoordinatorMistake::retries_failed_sync));
}
