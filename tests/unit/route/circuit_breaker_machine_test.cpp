#include "lukhas/route/circuit_breaker_machine.hpp"

#include <string>
#include <vector>

#include "lukhas/core/error.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::CircuitAdmission;
using lukhas::CircuitBreakerMachine;
using lukhas::CircuitBreakerOptions;
using lukhas::CircuitOutcome;
using lukhas::CircuitPermit;
using lukhas::CircuitState;
using lukhas::CircuitTransition;

namespace {

const CircuitBreakerMachine::Time start{1000s};

// One call from permission to outcome.
lukhas::CircuitRecording call(CircuitBreakerMachine& machine, CircuitOutcome outcome,
                              CircuitBreakerMachine::Time now = start) {
  const CircuitAdmission admission = machine.admit(now);
  REQUIRE(admission.permit);
  return machine.record(*admission.permit, outcome, now);
}

void callTimes(CircuitBreakerMachine& machine, int count, CircuitOutcome outcome) {
  for (int i = 0; i < count; ++i) call(machine, outcome);
}

CircuitBreakerMachine opened(const CircuitBreakerOptions& options = {}) {
  CircuitBreakerMachine machine(options);
  callTimes(machine, static_cast<int>(std::max(options.failureThreshold, options.minimumRequests)),
            CircuitOutcome::failure);
  REQUIRE(machine.state() == CircuitState::open);
  return machine;
}

}  // namespace

TEST_CASE("a fresh circuit is closed with an empty window and lets everything through", "[route]") {
  CircuitBreakerMachine machine;
  CHECK(machine.state() == CircuitState::closed);
  CHECK(machine.sums(start).outcomes == 0);
  CHECK(machine.retryAfter(start) == 0s);
  for (int i = 0; i < 1000; ++i) CHECK(machine.admit(start).permit);
}

TEST_CASE("five failures open the circuit at the tenth outcome and not before", "[route]") {
  CircuitBreakerMachine machine;
  callTimes(machine, 5, CircuitOutcome::success);
  callTimes(machine, 4, CircuitOutcome::failure);
  REQUIRE(machine.state() == CircuitState::closed);
  const auto recording = call(machine, CircuitOutcome::failure);
  CHECK(recording.transition == CircuitTransition{CircuitState::closed, CircuitState::open});
  CHECK(machine.state() == CircuitState::open);
}

TEST_CASE("nine failures in a row open nothing", "[route]") {
  CircuitBreakerMachine machine;
  callTimes(machine, 9, CircuitOutcome::failure);
  CHECK(machine.state() == CircuitState::closed);
  CHECK(machine.sums(start).failures == 9);
}

TEST_CASE("a success that completes the window does not open the circuit", "[route]") {
  CircuitBreakerMachine machine;
  callTimes(machine, 9, CircuitOutcome::failure);
  CHECK_FALSE(call(machine, CircuitOutcome::success).transition);
  CHECK(machine.state() == CircuitState::closed);
  call(machine, CircuitOutcome::failure);
  CHECK(machine.state() == CircuitState::open);
}

TEST_CASE("four failures among ten open nothing however long it goes on", "[route]") {
  CircuitBreakerMachine machine;
  for (int i = 0; i < 1000; ++i) call(machine, i % 5 < 2 ? CircuitOutcome::failure : CircuitOutcome::success);
  CHECK(machine.state() == CircuitState::closed);
  CHECK(machine.sums(start).outcomes == 10);
  CHECK(machine.sums(start).failures == 4);
}

TEST_CASE("failures that left the window are forgotten", "[route]") {
  CircuitBreakerMachine machine;
  callTimes(machine, 4, CircuitOutcome::failure);
  callTimes(machine, 10, CircuitOutcome::success);
  callTimes(machine, 4, CircuitOutcome::failure);
  CHECK(machine.state() == CircuitState::closed);
}

TEST_CASE("neutral outcomes are not counted", "[route]") {
  CircuitBreakerMachine machine;
  callTimes(machine, 9, CircuitOutcome::failure);
  callTimes(machine, 50, CircuitOutcome::neutral);
  CHECK(machine.sums(start).outcomes == 9);
  CHECK(machine.state() == CircuitState::closed);
}

TEST_CASE("refused calls are not counted", "[route]") {
  CircuitBreakerMachine machine = opened();
  for (int i = 0; i < 50; ++i) CHECK_FALSE(machine.admit(start + 1s).permit);
  CHECK(machine.sums(start).outcomes == 0);
  CHECK(machine.staleOutcomes() == 0);
}

TEST_CASE("an open circuit refuses until the wait is over and says how long that is", "[route]") {
  CircuitBreakerMachine machine = opened();
  CHECK(machine.retryAfter(start) == 60s);
  CHECK(machine.retryAfter(start + 59s) == 1s);
  CHECK_FALSE(machine.admit(start + 60s - 1ns).permit);
  CHECK(machine.retryAfter(start + 2min) == 0s);
  CHECK(machine.state() == CircuitState::open);  // nobody has asked yet
}

