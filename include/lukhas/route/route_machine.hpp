// RouteMachine: which model one request tries next, when it waits and when it fails, as a pure state machine.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "lukhas/route/outcome_classifier.hpp"
#include "lukhas/route/retry_budget.hpp"
#include "lukhas/route/retry_policy.hpp"
#include "lukhas/route/route_error.hpp"

namespace lukhas {

// What the router knows at this moment of a model that can do what the request requires.
struct RouteCandidate {
  using Time = std::chrono::steady_clock::time_point;

  std::uint64_t model = 0;                 // which one: the number of its registration
  bool busy = false;                       // maxConcurrent requests are under way
  std::chrono::nanoseconds circuitWait{};  // until its circuit may permit a call; zero: now
  Time notBefore = Time::min();            // throttled until then
};

struct RouteStep {
  using Time = std::chrono::steady_clock::time_point;
  enum class Kind : std::uint8_t {
    attempt,  // ask `candidate` now
    wait,  // until a place is free at one of `places`, or until `until`, whichever is first; then ask again
    fail,  // with `error`
  };

  Kind kind = Kind::fail;
  std::size_t candidate = 0;
  std::vector<std::size_t> places = {};
  Time until{};
  std::error_code error;
  std::optional<std::chrono::nanoseconds> tooLong = {};  // fail: the wait that would have been needed
};

// The one retry loop. It is told how each attempt ended, and asked what to do next with the candidates as
// they are then, highest priority first.
//
//   what holds                                                             next step
//   an attempt has ended with give_up                                      fail with its code
//   maxAttempts were made                                                  fail: attempts_exhausted
//   no candidate                                                           fail: no_capable_model
//   the deadline is over, or too near for a further attempt                fail: deadline_exceeded
//   else: of the candidates that are not ruled out, and whose circuit permits a call,
//     one is ready (neither busy, throttled nor backing off)               attempt: at one that this request
//                                                                          has not asked yet, if there is
//                                                                          one; else the highest
//     one is only busy                                                     wait for a place, as long as an
//                                                                          attempt still has time after it
//     one is throttled or backing off, and has time after that             wait until then
//     …, but has no time after that                                        fail now: throttled or
//                                                                          deadline_exceeded, with the wait
//     there is none                                                        fail: all_circuits_open; or, when
//                                                                          one was ruled out, the last code
//
// A model is ruled out by fail_over: it will not answer this request. A retry of the same model backs off;
// another model is asked at once. A refusing circuit is never waited for: failing fast is what it is for. It
// only shortens a wait for something else, because there may be a model to ask by then.
//
// Rejected: a loop of retries inside a loop of models (it multiplies, and each level sleeps); two tries at
// the best model before the next one (the next one needs no backoff).
class RouteMachine {
 public:
  using Time = RouteStep::Time;

  RouteMachine(unsigned maxAttempts, const RetryPolicyOptions& retry, Time deadline)
      : policy_(retry), maxAttempts_(maxAttempts), deadline_(deadline) {}

  [[nodiscard]] RouteStep next(std::span<const RouteCandidate> candidates, Time now) const {
    if (gaveUp_) return fail(lastError_);
    if (attempts_ >= maxAttempts_) return fail(RouteErrc::attempts_exhausted);
    if (candidates.empty()) return fail(RouteErrc::no_capable_model);
    if (now >= deadline_ || (attempts_ > 0 && now > lastStart())) return fail(RouteErrc::deadline_exceeded);
    const Survey survey = look(candidates, now);
    if (survey.ready) return attempt(*survey.ready);
    if (!survey.places.empty()) return waitForPlace(survey, now);
    if (survey.timed) return waitForTime(survey, now);
    if (survey.ruledOut) return fail(lastError_);
    return fail(RouteErrc::all_circuits_open, survey.circuitsUntil - now);
  }

  // Whom a second attempt may ask while one is under way, whose model is told as busy: a candidate that is
  // ready now, if a further attempt is allowed at all.
  [[nodiscard]] std::optional<std::size_t> hedge(std::span<const RouteCandidate> candidates, Time now) const {
    if (gaveUp_ || attempts_ + 2 > maxAttempts_ || now > lastStart()) return std::nullopt;
    return look(candidates, now).ready;
  }

  // An attempt at `model` has ended. Returns how long the model is to be left alone; `random` is for that.
  std::chrono::nanoseconds ended(std::uint64_t model, const Verdict& verdict, Time now,
                                 std::uint64_t random) {
    ++attempts_;
    lastModel_ = model;
    lastError_ = verdict.error;
    gaveUp_ = verdict.action == RouteAction::give_up;
    History& history = historyOf(model);
    history.ruledOut = verdict.action == RouteAction::fail_over;
    const std::chrono::nanoseconds wait =
        policy_.wait(++history.failures, verdict.wait, random, history.wait);
    history.wait = wait;
    history.backoffUntil = now + wait;
    return wait;
  }

