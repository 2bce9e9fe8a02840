// CircuitBreakerMachine: when to stop calling something that fails, as a pure state machine. CircuitBreaker
// does the awaiting.
#pragma once

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "lukhas/route/circuit_breaker_options.hpp"
#include "lukhas/route/outcome_window.hpp"

namespace lukhas {

enum class CircuitState : std::uint8_t { closed, open, half_open };

[[nodiscard]] constexpr const char* toString(CircuitState state) noexcept {
  switch (state) {
    case CircuitState::closed: return "CLOSED";
    case CircuitState::open: return "OPEN";
    case CircuitState::half_open: return "HALF_OPEN";
  }
  return "?";
}

// How a permitted call ended, as far as the health of the called is concerned. Neutral says nothing about it:
// the caller cancelled, the request itself was wrong, the call was never made.
enum class CircuitOutcome : std::uint8_t { success, failure, neutral };

// Who decides about a circuit.
enum class CircuitControl : std::uint8_t {
  automatic,    // the rules
  forced_open,  // somebody has opened it, until somebody says otherwise
  disabled,     // everything is permitted, and nothing is counted
};

[[nodiscard]] constexpr const char* toString(CircuitControl control) noexcept {
  switch (control) {
    case CircuitControl::automatic: return "automatic";
    case CircuitControl::forced_open: return "forced_open";
    case CircuitControl::disabled: return "disabled";
  }
  return "?";
}

// The right to make one call. Whoever holds it owes exactly one record(); a CircuitBreaker's guard sees to
// that.
struct CircuitPermit {
  std::uint64_t generation = 0;  // of the state in which the call began
  std::uint64_t trial = 0;       // 0 for a call through a closed circuit
  std::chrono::steady_clock::time_point began{};
};

struct CircuitTransition {
  CircuitState from;
  CircuitState to;
  friend bool operator==(const CircuitTransition&, const CircuitTransition&) = default;
};

struct CircuitAdmission {
  std::optional<CircuitPermit> permit;          // empty: refused
  std::optional<CircuitTransition> transition;  // what asking has changed
};

struct CircuitRecording {
  bool stale = false;  // the outcome belongs to an earlier state, or its trial's place was taken back
  std::optional<CircuitTransition> transition;  // what the outcome has changed
};

// The idea (Michael Nygard, "Release It!", 2007): calls to something that keeps failing are refused for a
// while, so that callers do not wait for it and it can recover; then a few trials find out whether it has.
//
//   state      event                                      next       effect
//   CLOSED     admit                                      CLOSED     permitted
//   CLOSED     success                                    CLOSED     enters the window
//   CLOSED     failure or slow call, by which there are
//              now minimumRequests outcomes in the window
//              and enough of them failed or were slow     OPEN       the wait of openFor begins
//   CLOSED     any other failure                          CLOSED     enters the window
//   OPEN       admit before the end of the wait           OPEN       refused
//   OPEN       admit at or after it                       HALF_OPEN  permitted: the first trial
//   HALF_OPEN  admit, fewer than maxTrials under way      HALF_OPEN  permitted: one more trial
//   HALF_OPEN  admit otherwise                            HALF_OPEN  refused
//   HALF_OPEN  success, the successThreshold-th           CLOSED     the window starts empty
//   HALF_OPEN  any other success                          HALF_OPEN  its place is free again
//   HALF_OPEN  failure or slow call                       OPEN       the wait begins anew, longer by option
//   HALF_OPEN  trialTimeout after a trial began           HALF_OPEN  its place is free again
//   CLOSED, HALF_OPEN  neutral                            same       not counted; a trial's place is free
//   any        outcome of a call that began in
//              another state                              same       only counted as stale
//   any        forceOpen                                  OPEN       refuses until somebody says otherwise
//   any        forceClose                                 CLOSED     the window starts empty; the rules hold
//   any        disable                                    CLOSED     permits everything, counts nothing
//   forced     automatic                                  OPEN       the next admit is a trial
//   disabled   automatic                                  CLOSED     the window starts empty
//
// Enough: failureThreshold failures, or failurePercent of the outcomes where that is given; or
// slowCallPercent of them slow, where slowCallTime is given. So only a failure opens, and a success never
// does, even when it is the outcome that makes the window long enough; but where slow calls are asked for, a
// slow one is not a success. Each entry into a state has a generation of its own, which permits carry. A
// trial is over at its deadline whether or not anybody asks in between: what it reports then is stale.
//
// Rejected: counting consecutive failures (one lucky answer in nine hides a model that is all but dead); a
// timer that enters HALF_OPEN by itself (nothing is learnt before somebody calls); counting a lost trial as a
// failure (its caller is at fault: time-outs of the model are reported as failures by whoever sets them).
//
// All operations are O(1), a trial's O(maxTrials); memory is allocated once, by the constructor. `now` must
// not go back.
class CircuitBreakerMachine {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit CircuitBreakerMachine(const CircuitBreakerOptions& options = {})
      : options_(checked(options)),
        openFor_(options.openFor),
        window_(options.windowSize, options.windowTime),
        trials_(options.maxTrials) {}

