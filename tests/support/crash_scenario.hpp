// CrashScenario: one change of one context, cut short after any step, and its recovery, cut short as well.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "support/preserve_trial.hpp"

namespace lukhas::test {

struct CrashScenario {
  enum class Change {
    create,
    replace,
    forget,
    refused,  // by a participant: all others abort
  };
  TrialShape shape;
  Change change = Change::replace;
  PreserveUntil until = PreserveUntil::applied;

  [[nodiscard]] std::string describe() const {
    constexpr const char* changes[] = {"create", "replace", "forget", "refused"};
    return fmt::format("{} with {} participants{}, until {}, seed {}", changes[static_cast<int>(change)],
                       shape.participants, shape.hasDirectory ? ", one of them a directory" : "",
                       until == PreserveUntil::applied ? "applied" : "decided", shape.seed);
  }
};

// What one run came to.
struct CrashRun {
  bool changeEnded = false;    // the first crash came when there was nothing left to do
  bool recoveryEnded = false;  // the same of the second
  std::string violations;
};

namespace detail {

inline asio::awaitable<void> startAndChange(PreserveTrial& trial, AtomicContextPreserver& preserver,
                                            ::test::PreserveLedger::State next, PreserveOptions options) {
  co_await trial.start(preserver);
  (void)co_await trial.ledger.change(preserver, "one", next, options);
}

// Runs that many steps; true when it came to rest before.
[[nodiscard]] inline bool runsOut(Simulation& world, std::uint64_t steps) {
  const Duration before = world.elapsed();
  const bool more = world.runSteps(steps);
  return !more || world.elapsed() - before > std::chrono::seconds(1);  // only the periodic recovery is left
}

}  // namespace detail

// A crash after `steps` of the life that makes the change; when there is `again`, another one after so many
// steps of the next life. Then everything has to be settled.
[[nodiscard]] inline CrashRun crashIn(const CrashScenario& scenario, std::uint64_t steps,
                                      std::optional<std::uint64_t> again = std::nullopt) {
  using Change = CrashScenario::Change;
  PreserveTrial trial(scenario.shape);
  trial.contexts = {"one"};
  CrashRun run;
  if (scenario.change != Change::create) {
    const PreserveTrial::Preserver preserver = trial.begin();
    const nlohmann::json before{{"turn", 0}};
    trial.world.spawn(detail::startAndChange(trial, *preserver, before, {}));
    trial.world.runFor(std::chrono::minutes(1));
    trial.world.crash();
  }
  {
    const PreserveTrial::Preserver preserver = trial.begin();
    if (scenario.change == Change::refused) trial.world.participant("a")->refuseNextPrepare();
    ::test::PreserveLedger::State next;
    if (scenario.change != Change::forget) next = nlohmann::json{{"turn", 1}};
    const PreserveOptions options{.until = scenario.until};
    trial.world.spawn(detail::startAndChange(trial, *preserver, next, options));
    run.changeEnded = detail::runsOut(trial.world, steps);
    trial.world.crash();
  }
  if (again) {
    const PreserveTrial::Preserver preserver = trial.begin();
    trial.world.spawn(trial.start(*preserver));
    run.recoveryEnded = detail::runsOut(trial.world, *again);
    trial.world.crash();
  }
  trial.settle();
  run.violations = trial.violations();
  return run;
}

}  // namespace lukhas::test
