#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/crash_scenario.hpp"
#include "support/deep.hpp"

using lukhas::PreserveUntil;
using lukhas::test::crashIn;
using lukhas::test::CrashRun;
using lukhas::test::CrashScenario;
using Change = lukhas::test::CrashScenario::Change;

namespace {

// A sanitizer makes each run slow: then only some of the points are tried.
std::uint64_t stride() { return 10 / test::runs(10, 10); }

// Every change with 1, 2 and 3 participants, of which the last is a directory or not.
std::vector<CrashScenario> scenarios(std::vector<Change> changes, std::vector<PreserveUntil> untils) {
  std::vector<CrashScenario> all;
  for (const unsigned participants : {1U, 2U, 3U}) {
    for (const bool hasDirectory : {false, true}) {
      for (const Change change : changes) {
        if (change == Change::refused && hasDirectory && participants == 1) continue;  // nobody to refuse
        for (const PreserveUntil until : untils) {
          CrashScenario scenario;
          scenario.shape.seed = 7 + all.size();
          scenario.shape.participants = participants;
          scenario.shape.hasDirectory = hasDirectory;
          scenario.change = change;
          scenario.until = until;
          all.push_back(scenario);
        }
      }
    }
  }
  return all;
}

std::vector<Change> everyChange() {
  return {Change::create, Change::replace, Change::forget, Change::refused};
}

}  // namespace

TEST_CASE("a crash of the coordinator at any step leaves every context in all participants or in none",
          "[preserve]") {
  for (const CrashScenario& scenario :
       scenarios(everyChange(), {PreserveUntil::applied, PreserveUntil::decided})) {
    CrashRun run;
    std::uint64_t step = 0;
    for (; !run.changeEnded; step += stride()) {
      run = crashIn(scenario, step);
      if (!run.violations.empty()) {
        FAIL_CHECK(scenario.describe() << ", crash after step " << step << ": " << run.violations);
      }
    }
    CHECK(step > 60);
  }
}

TEST_CASE("a second crash at any step of the recovery changes nothing of it", "[preserve]") {
  std::vector<CrashScenario> all = scenarios(everyChange(), {PreserveUntil::applied, PreserveUntil::decided});
  if (!test::deep()) {  // every pair of points of one of them; the others take an hour
    std::erase_if(all, [](const CrashScenario& scenario) {
      return scenario.change != Change::replace || scenario.until != PreserveUntil::applied ||
             scenario.shape.participants != 2 || scenario.shape.hasDirectory;
    });
  }
  std::uint64_t points = 0;
  for (const CrashScenario& scenario : all) {
    bool changeEnded = false;
    for (std::uint64_t step = 0; !changeEnded; step += stride()) {
      bool recoveryEnded = false;
      for (std::uint64_t again = 0; !recoveryEnded; again += stride()) {
        const CrashRun run = crashIn(scenario, step, again);
        changeEnded = run.changeEnded;
        recoveryEnded = run.recoveryEnded;
        ++points;
        if (!run.violations.empty()) {
          FAIL_CHECK(scenario.describe() << ", crashes after step " << step << " and step " << again
                                         << " of the next life: " << run.violations);
        }
      }
    }
  }
  CHECK(points > 10'000 / (stride() * stride()));
}