  [[nodiscard]] CircuitAdmission admit(Time now) {
    switch (state_) {
      case CircuitState::closed: return {CircuitPermit{generation_, 0, now}, std::nullopt};
      case CircuitState::open: {
        if (control_ == CircuitControl::forced_open || now < openUntil_) return {};
        const CircuitTransition transition = enter(CircuitState::half_open);
        return {startTrial(now), transition};
      }
      case CircuitState::half_open: reclaimTrials(now); return {startTrial(now), std::nullopt};
    }
    return {};
  }

  // The call has taken the time since its permission.
  CircuitRecording record(CircuitPermit permit, CircuitOutcome outcome, Time now) {
    return record(permit, outcome, now, now - permit.began);
  }
  // The called took that long. For calls in which somebody else's time is part of the time that passed.
  CircuitRecording record(CircuitPermit permit, CircuitOutcome outcome, Time now,
                          std::chrono::nanoseconds took) {
    if (permit.generation != generation_ || state_ == CircuitState::open) return stale();
    const bool slow = options_.slowCallTime > std::chrono::nanoseconds::zero() &&
                      took >= options_.slowCallTime && outcome != CircuitOutcome::neutral;
    if (state_ == CircuitState::half_open) return recordTrial(permit, outcome, slow, now);
    if (outcome == CircuitOutcome::neutral || control_ == CircuitControl::disabled) return {};
    window_.add(outcome == CircuitOutcome::failure, slow, now);
    const bool opens = isEnough(window_.sums(now), outcome == CircuitOutcome::failure, slow);
    return {false, opens ? std::optional(open(now)) : std::nullopt};
  }

  // By hand. Each gives the change of state, if it is one. Calls that began before report stale outcomes.
  std::optional<CircuitTransition> forceOpen() {
    return take(CircuitControl::forced_open, CircuitState::open);
  }
  std::optional<CircuitTransition> forceClose() {
    return take(CircuitControl::automatic, CircuitState::closed);
  }
  std::optional<CircuitTransition> disable() { return take(CircuitControl::disabled, CircuitState::closed); }
  // The rules hold again. No effect when they do.
  void automatic(Time now) {
    if (control_ == CircuitControl::automatic) return;
    control_ = CircuitControl::automatic;
    openUntil_ = now;
    enter(state_);
  }

  // An open circuit stays so until somebody asks: HALF_OPEN begins in admit().
  [[nodiscard]] CircuitState state() const noexcept { return state_; }
  [[nodiscard]] CircuitControl control() const noexcept { return control_; }
  // Which entry into a state this is: grows with each one.
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }

  // How long until the next permission can be had: zero when it can be had now. With all trials under way it
  // is the time until the first of them must be over; while it is forced open, nanoseconds::max().
  [[nodiscard]] std::chrono::nanoseconds retryAfter(Time now) const noexcept {
    if (control_ == CircuitControl::forced_open) return std::chrono::nanoseconds::max();
    Time next = now;
    if (state_ == CircuitState::open) next = openUntil_;
    if (state_ == CircuitState::half_open) {
      next = std::min_element(trials_.begin(), trials_.end(), earlier)
                 ->deadline;  // a free place has Time::min()
    }
    return next > now ? next - now : std::chrono::nanoseconds::zero();
  }

  [[nodiscard]] const CircuitBreakerOptions& options() const noexcept { return options_; }
  // What is in the window of a closed circuit; zero in the other states.
  [[nodiscard]] OutcomeWindow::Sums sums(Time now) { return window_.sums(now); }
  // Trials that hold a place at that moment.
  [[nodiscard]] std::size_t trialsUnderWay(Time now) const noexcept {
    return static_cast<std::size_t>(std::count_if(
        trials_.begin(), trials_.end(), [now](const Trial& trial) { return trial.deadline > now; }));
  }
  [[nodiscard]] std::uint64_t staleOutcomes() const noexcept { return staleOutcomes_; }
  // Trials whose place was taken back because they never reported.
  [[nodiscard]] std::uint64_t lostTrials() const noexcept { return lostTrials_; }

