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

#include "lukhas/core/option_check.hpp"

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

struct CircuitBreakerOptions {
  // Failures among the last `windowSize` outcomes that open the circuit. 1 to windowSize.
  unsigned failureThreshold = 5;
  // With fewer outcomes than this in the window nothing opens: a handful of calls is no evidence. 1 to
  // windowSize.
  unsigned minimumRequests = 10;
  // How many of the latest outcomes count. 1 to 10,000.
  unsigned windowSize = 10;
  // How long an open circuit refuses everything before the first trial. 1 ms to 24 h.
  std::chrono::nanoseconds openFor = std::chrono::seconds(60);
  // Successful trials that close the circuit again. 1 to 1,000.
  unsigned successThreshold = 3;
  // Trials that may be under way at once. 1 to 100.
  unsigned maxTrials = 3;
  // When a trial that has not reported gives its place back. It only catches trials that got lost, so it has
  // to be longer than any call takes; the default is twice the router's deadline. 1 ms to 24 h.
  std::chrono::nanoseconds trialTimeout = std::chrono::seconds(60);

  // Throws Errc::invalid_option.
  void check() const {
    using namespace std::chrono_literals;
    constexpr const char* who = "CircuitBreaker";
    requireOption(who, "windowSize", windowSize, 1U, 10'000U);
    requireOption(who, "failureThreshold", failureThreshold, 1U, windowSize);
    requireOption(who, "minimumRequests", minimumRequests, 1U, windowSize);
    requireOption(who, "openFor", openFor, 1ms, 24h);
    requireOption(who, "successThreshold", successThreshold, 1U, 1'000U);
    requireOption(who, "maxTrials", maxTrials, 1U, 100U);
    requireOption(who, "trialTimeout", trialTimeout, 1ms, 24h);
  }
};

// The right to make one call. Whoever holds it owes exactly one record(); a CircuitBreaker's guard sees to
// that.
struct CircuitPermit {
  std::uint64_t generation = 0;  // of the state in which the call began
  std::uint64_t trial = 0;       // 0 for a call through a closed circuit
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
//   state      event                                          next       effect
//   CLOSED     admit                                          CLOSED     permitted
//   CLOSED     success                                        CLOSED     enters the window
//   CLOSED     failure, now >= minimumRequests outcomes and
//              >= failureThreshold failures in the window     OPEN       the wait of openFor begins
//   CLOSED     any other failure                              CLOSED     enters the window
//   OPEN       admit before the end of the wait               OPEN       refused
//   OPEN       admit at or after it                           HALF_OPEN  permitted: the first trial
//   HALF_OPEN  admit, fewer than maxTrials under way          HALF_OPEN  permitted: one more trial
//   HALF_OPEN  admit otherwise                                HALF_OPEN  refused
//   HALF_OPEN  success, the successThreshold-th               CLOSED     the window starts empty
//   HALF_OPEN  any other success                              HALF_OPEN  its place is free again
//   HALF_OPEN  failure                                        OPEN       the wait begins anew
//   HALF_OPEN  trialTimeout after a trial began               HALF_OPEN  its place is free again
//   CLOSED, HALF_OPEN  neutral                                same       not counted; a trial's place is free
//   any        outcome of a call that began in another state  same       only counted as stale
//
// So only a failure opens, and a success never does, even when it is the outcome that makes the window long
// enough. Each entry into a state has a generation of its own, which permits carry. A trial is over at its
// deadline whether or not anybody asks in between: what it reports then is stale.
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

  explicit CircuitBreakerMachine(const CircuitBreakerOptions& options = {}) : options_(options) {
    options_.check();
    window_.resize(options_.windowSize);
    trials_.resize(options_.maxTrials);
  }

  [[nodiscard]] CircuitAdmission admit(Time now) {
    switch (state_) {
      case CircuitState::closed: return {CircuitPermit{generation_, 0}, std::nullopt};
      case CircuitState::open: {
        if (now < openUntil_) return {};
        const CircuitTransition transition = enter(CircuitState::half_open);
        return {startTrial(now), transition};
      }
      case CircuitState::half_open: reclaimTrials(now); return {startTrial(now), std::nullopt};
    }
    return {};
  }

  CircuitRecording record(CircuitPermit permit, CircuitOutcome outcome, Time now) {
    if (permit.generation != generation_ || state_ == CircuitState::open) return stale();
    if (state_ == CircuitState::half_open) return recordTrial(permit, outcome, now);
    if (outcome == CircuitOutcome::neutral) return {};
    push(outcome);
    const bool opens = outcome == CircuitOutcome::failure && outcomes_ >= options_.minimumRequests &&
                       failures_ >= options_.failureThreshold;
    return {false, opens ? std::optional(open(now)) : std::nullopt};
  }

  // An open circuit stays so until somebody asks: HALF_OPEN begins in admit().
  [[nodiscard]] CircuitState state() const noexcept { return state_; }

  // How long until the next permission can be had: zero when it can be had now. With all trials under way it
  // is the time until the first of them must be over.
  [[nodiscard]] std::chrono::nanoseconds retryAfter(Time now) const noexcept {
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
  [[nodiscard]] std::size_t outcomes() const noexcept { return outcomes_; }
  [[nodiscard]] std::size_t failures() const noexcept { return failures_; }
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

  CircuitRecording recordTrial(CircuitPermit permit, CircuitOutcome outcome, Time now) {
    reclaimTrials(now);
    assert(permit.trial != 0);  // the generation is that of HALF_OPEN
    const auto trial = findTrial(permit.trial);
    if (trial == trials_.end()) return stale();
    *trial = Trial{};
    if (outcome == CircuitOutcome::failure) return {false, open(now)};
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
    openUntil_ = now + options_.openFor;
    return enter(CircuitState::open);
  }

  CircuitTransition enter(CircuitState next) {
    const CircuitTransition transition{state_, next};
    state_ = next;
    ++generation_;
    outcomes_ = failures_ = oldest_ = 0;
    successes_ = 0;
    std::fill(trials_.begin(), trials_.end(), Trial{});
    return transition;
  }

  void push(CircuitOutcome outcome) {
    if (outcomes_ < window_.size()) {
      ++outcomes_;
    } else {
      failures_ -= window_[oldest_] == CircuitOutcome::failure ? 1U : 0U;
    }
    failures_ += outcome == CircuitOutcome::failure ? 1U : 0U;
    window_[oldest_] = outcome;
    oldest_ = (oldest_ + 1) % window_.size();
  }

  std::optional<CircuitPermit> startTrial(Time now) {
    const auto place = findTrial(0);
    if (place == trials_.end()) return std::nullopt;
    *place = Trial{++lastTrial_, now + options_.trialTimeout};
    return CircuitPermit{generation_, place->id};
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
  std::uint64_t generation_ = 1;        // grows with each transition
  std::vector<CircuitOutcome> window_;  // CLOSED: a ring of the latest outcomes; the next one goes to oldest_
  std::size_t oldest_ = 0;
  std::size_t outcomes_ = 0;   // how many of the ring are valid
  std::size_t failures_ = 0;   // how many of these are failures
  Time openUntil_{};           // OPEN: when the wait ends
  std::vector<Trial> trials_;  // HALF_OPEN: the places
  unsigned successes_ = 0;     // HALF_OPEN: trials that succeeded
  std::uint64_t lastTrial_ = 0;
  std::uint64_t staleOutcomes_ = 0;
  std::uint64_t lostTrials_ = 0;
};

}  // namespace lukhas
