#include "lukhas/route/circuit_breaker_machine.hpp"

#include <algorithm>
#include <vector>

#include "support/rapidcheck.hpp"

using namespace std::chrono_literals;
using lukhas::CircuitBreakerMachine;
using lukhas::CircuitBreakerOptions;
using lukhas::CircuitControl;
using lukhas::CircuitOutcome;
using lukhas::CircuitPermit;
using lukhas::CircuitState;

namespace {

// The rules once more, the slow way: everything that ever happened is kept, and each answer is worked out
// from it.
class NaiveBreaker {
 public:
  using Time = CircuitBreakerMachine::Time;

  explicit NaiveBreaker(const CircuitBreakerOptions& options) : options_(options) {
    periods_.push_back({CircuitState::closed, {}, {}});
  }

  struct Call {
    std::size_t period;
    Time began;
    bool finished = false;
  };

  void control(unsigned what, Time now) {
    if (what == 0) {
      control_ = CircuitControl::forced_open;
      begin(CircuitState::open, now);
    } else if (what == 1) {
      control_ = CircuitControl::automatic;
      begin(CircuitState::closed, now);
    } else if (what == 2) {
      control_ = CircuitControl::disabled;
      begin(CircuitState::closed, now);
    } else if (control_ != CircuitControl::automatic) {
      control_ = CircuitControl::automatic;
      begin(state(), now - 24h);  // the wait of an open circuit is over
    }
  }

  // The index of the call, or -1 when it is refused.
  int ask(Time now) {
    if (state() == CircuitState::open && control_ == CircuitControl::automatic &&
        now - periods_.back().began >= wait())
      begin(CircuitState::half_open, now);
    if (state() == CircuitState::open) return -1;
    if (state() == CircuitState::half_open && underWay(now) >= options_.maxTrials) return -1;
    calls_.push_back({periods_.size() - 1, now});
    return static_cast<int>(calls_.size()) - 1;
  }

  // False when the outcome is stale.
  bool finish(int index, CircuitOutcome outcome, Time now) {
    Call& call = calls_[static_cast<std::size_t>(index)];
    call.finished = true;
    if (call.period != periods_.size() - 1) return false;
    if (state() == CircuitState::half_open && now - call.began >= options_.trialTimeout) return false;
    if (outcome == CircuitOutcome::neutral || control_ == CircuitControl::disabled) return true;
    const bool failed = outcome == CircuitOutcome::failure;
    const bool slow = options_.slowCallTime > 0s && now - call.began >= options_.slowCallTime;
    std::vector<Outcome>& outcomes = periods_.back().outcomes;
    outcomes.push_back({failed, slow, now});
    if (state() == CircuitState::closed) {
      if (opens(outcomes, now)) begin(CircuitState::open, now);
    } else if (failed || slow) {
      begin(CircuitState::open, now);
    } else if (outcomes.size() >= options_.successThreshold) {
      begin(CircuitState::closed, now);
    }
    return true;
  }

  CircuitState state() const { return periods_.back().state; }
  CircuitControl control() const { return control_; }

  std::size_t underWay(Time now) const {
    if (state() != CircuitState::half_open) return 0;
    return static_cast<std::size_t>(std::count_if(calls_.begin(), calls_.end(), [&](const Call& call) {
      return call.period == periods_.size() - 1 && !call.finished && now - call.began < options_.trialTimeout;
    }));
  }

 private:
  struct Outcome {
    bool failed;
    bool slow;
    Time when;
  };
  struct Period {
    CircuitState state;
    Time began;
    std::vector<Outcome> outcomes;
  };
  void begin(CircuitState state, Time now) { periods_.push_back({state, now, {}}); }

  bool opens(const std::vector<Outcome>& outcomes, Time now) const {
    const auto bucket = [this](Time when) { return when.time_since_epoch() / (options_.windowTime / 20); };
    std::vector<Outcome> seen;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
      const bool counts = options_.windowTime > 0s ? bucket(now) - bucket(outcomes[i].when) < 20
                                                   : outcomes.size() - i <= options_.windowSize;
      if (counts) seen.push_back(outcomes[i]);
    }
    if (seen.size() < options_.minimumRequests) return false;
    const auto failures = std::count_if(seen.begin(), seen.end(), [](const Outcome& o) { return o.failed; });
    const auto slow = std::count_if(seen.begin(), seen.end(), [](const Outcome& o) { return o.slow; });
    const auto percent = [&seen](std::ptrdiff_t part) {
      return 100.0 * static_cast<double>(part) / static_cast<double>(seen.size());
    };
    const bool byFailures = options_.failurePercent > 0
                                ? percent(failures) >= options_.failurePercent
                                : failures >= static_cast<std::ptrdiff_t>(options_.failureThreshold);
    return (outcomes.back().failed && byFailures) ||
           (outcomes.back().slow && percent(slow) >= options_.slowCallPercent);
  }

  // Of the open period that is the last one: twice as long for each trial that failed before it.
  std::chrono::nanoseconds wait() const {
    std::chrono::nanoseconds wait = options_.openFor;
    const std::chrono::nanoseconds longest = std::max(options_.openFor, options_.longestOpenFor);
    std::size_t first = periods_.size() - 1;
    while (first > 0 && periods_[first - 1].state != CircuitState::closed) --first;
    for (std::size_t i = first; i + 1 < periods_.size(); ++i) {
      const std::vector<Outcome>& trials = periods_[i].outcomes;
      const bool trialFailed = periods_[i].state == CircuitState::half_open && !trials.empty() &&
                               (trials.back().failed || trials.back().slow);
      if (trialFailed) wait = std::min(wait * 2, longest);
    }
    return wait;
  }