 private:
  struct Trial {
    std::uint64_t id = 0;         // 0: the place is free
    Time deadline = Time::min();  // of a free place: always over
  };

  static bool earlier(const Trial& a, const Trial& b) noexcept { return a.deadline < b.deadline; }

  static const CircuitBreakerOptions& checked(const CircuitBreakerOptions& options) {
    options.check();
    return options;
  }

  [[nodiscard]] bool isEnough(const OutcomeWindow::Sums& sums, bool failed, bool slow) const noexcept {
    if (sums.outcomes < options_.minimumRequests) return false;
    const auto reaches = [&sums](std::uint64_t count, double percent) {
      return 100.0 * static_cast<double>(count) >= percent * static_cast<double>(sums.outcomes);
    };
    const bool byFailures = options_.failurePercent > 0 ? reaches(sums.failures, options_.failurePercent)
                                                        : sums.failures >= options_.failureThreshold;
    return (failed && byFailures) || (slow && reaches(sums.slow, options_.slowCallPercent));
  }

  CircuitRecording recordTrial(CircuitPermit permit, CircuitOutcome outcome, bool slow, Time now) {
    reclaimTrials(now);
    assert(permit.trial != 0);  // the generation is that of HALF_OPEN
    const auto trial = findTrial(permit.trial);
    if (trial == trials_.end()) return stale();
    *trial = Trial{};
    if (outcome == CircuitOutcome::failure || slow) {
      openFor_ = std::min(openFor_ * 2, std::max(options_.longestOpenFor, options_.openFor));
      return {false, open(now)};
    }
    if (outcome == CircuitOutcome::success && ++successes_ >= options_.successThreshold) {
      return {false, enter(CircuitState::closed)};
    }
    return {};
  }

  CircuitRecording stale() {
    ++staleOutcomes_;
    return {true, std::nullopt};
  }

  CircuitTransition open(Time now) {
    openUntil_ = now + openFor_;
    return enter(CircuitState::open);
  }

  CircuitTransition enter(CircuitState next) {
    const CircuitTransition transition{state_, next};
    state_ = next;
    ++generation_;
    window_.clear();
    successes_ = 0;
    if (next == CircuitState::closed) openFor_ = options_.openFor;
    std::fill(trials_.begin(), trials_.end(), Trial{});
    return transition;
  }

  std::optional<CircuitTransition> take(CircuitControl control, CircuitState next) {
    control_ = control;
    const CircuitTransition transition = enter(next);
    return transition.from == next ? std::nullopt : std::optional(transition);
  }

  std::optional<CircuitPermit> startTrial(Time now) {
    const auto place = findTrial(0);
    if (place == trials_.end()) return std::nullopt;
    *place = Trial{++lastTrial_, now + options_.trialTimeout};
    return CircuitPermit{generation_, place->id, now};
  }

  void reclaimTrials(Time now) {
    for (Trial& trial : trials_) {
      if (trial.id == 0 || trial.deadline > now) continue;
      trial = Trial{};
      ++lostTrials_;
    }
  }

  std::vector<Trial>::iterator findTrial(std::uint64_t id) {
    return std::find_if(trials_.begin(), trials_.end(), [id](const Trial& trial) { return trial.id == id; });
  }

  CircuitBreakerOptions options_;
  CircuitState state_ = CircuitState::closed;
  CircuitControl control_ = CircuitControl::automatic;
  std::uint64_t generation_ = 1;      // grows with each entry into a state
  std::chrono::nanoseconds openFor_;  // how long the circuit stays open the next time
  OutcomeWindow window_;              // CLOSED: the latest outcomes
  Time openUntil_{};                  // OPEN: when the wait ends
  std::vector<Trial> trials_;         // HALF_OPEN: the places
  unsigned successes_ = 0;            // HALF_OPEN: trials that succeeded
  std::uint64_t lastTrial_ = 0;
  std::uint64_t staleOutcomes_ = 0;
  std::uint64_t lostTrials_ = 0;
};

}  // namespace lukhas