TEST_CASE("the first permission at the end of the wait begins half open", "[route]") {
  CircuitBreakerMachine machine = opened();
  const CircuitAdmission admission = machine.admit(start + 60s);
  CHECK(admission.permit);
  CHECK(admission.transition == CircuitTransition{CircuitState::open, CircuitState::half_open});
  CHECK(machine.trialsUnderWay(start + 60s) == 1);
}

TEST_CASE("half open lets three trials be under way and no fourth", "[route]") {
  CircuitBreakerMachine machine = opened();
  const auto now = start + 60s;
  for (int i = 0; i < 3; ++i) REQUIRE(machine.admit(now).permit);
  CHECK_FALSE(machine.admit(now).permit);
  CHECK(machine.retryAfter(now + 10s) == 50s);  // the first trial's deadline
}

TEST_CASE("three successes close a half open circuit and its window starts empty", "[route]") {
  CircuitBreakerMachine machine = opened();
  const auto now = start + 60s;
  CHECK_FALSE(call(machine, CircuitOutcome::success, now).transition);
  CHECK_FALSE(call(machine, CircuitOutcome::success, now).transition);
  CHECK(call(machine, CircuitOutcome::success, now).transition ==
        CircuitTransition{CircuitState::half_open, CircuitState::closed});
  CHECK(machine.sums(start).outcomes == 0);
  callTimes(machine, 9, CircuitOutcome::failure);
  CHECK(machine.state() == CircuitState::closed);
}

TEST_CASE("one failed trial opens the circuit again for the whole wait", "[route]") {
  CircuitBreakerMachine machine = opened();
  call(machine, CircuitOutcome::success, start + 60s);
  call(machine, CircuitOutcome::success, start + 60s);
  CHECK(call(machine, CircuitOutcome::failure, start + 70s).transition ==
        CircuitTransition{CircuitState::half_open, CircuitState::open});
  CHECK(machine.retryAfter(start + 70s) == 60s);
  CHECK_FALSE(machine.admit(start + 129s).permit);
  CHECK(machine.admit(start + 130s).permit);
}

TEST_CASE("successes of an earlier half open do not count in a later one", "[route]") {
  CircuitBreakerMachine machine = opened();
  call(machine, CircuitOutcome::success, start + 60s);
  call(machine, CircuitOutcome::success, start + 60s);
  call(machine, CircuitOutcome::failure, start + 60s);
  CHECK_FALSE(call(machine, CircuitOutcome::success, start + 120s).transition);
  CHECK(machine.state() == CircuitState::half_open);
}

TEST_CASE("a trial given back as neutral frees its place and decides nothing", "[route]") {
  CircuitBreakerMachine machine = opened();
  const auto now = start + 60s;
  for (int i = 0; i < 100; ++i) CHECK_FALSE(call(machine, CircuitOutcome::neutral, now).transition);
  CHECK(machine.state() == CircuitState::half_open);
  CHECK(machine.trialsUnderWay(now) == 0);
}

TEST_CASE("trials that never report give their places back at their deadline", "[route]") {
  CircuitBreakerMachine machine = opened({.trialTimeout = 30s});
  const auto now = start + 60s;
  const CircuitPermit lost = *machine.admit(now).permit;
  REQUIRE(machine.admit(now).permit);
  REQUIRE(machine.admit(now).permit);
  CHECK_FALSE(machine.admit(now + 30s - 1ns).permit);
  CHECK(machine.retryAfter(now + 30s - 1ns) == 1ns);
  CHECK(machine.admit(now + 30s).permit);
  CHECK(machine.lostTrials() == 3);
  CHECK(machine.record(lost, CircuitOutcome::failure, now + 31s).stale);
  CHECK(machine.state() == CircuitState::half_open);
}

TEST_CASE("a trial that reports after its deadline is stale even when nobody asked in between", "[route]") {
  CircuitBreakerMachine machine = opened({.trialTimeout = 30s});
  const CircuitPermit late = *machine.admit(start + 60s).permit;
  CHECK(machine.record(late, CircuitOutcome::failure, start + 90s).stale);
  CHECK(machine.state() == CircuitState::half_open);
  CHECK(machine.staleOutcomes() == 1);
}

TEST_CASE("outcomes of calls that began before the circuit opened change nothing later", "[route]") {
  CircuitBreakerMachine machine;
  const CircuitPermit early = *machine.admit(start).permit;
  callTimes(machine, 10, CircuitOutcome::failure);
  CHECK(machine.record(early, CircuitOutcome::success, start).stale);
  REQUIRE(machine.admit(start + 60s).permit);
  CHECK(machine.record(early, CircuitOutcome::failure, start + 60s).stale);
  CHECK(machine.state() == CircuitState::half_open);
  CHECK(machine.staleOutcomes() == 2);
}

