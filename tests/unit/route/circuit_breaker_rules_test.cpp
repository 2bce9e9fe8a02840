// The rules of a circuit that options choose, and control by hand.
#include "lukhas/route/circuit_breaker_machine.hpp"

#include <vector>

#include "lukhas/core/error.hpp"
#include "support/catch.hpp"

namespace circuit_breaker_rules_test {
using namespace std::chrono_literals;
using lukhas::CircuitBreakerMachine;
using lukhas::CircuitBreakerOptions;
using lukhas::CircuitControl;
using lukhas::CircuitOutcome;
using lukhas::CircuitState;
using lukhas::CircuitTransition;

namespace {

constexpr CircuitOutcome success = CircuitOutcome::success;
constexpr CircuitOutcome failure = CircuitOutcome::failure;
constexpr CircuitBreakerOptions touchy{
    .failureThreshold = 1, .minimumRequests = 1, .windowSize = 1, .openFor = 10s, .successThreshold = 1};

// A circuit and the time that it is told.
struct Circuit {
  explicit Circuit(const CircuitBreakerOptions& options) : machine(options) {}

  // A call that begins now and ends after so long.
  CircuitState call(CircuitOutcome outcome, std::chrono::nanoseconds took = 0s) {
    const auto admission = machine.admit(now);
    REQUIRE(admission.permit);
    now += took;
    machine.record(*admission.permit, outcome, now);
    return machine.state();
  }
  bool refuses() { return !machine.admit(now).permit; }