  CircuitBreakerOptions options_;
  CircuitControl control_ = CircuitControl::automatic;
  std::vector<Period> periods_;
  std::vector<Call> calls_;
};

CircuitBreakerOptions anyOptions() {
  CircuitBreakerOptions options;
  options.windowSize = *rc::gen::inRange(1U, 13U);
  options.failureThreshold = *rc::gen::inRange(1U, options.windowSize + 1);
  options.minimumRequests = *rc::gen::inRange(1U, options.windowSize + 1);
  options.openFor = std::chrono::seconds(*rc::gen::inRange(1, 8));
  options.successThreshold = *rc::gen::inRange(1U, 5U);
  options.maxTrials = *rc::gen::inRange(1U, 5U);
  options.trialTimeout = std::chrono::seconds(*rc::gen::inRange(1, 8));
  if (*rc::gen::inRange(0, 2) == 0) options.windowTime = std::chrono::seconds(*rc::gen::inRange(1, 8));
  if (*rc::gen::inRange(0, 3) == 0) options.failurePercent = *rc::gen::inRange(1, 101);
  if (*rc::gen::inRange(0, 3) == 0) {
    options.slowCallTime = std::chrono::milliseconds(*rc::gen::inRange(1, 3000));
    options.slowCallPercent = *rc::gen::inRange(1, 101);
  }
  if (*rc::gen::inRange(0, 2) == 0)
    options.longestOpenFor = options.openFor + std::chrono::seconds(*rc::gen::inRange(0, 20));
  return options;
}

std::optional<lukhas::CircuitTransition> controlled(CircuitBreakerMachine& machine, unsigned what,
                                                    CircuitBreakerMachine::Time now) {
  switch (what) {
    case 0: return machine.forceOpen();
    case 1: return machine.forceClose();
    case 2: return machine.disable();
    default: machine.automatic(now); return std::nullopt;
  }
}

struct UnderWay {
  CircuitPermit permit;
  int reference;
};

}  // namespace

TEST_CASE("the circuit breaker does what its rules say worked out the slow way", "[route]") {
  bool seen[3] = {};
  lukhas::test::holdsForAll("machine equals reference", [&seen] {
    const CircuitBreakerOptions options = anyOptions();
    CircuitBreakerMachine machine(options);
    NaiveBreaker reference(options);
    CircuitBreakerMachine::Time now{100s};
    std::vector<UnderWay> calls;
    const auto steps = *rc::gen::container<std::vector<unsigned>>(200, rc::gen::inRange(0U, 1'000'000U));
    for (const unsigned step : steps) {
      const unsigned kind = step % 10;
      const unsigned detail = step / 10;
      const CircuitState before = machine.state();
      std::optional<lukhas::CircuitTransition> transition;
      if (kind < 1) {
        now += std::chrono::milliseconds(500 * (detail % 5));
      } else if (kind < 2 && detail % 8 == 0) {
        transition = controlled(machine, detail / 8 % 4, now);
        reference.control(detail / 8 % 4, now);
      } else if (kind < 5 || calls.empty()) {
        const auto admission = machine.admit(now);
        const int call = reference.ask(now);
        RC_ASSERT(admission.permit.has_value() == (call >= 0));
        if (admission.permit) calls.push_back({*admission.permit, call});
        transition = admission.transition;
      } else {
        const auto chosen = calls.begin() + static_cast<std::ptrdiff_t>(detail % calls.size());
        const auto outcome = kind < 7   ? CircuitOutcome::success
                             : kind < 9 ? CircuitOutcome::failure
                                        : CircuitOutcome::neutral;
        const auto recording = machine.record(chosen->permit, outcome, now);
        RC_ASSERT(recording.stale == !reference.finish(chosen->reference, outcome, now));
        calls.erase(chosen);
        transition = recording.transition;
      }
      RC_ASSERT(machine.state() == reference.state());
      RC_ASSERT(machine.control() == reference.control());
      RC_ASSERT(machine.trialsUnderWay(now) == reference.underWay(now));
      RC_ASSERT(machine.trialsUnderWay(now) <= options.maxTrials);
      RC_ASSERT(transition.has_value() == (machine.state() != before));
      if (transition) RC_ASSERT(transition->from == before && transition->to == machine.state());
      seen[static_cast<int>(machine.state())] = true;
    }
  });
  CHECK((seen[0] && seen[1] && seen[2]));  // the steps reach every state
}

TEST_CASE("retryAfter is the shortest wait after which a permission is given", "[route]") {
  lukhas::test::holdsForAll("retryAfter is exact", [] {
    const CircuitBreakerOptions options = anyOptions();
    CircuitBreakerMachine machine(options);
    CircuitBreakerMachine::Time now{100s};
    const auto steps = *rc::gen::container<std::vector<unsigned>>(60, rc::gen::inRange(0U, 8U));
    for (const unsigned step : steps) {
      if (step == 0) now += 700ms;
      const auto permit = machine.admit(now).permit;
      if (permit && step < 6)
        machine.record(*permit, step < 5 ? CircuitOutcome::failure : CircuitOutcome::success, now);
      const auto wait = machine.retryAfter(now);
      RC_ASSERT(wait >= 0ns);
      CircuitBreakerMachine atLast = machine;
      RC_ASSERT(atLast.admit(now + wait).permit.has_value());
      CircuitBreakerMachine tooEarly = machine;
      if (wait > 0ns) RC_ASSERT(!tooEarly.admit(now + wait - 1ns).permit.has_value());
    }
  });
}
