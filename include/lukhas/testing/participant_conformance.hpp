// participantConformance: does your own Participant keep the contract?
#pragma once

#include <algorithm>
#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/environment.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/testing/detail/participant_rules.hpp"

namespace lukhas::testing {

// Gives a participant that is not open. Called with the same `storage` again, it gives another one on the
// same storage, as after a restart of the program; a `storage` that was not named before is empty. The names
// are short and of [a-z0-9-]: a file, a schema, a prefix of keys.
using ParticipantFactory = std::function<std::shared_ptr<Participant>(const std::string& storage)>;

struct ConformanceOptions {
  // After how long a rule counts as broken, because the participant does not answer. 1 ms to 1 h.
  Duration ruleTimeout = std::chrono::minutes(1);
};

struct ConformanceReport {
  struct Rule {
    std::string name;     // what it demands, as a sentence
    std::string failure;  // how the participant broke it; empty: it keeps it

    [[nodiscard]] bool isKept() const noexcept { return failure.empty(); }
  };
  std::vector<Rule> rules;  // all of them: one that is broken does not keep the others from being checked

  [[nodiscard]] bool passed() const noexcept {
    const auto isKept = [](const Rule& rule) { return rule.isKept(); };
    return !rules.empty() && std::all_of(rules.begin(), rules.end(), isKept);
  }
  // A line for each rule that is broken, or one that says that none is.
  [[nodiscard]] std::string describe() const {
    std::string text;
    for (const Rule& rule : rules) {
      if (!rule.isKept()) text += fmt::format("broken: {}: {}\n", rule.name, rule.failure);
    }
    return text.empty() ? fmt::format("all {} rules are kept\n", rules.size()) : text;
  }
};

namespace detail {

[[nodiscard]] inline asio::awaitable<void> checkRule(std::shared_ptr<ParticipantUnderTest> tested,
                                                     ParticipantRule rule) {
  co_await tested->open();
  co_await rule.check(*tested);
  co_await (*tested)->close();
}

// How the participant breaks the rule; empty when it does not.
[[nodiscard]] inline asio::awaitable<std::string> failureOf(Environment environment,
                                                            ParticipantFactory factory, std::string storage,
                                                            ParticipantRule rule, Duration limit) {
  try {
    auto open = [factory, storage] { return factory(storage); };
    auto tested = std::make_shared<ParticipantUnderTest>(environment, std::move(open));
    std::string operation = "the rule";
    co_await withTimeLimit(environment, limit, std::move(operation), checkRule(std::move(tested), rule));
    co_return std::string();
  } catch (const std::exception& error) {
    const std::string_view what = error.what();
    co_return what.empty() ? "an exception without words" : std::string(what);
  } catch (...) {
    co_return "an exception that is not a std::exception";
  }
}

}  // namespace detail

// Checks every rule of Participant's contract (preserve/participant.hpp), each on storage of its own, and
// says which are broken and how. The same suite runs against the participants of this library. It needs no
// test framework:
//
//   TEST_CASE("my participant keeps the contract") {
//     const TemporaryDirectory directory;
//     const auto report = lukhas::testing::participantConformance([&](const std::string& storage) {
//       return MyParticipant::open("mine", directory / storage);
//     });
//     INFO(report.describe());
//     CHECK(report.passed());
//   }
//
// What it cannot see: whether what was answered also survives a power cut, which takes a machine, or a
// Simulation, that can be crashed; and how long a promise is kept.
//
// This form takes its time from `environment`, so that it also runs in a Simulation. It throws
// Errc::invalid_option, and ends with operation_aborted when it is cancelled; what participants throw is in
// the report. They run on the environment's executor; a rule that is out of time leaves its participant to
// itself.
[[nodiscard]] inline asio::awaitable<ConformanceReport> participantConformance(
    Environment environment, ParticipantFactory factory, ConformanceOptions options = {}) {
  requireOption("participantConformance", "ruleTimeout", options.ruleTimeout, std::chrono::milliseconds(1),
                std::chrono::hours(1));
  ConformanceReport report;
  for (const detail::ParticipantRule& rule : detail::participantRules()) {
    std::string storage = fmt::format("rule-{}", report.rules.size() + 1);
    std::string failure = co_await detail::failureOf(environment, factory, std::move(storage), rule,
                                                     options.ruleTimeout);
    report.rules.push_back({rule.name, std::move(failure)});
  }
  co_return report;
}

// The same in real time, on an io_context of its own; blocks until all rules are checked.
[[nodiscard]] inline ConformanceReport participantConformance(ParticipantFactory factory,
                                                              ConformanceOptions options = {}) {
  asio::io_context io;
  const Environment environment(io.get_executor());
  ConformanceReport report;
  std::exception_ptr failure;
  asio::co_spawn(io, participantConformance(environment, std::move(factory), options),
                 [&](std::exception_ptr error, ConformanceReport found) {
                   failure = std::move(error);
                   report = std::move(found);
                   io.stop();  // a participant that hangs has work left
                 });
  io.run();
  if (failure) std::rethrow_exception(failure);
  return report;
}

}  // namespace lukhas::testing