  CircuitBreakerMachine machine;
  CircuitBreakerMachine::Time now{1000s};
};

}  // namespace

TEST_CASE("by time failures that are old enough do not open", "[route]") {
  Circuit circuit({.failureThreshold = 3, .minimumRequests = 3, .windowTime = 20s});
  circuit.call(failure);
  circuit.call(failure);
  circuit.now += 20s;
  CHECK(circuit.call(failure) == CircuitState::closed);
  circuit.now += 10s;
  CHECK(circuit.call(failure) == CircuitState::closed);
  CHECK(circuit.call(failure) == CircuitState::open);
}

TEST_CASE("by time any number of outcomes counts", "[route]") {
  Circuit circuit({.failureThreshold = 5, .minimumRequests = 10, .windowTime = 20s});
  for (int i = 0; i < 4; ++i) circuit.call(failure);
  for (int i = 0; i < 10'000; ++i) circuit.call(success);
  CHECK(circuit.call(failure) == CircuitState::open);
}

TEST_CASE("by rate the share of failures decides and not their number", "[route]") {
  Circuit circuit({.minimumRequests = 10, .windowSize = 100, .failurePercent = 50});
  for (int i = 0; i < 49; ++i) CHECK(circuit.call(success) == CircuitState::closed);
  for (int i = 0; i < 48; ++i) CHECK(circuit.call(failure) == CircuitState::closed);
  CHECK(circuit.call(success) == CircuitState::closed);  // 48 of 98
  CHECK(circuit.call(failure) == CircuitState::closed);  // 49 of 99
  CHECK(circuit.call(failure) == CircuitState::open);    // 50 of 100
}

TEST_CASE("by rate too few outcomes open nothing", "[route]") {
  Circuit circuit({.minimumRequests = 10, .windowSize = 100, .failurePercent = 1});
  for (int i = 0; i < 9; ++i) CHECK(circuit.call(failure) == CircuitState::closed);
  CHECK(circuit.call(success) == CircuitState::closed);  // a success never opens
  CHECK(circuit.call(failure) == CircuitState::open);
}

TEST_CASE("slow successes open the circuit once enough are slow", "[route]") {
  Circuit circuit({.minimumRequests = 4, .windowSize = 10, .slowCallTime = 2s, .slowCallPercent = 75});
  CHECK(circuit.call(success, 2s) == CircuitState::closed);
  CHECK(circuit.call(success, 2s) == CircuitState::closed);
  CHECK(circuit.call(success, 2s - 1ns) == CircuitState::closed);
  CHECK(circuit.call(success, 9s) == CircuitState::open);
}

TEST_CASE("slow calls open nothing unless it is asked for", "[route]") {
  Circuit circuit({});
  for (int i = 0; i < 100; ++i) CHECK(circuit.call(success, 1h) == CircuitState::closed);
}

TEST_CASE("a neutral call is never slow", "[route]") {
  Circuit circuit({.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1, .slowCallTime = 1s});
  CHECK(circuit.call(CircuitOutcome::neutral, 1h) == CircuitState::closed);
  CHECK(circuit.machine.sums(circuit.now).outcomes == 0);
}

TEST_CASE("a slow trial opens the circuit again", "[route]") {
  CircuitBreakerOptions options = touchy;
  options.slowCallTime = 1s;
  Circuit circuit(options);
  circuit.call(failure);
  circuit.now += 10s;
  CHECK(circuit.call(success, 1s) == CircuitState::open);
  circuit.now += 10s;
  CHECK(circuit.call(success, 1s - 1ns) == CircuitState::closed);
}

TEST_CASE("whoever knows how long the called took tells it", "[route]") {
  Circuit circuit({.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1, .slowCallTime = 1s});
  const auto permit = *circuit.machine.admit(circuit.now).permit;
  CHECK_FALSE(circuit.machine.record(permit, success, circuit.now + 1h, 500ms).transition);
  CHECK(circuit.machine.record(permit, success, circuit.now + 1h, 1s).transition);
}

TEST_CASE("the wait doubles with each failed trial up to its bound and starts anew once closed", "[route]") {
  CircuitBreakerOptions options = touchy;
  options.longestOpenFor = 50s;
  Circuit circuit(options);
  circuit.call(failure);
  for (const auto wait : {10s, 20s, 40s, 50s, 50s}) {
    CHECK(circuit.machine.retryAfter(circuit.now) == wait);
    circuit.now += wait - 1ns;
    CHECK(circuit.refuses());
    circuit.now += 1ns;
    CHECK(circuit.call(failure) == CircuitState::open);
  }
  circuit.now += 50s;
  CHECK(circuit.call(success) == CircuitState::closed);
  circuit.call(failure);
  CHECK(circuit.machine.retryAfter(circuit.now) == 10s);
}

TEST_CASE("the wait does not grow unless it is asked for", "[route]") {
  Circuit circuit(touchy);
  circuit.call(failure);
  for (int i = 0; i < 10; ++i) {
    circuit.now += 10s;
    CHECK(circuit.call(failure) == CircuitState::open);
    CHECK(circuit.machine.retryAfter(circuit.now) == 10s);
  }
}

TEST_CASE("a circuit that is forced open refuses until somebody says otherwise", "[route]") {
  Circuit circuit(touchy);
  const auto early = *circuit.machine.admit(circuit.now).permit;
  CHECK(circuit.machine.forceOpen() == CircuitTransition{CircuitState::closed, CircuitState::open});
  CHECK(circuit.machine.control() == CircuitControl::forced_open);
  CHECK(circuit.machine.retryAfter(circuit.now) == std::chrono::nanoseconds::max());
  circuit.now += 24h * 365;
  CHECK(circuit.refuses());
  CHECK(circuit.machine.record(early, success, circuit.now).stale);
  CHECK_FALSE(circuit.machine.forceOpen());  // no change

  circuit.machine.automatic(circuit.now);
  CHECK(circuit.machine.state() == CircuitState::open);
  CHECK(circuit.machine.retryAfter(circuit.now) == 0s);
  CHECK(circuit.call(failure) == CircuitState::open);  // it was a trial
}

TEST_CASE("a circuit that is forced closed follows the rules from an empty window", "[route]") {
  Circuit circuit({.openFor = 10s, .longestOpenFor = 20s});
  for (int i = 0; i < 10; ++i) circuit.call(failure);
  REQUIRE(circuit.refuses());
  CHECK(circuit.machine.forceClose() == CircuitTransition{CircuitState::open, CircuitState::closed});
  CHECK(circuit.machine.control() == CircuitControl::automatic);
  for (int i = 0; i < 9; ++i) CHECK(circuit.call(failure) == CircuitState::closed);
  CHECK_FALSE(circuit.machine.forceClose());
  for (int i = 0; i < 9; ++i) CHECK(circuit.call(failure) == CircuitState::closed);
  CHECK(circuit.call(failure) == CircuitState::open);
}

TEST_CASE("a circuit that is disabled permits everything and counts nothing", "[route]") {
  Circuit circuit(touchy);
  circuit.call(failure);
  CHECK(circuit.machine.disable() == CircuitTransition{CircuitState::open, CircuitState::closed});
  for (int i = 0; i < 100; ++i) CHECK(circuit.call(failure) == CircuitState::closed);
  CHECK(circuit.machine.staleOutcomes() == 0);
  const auto late = *circuit.machine.admit(circuit.now).permit;
  circuit.machine.automatic(circuit.now);
  CHECK(circuit.machine.record(late, failure, circuit.now).stale);
  CHECK(circuit.machine.state() == CircuitState::closed);
  CHECK(circuit.call(failure) == CircuitState::open);
}

TEST_CASE("saying that the rules hold changes nothing where they do", "[route]") {
  Circuit circuit(touchy);
  circuit.call(failure);
  const auto generation = circuit.machine.generation();
  circuit.machine.automatic(circuit.now);
  CHECK(circuit.machine.generation() == generation);
  CHECK(circuit.refuses());
}

TEST_CASE("each entry into a state has a generation of its own", "[route]") {
  Circuit circuit(touchy);
  std::vector<std::uint64_t> seen{circuit.machine.generation()};
  circuit.call(failure);
  seen.push_back(circuit.machine.generation());
  circuit.now += 10s;
  (void)circuit.machine.admit(circuit.now);
  seen.push_back(circuit.machine.generation());
  circuit.call(success);
  seen.push_back(circuit.machine.generation());
  CHECK(seen == std::vector<std::uint64_t>{1, 2, 3, 4});
}

TEST_CASE("the options of the rules are refused by name when they are out of range", "[route]") {
  const auto refused = [](const CircuitBreakerOptions& options) -> std::string {
    try {
      options.check();
      return "accepted";
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == lukhas::Errc::invalid_option);
      return error.details().at("option").get<std::string>();
    }
  };
  CHECK(refused({.windowTime = 999us}) == "windowTime");
  CHECK(refused({.windowTime = -1s}) == "windowTime");
  CHECK(refused({.failureThreshold = 500, .minimumRequests = 1000, .windowTime = 1ms}) == "accepted");
  CHECK(refused({.failureThreshold = 1'000'001, .windowTime = 1s}) == "failureThreshold");
  CHECK(refused({.failurePercent = 100.1}) == "failurePercent");
  CHECK(refused({.failurePercent = std::numeric_limits<double>::quiet_NaN()}) == "failurePercent");
  CHECK(refused({.slowCallTime = 25h}) == "slowCallTime");
  CHECK(refused({.slowCallPercent = 0}) == "slowCallPercent");
  CHECK(refused({.slowCallPercent = 100}) == "accepted");
  CHECK(refused({.openFor = 10s, .longestOpenFor = 9s}) == "longestOpenFor");
  CHECK(refused({.openFor = 10s, .longestOpenFor = 10s}) == "accepted");
}

}  // namespace circuit_breaker_rules_test