  // An attempt was given up because another one was faster: it counts, and says nothing of its model.
  void abandoned() noexcept { ++attempts_; }

  // A request that was answered in part goes on: its next attempts have until then.
  void prolong(Time deadline) noexcept { deadline_ = deadline; }

  [[nodiscard]] unsigned attempts() const noexcept { return attempts_; }
  [[nodiscard]] Time deadline() const noexcept { return deadline_; }
  [[nodiscard]] std::uint64_t lastModel() const noexcept { return lastModel_; }
  [[nodiscard]] std::error_code lastError() const noexcept { return lastError_; }
  // What a further attempt is to be paid for as.
  [[nodiscard]] RetryCause retryCause() const noexcept {
    return lastError_ == RouteErrc::attempt_timed_out || lastError_ == RouteErrc::connect_timed_out
               ? RetryCause::time_out
               : RetryCause::failure;
  }

 private:
  // What this request has met at one model.
  struct History {
    std::uint64_t model = 0;
    unsigned failures = 0;
    bool ruledOut = false;
    std::chrono::nanoseconds wait{};
    Time backoffUntil = Time::min();
  };

  struct Survey {
    std::optional<std::size_t> ready;
    bool readyIsFresh = false;
    std::vector<std::size_t> places;
    std::optional<Time> timed;  // the earliest moment at which a candidate is ready again
    bool timedByThrottle = false;
    bool ruledOut = false;
    Time circuitsUntil = Time::max();  // the earliest moment at which a refusing circuit may permit
  };

  [[nodiscard]] Survey look(std::span<const RouteCandidate> candidates, Time now) const {
    Survey survey;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const RouteCandidate& candidate = candidates[i];
      const History* const history = find(candidate.model);
      if (history != nullptr && history->ruledOut) {
        survey.ruledOut = true;
        continue;
      }
      if (candidate.circuitWait > std::chrono::nanoseconds::zero()) {
        survey.circuitsUntil = std::min(survey.circuitsUntil, now + candidate.circuitWait);
        continue;
      }
      const Time backoffUntil = history == nullptr ? Time::min() : history->backoffUntil;
      const Time readyAt = std::max(candidate.notBefore, backoffUntil);
      const bool fresh = history == nullptr;
      if (readyAt > now) {
        if (survey.timed && *survey.timed <= readyAt) continue;
        survey.timed = readyAt;
        survey.timedByThrottle = candidate.notBefore == readyAt;
      } else if (candidate.busy) {
        survey.places.push_back(i);
      } else if (!survey.ready || (fresh && !survey.readyIsFresh)) {
        survey.ready = i;
        survey.readyIsFresh = fresh;
      }
    }
    return survey;
  }

  [[nodiscard]] RouteStep waitForPlace(const Survey& survey, Time now) const {
    if (now >= lastStart()) return fail(RouteErrc::deadline_exceeded);
    RouteStep step;
    step.kind = RouteStep::Kind::wait;
    step.places = survey.places;
    step.until = std::min({survey.timed.value_or(Time::max()), survey.circuitsUntil, lastStart()});
    return step;
  }
  [[nodiscard]] RouteStep waitForTime(const Survey& survey, Time now) const {
    if (!policy_.fits(*survey.timed - now, deadline_ - now)) {
      return fail(survey.timedByThrottle ? RouteErrc::throttled : RouteErrc::deadline_exceeded,
                  *survey.timed - now);
    }
    RouteStep step;
    step.kind = RouteStep::Kind::wait;
    step.until = std::min(*survey.timed, survey.circuitsUntil);
    return step;
  }
  [[nodiscard]] static RouteStep attempt(std::size_t candidate) {
    RouteStep step;
    step.kind = RouteStep::Kind::attempt;
    step.candidate = candidate;
    return step;
  }
  [[nodiscard]] static RouteStep fail(std::error_code error,
                                      std::optional<std::chrono::nanoseconds> tooLong = {}) {
    RouteStep step;
    step.error = error;
    step.tooLong = tooLong;
    return step;
  }

  // The last moment at which an attempt still has the time that it needs.
  [[nodiscard]] Time lastStart() const noexcept { return deadline_ - policy_.options().minAttemptTime; }

  [[nodiscard]] const History* find(std::uint64_t model) const noexcept {
    const auto found = std::find_if(histories_.begin(), histories_.end(),
                                    [model](const History& history) { return history.model == model; });
    return found == histories_.end() ? nullptr : &*found;
  }
  [[nodiscard]] History& historyOf(std::uint64_t model) {
    for (History& history : histories_) {
      if (history.model == model) return history;
    }
    histories_.push_back({model});
    return histories_.back();
  }

  RetryPolicy policy_;
  unsigned maxAttempts_;
  Time deadline_;
  unsigned attempts_ = 0;
  std::vector<History> histories_;  // at most one for each attempt
  std::uint64_t lastModel_ = 0;
  std::error_code lastError_;
  bool gaveUp_ = false;
};

}  // namespace lukhas
