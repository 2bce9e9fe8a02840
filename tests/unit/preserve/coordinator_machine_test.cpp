#include "lukhas/preserve/coordinator_machine.hpp"

#include <array>
#include <string>

#include "support/catch.hpp"

using lukhas::CoordinatorMachine;
using lukhas::TransactionState;
using Action = CoordinatorMachine::Action;

namespace {

// A machine with two participants, brought into that state.
CoordinatorMachine machineIn(TransactionState state) {
  CoordinatorMachine machine(2);
  if (state == TransactionState::initial) return machine;
  (void)machine.begin();
  if (state == TransactionState::preparing) return machine;
  const bool aborts = state == TransactionState::aborting || state == TransactionState::aborted;
  if (aborts) {
    (void)machine.no(0);
  } else {
    (void)machine.yes(0);
    (void)machine.yes(1);
  }
  if (state == TransactionState::committing || state == TransactionState::committed) (void)machine.recorded();
  if (state == TransactionState::committed || state == TransactionState::aborted) {
    (void)machine.done(0);
    (void)machine.done(1);
  }
  return machine;
}

constexpr std::array everyState{TransactionState::initial,   TransactionState::preparing,
                                TransactionState::prepared,  TransactionState::committing,
                                TransactionState::committed, TransactionState::aborting,
                                TransactionState::aborted};

}  // namespace

TEST_CASE("each state answers giving up as the table says", "[preserve]") {
  for (const TransactionState state : everyState) {
    INFO(lukhas::toString(state));
    CoordinatorMachine machine = machineIn(state);
    REQUIRE(machine.state() == state);
    const bool aborts = state == TransactionState::preparing || state == TransactionState::prepared;
    CHECK(machine.giveUp() == (aborts ? Action::tell_abort : Action::wait));
    CHECK(machine.state() == (aborts ? TransactionState::aborting : state));
  }
}

TEST_CASE("a no counts only while preparing", "[preserve]") {
  for (const TransactionState state : everyState) {
    INFO(lukhas::toString(state));
    CoordinatorMachine machine = machineIn(state);
    const bool aborts = state == TransactionState::preparing;
    CHECK(machine.no(1) == (aborts ? Action::tell_abort : Action::wait));
    CHECK(machine.state() == (aborts ? TransactionState::aborting : state));
  }
}

TEST_CASE("a yes that comes late changes nothing", "[preserve]") {
  for (const TransactionState state : everyState) {
    if (state == TransactionState::preparing) continue;
    INFO(lukhas::toString(state));
    CoordinatorMachine machine = machineIn(state);
    CHECK(machine.yes(0) == Action::wait);
    CHECK(machine.state() == state);
  }
}

TEST_CASE("the decision is written once all have said yes and not before", "[preserve]") {
  CoordinatorMachine machine = machineIn(TransactionState::preparing);
  CHECK(machine.yes(0) == Action::wait);
  CHECK(machine.yes(0) == Action::wait);  // again: still one of two
  CHECK(machine.state() == TransactionState::preparing);
  CHECK(machine.yes(1) == Action::record_decision);
  CHECK(machine.recorded() == Action::tell_commit);
  CHECK(machine.done(1) == Action::wait);
  CHECK(machine.done(1) == Action::wait);
  CHECK(machine.done(0) == Action::finished);
  CHECK(machine.state() == TransactionState::committed);
}
