// Checks a participant's contract in virtual time.
#pragma once

#include <utility>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/testing/participant_conformance.hpp"
#include "support/catch.hpp"

namespace lukhas::test {

// What the tests of participants share with the conformance suite.
using testing::ConformanceReport;
using testing::ParticipantFactory;
using testing::detail::codeOf;
using testing::detail::expectSame;
using testing::detail::forgettingContext;
using testing::detail::storedContext;
using testing::detail::transactionIdOf;

[[nodiscard]] inline ConformanceReport conformanceIn(Simulation& world, ParticipantFactory factory) {
  ConformanceReport report;
  auto check = [](Environment environment, ParticipantFactory make,
                  ConformanceReport& found) -> asio::awaitable<void> {
    found = co_await testing::participantConformance(std::move(environment), std::move(make));
  };
  world.spawn(check(world.environment(), std::move(factory), report));
  world.run();
  return report;
}

inline void requireConformance(const ConformanceReport& report) {
  INFO(report.describe());
  CHECK(report.passed());
}

}  // namespace lukhas::test
