#include "lukhas/route/route_machine.hpp"

#include <string>

#include "support/catch.hpp"

namespace route_machine_test {

using namespace std::chrono_literals;
using lukhas::CircuitOutcome;
using lukhas::RetryCause;
using lukhas::RouteAction;
using lukhas::RouteCandidate;
using lukhas::RouteErrc;
using lukhas::RouteMachine;
using lukhas::RouteStep;
using lukhas::Verdict;
using Time = RouteStep::Time;
using Candidates = std::vector<RouteCandidate>;

namespace {

constexpr Time start{1h};
constexpr auto deadline = 30s;

RouteMachine machine(unsigned maxAttempts = 3) {
  return RouteMachine(maxAttempts, {.firstDelay = 500ms, .longestDelay = 8s, .minAttemptTime = 100ms},
                      start + deadline);
}
RouteCandidate ready(std::uint64_t model) { return {.model = model}; }
RouteCandidate busy(std::uint64_t model) { return {.model = model, .busy = true}; }
RouteCandidate open(std::uint64_t model, std::chrono::nanoseconds wait) {
  return {.model = model, .circuitWait = wait};
}
RouteCandidate throttled(std::uint64_t model, std::chrono::nanoseconds wait) {
  return {.model = model, .notBefore = start + wait};
}

Verdict verdict(RouteAction action, RouteErrc error = RouteErrc::model_failed) {
  Verdict result;
  result.action = action;
  result.health = CircuitOutcome::failure;
  result.error = error;
  return result;
}
Verdict failed(std::optional<std::chrono::nanoseconds> asked = std::nullopt) {
  Verdict result = verdict(RouteAction::retry);
  result.wait = asked;
  return result;
}

// "attempt 1", "wait 500 ms", "wait 29900 ms at 0 2", "fail 3", "fail 3 after 60000 ms"
std::string text(const RouteStep& step, Time now = start) {
  const auto ms = [](auto time) {
    return std::to_string(std::chrono::ceil<std::chrono::milliseconds>(time).count()) + " ms";
  };
  if (step.kind == RouteStep::Kind::attempt) return "attempt " + std::to_string(step.candidate);
  if (step.kind == RouteStep::Kind::fail) {
    const std::string name = toString(static_cast<RouteErrc>(step.error.value()));
    return "fail " + name + (step.tooLong ? " after " + ms(*step.tooLong) : "");
  }
  std::string places;
  for (const std::size_t place : step.places) places += " " + std::to_string(place);
  return "wait " + ms(step.until - now) + (places.empty() ? "" : " at" + places);
}

}  // namespace

TEST_CASE("the first step follows from the candidates", "[route]") {
  struct Row {
    Candidates candidates;
    std::string step;
  };
  const std::vector<Row> table{
      {{}, "fail no_capable_model"},
      {{ready(1), ready(2)}, "attempt 0"},
      {{busy(1), ready(2)}, "attempt 1"},
      {{open(1, 5s), ready(2)}, "attempt 1"},
      {{throttled(1, 5s), ready(2)}, "attempt 1"},
      {{throttled(1, 0s)}, "attempt 0"},
      {{open(1, 0s)}, "attempt 0"},
      {{busy(1)}, "wait 29900 ms at 0"},
      {{busy(1), open(2, 5s), busy(3)}, "wait 5000 ms at 0 2"},
      {{busy(1), throttled(2, 7s)}, "wait 7000 ms at 0"},
      {{busy(1), throttled(2, 60s)}, "wait 29900 ms at 0"},
      {{open(1, 40s), open(2, 20s)}, "fail all_circuits_open after 20000 ms"},
      {{throttled(1, 9s), throttled(2, 4s)}, "wait 4000 ms"},
      {{throttled(1, 9s), open(2, 4s)}, "wait 4000 ms"},
      {{throttled(1, 29'900ms)}, "wait 29900 ms"},
      {{throttled(1, 29'901ms)}, "fail throttled after 29901 ms"},
      {{throttled(1, 60s), open(2, 5s)}, "fail throttled after 60000 ms"},
  };
  for (const Row& row : table) CHECK(text(machine().next(row.candidates, start)) == row.step);
}

TEST_CASE("after a failure another model comes first and the same one backs off", "[route]") {
  RouteMachine m = machine();
  CHECK(m.ended(1, failed(2s), start, 0) == 2s);
  CHECK(text(m.next(Candidates{ready(1), ready(2)}, start)) == "attempt 1");
  CHECK(text(m.next(Candidates{ready(1)}, start)) == "wait 2000 ms");
  CHECK(text(m.next(Candidates{ready(1), busy(2)}, start)) == "wait 2000 ms at 1");
  CHECK(text(m.next(Candidates{ready(1)}, start + 2s), start + 2s) == "attempt 0");
  // A model that this request has not asked yet is better than one whose backoff is over.
  CHECK(text(m.next(Candidates{ready(1), ready(2)}, start + 2s)) == "attempt 1");
}

TEST_CASE("without a word from the model the backoff is drawn below a ceiling that doubles", "[route]") {
  RouteMachine m = machine(10);
  std::chrono::nanoseconds ceiling = 500ms;
  for (int i = 0; i < 4; ++i, ceiling *= 2) {
    RouteMachine copy = m;
    CHECK(copy.ended(1, failed(), start, static_cast<std::uint64_t>(ceiling.count())) == ceiling);
    CHECK(m.ended(1, failed(), start, static_cast<std::uint64_t>(ceiling.count()) + 1) == 0s);
  }
}

TEST_CASE("a wait that leaves no time for an attempt is not begun", "[route]") {
  RouteMachine fits = machine();
  fits.ended(1, failed(29'900ms), start, 0);
  CHECK(text(fits.next(Candidates{ready(1)}, start)) == "wait 29900 ms");
  RouteMachine tooLong = machine();
  tooLong.ended(1, failed(29'901ms), start, 0);
  CHECK(text(tooLong.next(Candidates{ready(1)}, start)) == "fail deadline_exceeded after 29901 ms");
  RouteMachine days = machine();
  days.ended(1, failed(std::chrono::nanoseconds::max()), start, 0);
  CHECK(text(days.next(Candidates{ready(1)}, start)) == "fail deadline_exceeded after 300000 ms");
}

TEST_CASE("there are never more than maxAttempts over all models", "[route]") {
  RouteMachine m = machine(3);
  for (std::uint64_t model = 1; model <= 3; ++model) {
    CHECK(text(m.next(Candidates{ready(model)}, start)) == "attempt 0");
    m.ended(model, failed(0s), start, 0);
  }
  CHECK(text(m.next(Candidates{ready(4), ready(5)}, start)) == "fail attempts_exhausted");
}

TEST_CASE("a model that is ruled out is not asked again", "[route]") {
  RouteMachine m = machine();
  m.ended(1, verdict(RouteAction::fail_over, RouteErrc::quota_spent), start, 0);
  CHECK(text(m.next(Candidates{ready(1), ready(2)}, start)) == "attempt 1");
  CHECK(text(m.next(Candidates{ready(1)}, start)) == "fail quota_spent");
  CHECK(text(m.next(Candidates{ready(1), open(2, 5s)}, start)) == "fail quota_spent");
  CHECK(text(m.next(Candidates{ready(1), busy(2)}, start)) == "wait 29900 ms at 1");
  CHECK(text(m.next(Candidates{}, start)) == "fail no_capable_model");
}

TEST_CASE("what no model would answer differently ends the request with its own code", "[route]") {
  RouteMachine m = machine();
  m.ended(1, verdict(RouteAction::give_up, RouteErrc::model_refused), start, 0);
  CHECK(text(m.next(Candidates{ready(1), ready(2)}, start)) == "fail model_refused");
}

TEST_CASE("the deadline ends a request and keeps the last moments free of further attempts", "[route]") {
  RouteMachine m = machine();
  CHECK(text(m.next(Candidates{ready(1)}, start + 29'999ms)) == "attempt 0");
  CHECK(text(m.next(Candidates{ready(1)}, start + 30s)) == "fail deadline_exceeded");
  CHECK(text(m.next(Candidates{busy(1)}, start + 29'900ms)) == "fail deadline_exceeded");
  m.ended(2, failed(0s), start, 0);
  CHECK(text(m.next(Candidates{ready(1)}, start + 29'900ms)) == "attempt 0");
  CHECK(text(m.next(Candidates{ready(1)}, start + 29'901ms)) == "fail deadline_exceeded");
}

TEST_CASE("a further attempt is paid for by how the last one ended", "[route]") {
  for (const RouteErrc code : {RouteErrc::attempt_timed_out, RouteErrc::connect_timed_out}) {
    RouteMachine m = machine();
    m.ended(1, verdict(RouteAction::retry, code), start, 0);
    CHECK(m.retryCause() == RetryCause::time_out);
    m.ended(2, failed(), start, 0);
    CHECK(m.retryCause() == RetryCause::failure);
    CHECK(m.lastModel() == 2);
    CHECK(m.attempts() == 2);
  }
}

}  // namespace route_machine_test