TEST_CASE("trials of an earlier half open change nothing after the circuit has closed", "[route]") {
  CircuitBreakerMachine machine =
      opened({.failureThreshold = 1, .minimumRequests = 1, .successThreshold = 1});
  const auto now = start + 60s;
  const CircuitPermit slow = *machine.admit(now).permit;
  call(machine, CircuitOutcome::success, now);
  REQUIRE(machine.state() == CircuitState::closed);
  CHECK(machine.record(slow, CircuitOutcome::failure, now).stale);
  CHECK(machine.state() == CircuitState::closed);
  CHECK(machine.sums(start).outcomes == 0);
}

TEST_CASE("a permit that nobody gave is stale", "[route]") {
  CircuitBreakerMachine machine;
  CHECK(machine.record(CircuitPermit{}, CircuitOutcome::failure, start).stale);
  CHECK(machine.sums(start).outcomes == 0);
}

TEST_CASE("every state answers every event as its table says", "[route]") {
  struct Row {
    CircuitState state;
    std::string event;
    CircuitState next;
    bool permitted;
    bool stale;
  };
  const CircuitState closed = CircuitState::closed, open = CircuitState::open,
                     halfOpen = CircuitState::half_open;
  const std::vector<Row> table{
      // state, event, next, permitted, stale
      {closed, "admit", closed, true, false},
      {closed, "admit later", closed, true, false},
      {closed, "success", closed, false, false},
      {closed, "failure", open, false, false},
      {closed, "neutral", closed, false, false},
      {closed, "stale failure", closed, false, true},
      {closed, "stale success", closed, false, true},
      {open, "admit", open, false, false},
      {open, "admit later", halfOpen, true, false},
      {open, "success", open, false, true},
      {open, "failure", open, false, true},
      {open, "neutral", open, false, true},
      {open, "stale failure", open, false, true},
      {open, "stale success", open, false, true},
      {halfOpen, "admit", halfOpen, true, false},
      {halfOpen, "admit later", halfOpen, true, false},
      {halfOpen, "success", closed, false, false},
      {halfOpen, "failure", open, false, false},
      {halfOpen, "neutral", halfOpen, false, false},
      {halfOpen, "stale failure", halfOpen, false, true},
      {halfOpen, "stale success", halfOpen, false, true},
  };
  for (const Row& row : table) {
    INFO(lukhas::toString(row.state) << " × " << row.event);
    CircuitBreakerMachine machine(
        {.failureThreshold = 1, .minimumRequests = 1, .successThreshold = 1, .maxTrials = 2});
    auto now = start;
    CircuitPermit permit = *machine.admit(now).permit;
    CircuitPermit old = {};
    if (row.state != closed) {
      old = permit;
      machine.record(*machine.admit(now).permit, CircuitOutcome::failure, now);
    }
    if (row.state == halfOpen) permit = *machine.admit(now += 60s).permit;
    REQUIRE(machine.state() == row.state);

    bool permitted = false;
    lukhas::CircuitRecording recording;
    if (row.event == "admit") permitted = machine.admit(now).permit.has_value();
    if (row.event == "admit later") permitted = machine.admit(now + 60s).permit.has_value();
    if (row.event == "success") recording = machine.record(permit, CircuitOutcome::success, now);
    if (row.event == "failure") recording = machine.record(permit, CircuitOutcome::failure, now);
    if (row.event == "neutral") recording = machine.record(permit, CircuitOutcome::neutral, now);
    if (row.event == "stale failure") recording = machine.record(old, CircuitOutcome::failure, now);
    if (row.event == "stale success") recording = machine.record(old, CircuitOutcome::success, now);
    CHECK(permitted == row.permitted);
    CHECK(recording.stale == row.stale);
    CHECK(machine.state() == row.next);
    CHECK(recording.transition.has_value() == (row.next != row.state && !permitted));
  }
}

TEST_CASE("circuit breaker options out of range are refused by name", "[route]") {
  const auto refused = [](const CircuitBreakerOptions& options) -> std::string {
    try {
      CircuitBreakerMachine machine(options);
      return "accepted";
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == lukhas::Errc::invalid_option);
      return error.details().at("option").get<std::string>();
    }
  };
  CHECK(refused({.failureThreshold = 0}) == "failureThreshold");
  CHECK(refused({.failureThreshold = 11}) == "failureThreshold");
  CHECK(refused({.failureThreshold = 10}) == "accepted");
  CHECK(refused({.minimumRequests = 11}) == "minimumRequests");
  CHECK(refused({.windowSize = 10'001}) == "windowSize");
  CHECK(refused({.windowSize = 10'000}) == "accepted");
  CHECK(refused({.openFor = 0s}) == "openFor");
  CHECK(refused({.successThreshold = 0}) == "successThreshold");
  CHECK(refused({.maxTrials = 101}) == "maxTrials");
  CHECK(refused({.trialTimeout = 25h}) == "trialTimeout");
}
