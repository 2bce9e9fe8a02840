// CircuitBreaker: stops calling what keeps failing, and finds out by a few trials when it is well again.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <type_traits>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/this_coro.hpp>
#include <fmt/format.h>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/core/natural_call.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/route/circuit_breaker_machine.hpp"
#include "lukhas/route/outcome_classifier.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/route/route_error.hpp"

namespace lukhas {

// A circuit has changed its state.
struct CircuitEvent {
  std::string modelId;  // the breaker's name: in a router, the id of the model
  CircuitState from = CircuitState::closed;
  CircuitState to = CircuitState::closed;

  friend std::ostream& operator<<(std::ostream& out, const CircuitEvent& event) {
    return out << "circuit of " << quotedText(event.modelId, 256) << ": " << toString(event.from) << " -> "
               << toString(event.to);
  }
};

struct CircuitBreakerMetrics {
  std::uint64_t permittedCalls = 0;
  std::uint64_t refusedCalls = 0;
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  std::uint64_t neutralOutcomes = 0;
  std::uint64_t staleOutcomes = 0;
  std::uint64_t lostTrials = 0;
  std::uint64_t circuitOpens = 0;
  std::map<std::string, std::string> circuits;  // name → state

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("permittedCalls", permittedCalls, "calls that were permitted"));
    visitor(counter("refusedCalls", refusedCalls, "calls that were refused"));
    visitor(counter("successes", successes, "permitted calls that succeeded"));
    visitor(counter("failures", failures, "permitted calls that failed"));
    visitor(counter("neutralOutcomes", neutralOutcomes, "permitted calls that said nothing about health"));
    visitor(counter("staleOutcomes", staleOutcomes, "outcomes of calls that began in an earlier state"));
    visitor(counter("lostTrials", lostTrials, "trials whose place was taken back"));
    visitor(counter("circuitOpens", circuitOpens, "how often the circuit opened"));
    visitor(stateGauge("circuits", "id", circuits, "state of the circuit", circuitStateNames));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }

  static constexpr std::string_view circuitStateNames[] = {"CLOSED", "OPEN", "HALF_OPEN"};
};

// Put around any call that may be slow or down; the rules are those of CircuitBreakerMachine.
//
//   lukhas::CircuitBreaker breaker{environment, "billing"};
//   Invoice invoice = co_await breaker.call([&] { return fetchInvoice(id); });
//
// call() throws RouteErrc::circuit_open without calling anything while the circuit refuses. What the call
// throws is a failure and goes on to the caller. What it throws after the caller was cancelled is neutral;
// operation_aborted from a call whose caller was not, such as one that its own timer cut off, is a failure.
// Whoever needs finer rules takes the permission by hand:
//
//   if (auto permit = breaker.tryAcquire()) {
//     const Answer answer = co_await ask();               // thrown through or cancelled: neutral
//     permit->record(answer.ok() ? CircuitOutcome::success : CircuitOutcome::failure);
//   }
//
// Guarantees. A permission always comes back: one that is destroyed without a word is neutral, so that a
// breaker never stays in HALF_OPEN. An outcome counts only in the state in which its call began. At most
// maxTrials calls are under way in HALF_OPEN, whatever the number of threads.
//
// It bounds no time: a call that hangs says nothing until its own time-out ends it.
//
// Events are emitted in the thread whose call caused them, after the change, outside all locks; two changes
// caused by two threads at once may be told in either order. Nothing waits in a breaker, so it may be
// destroyed at any time, also with calls under way: their outcomes then go nowhere. Any thread may call.
class CircuitBreaker {
  struct State;

 public:
  using Options = CircuitBreakerOptions;

  // The right to make one call. Move-only; one thread at a time. It may outlive the breaker.
  class Permit {
   public:
    Permit(Permit&&) noexcept = default;
    Permit& operator=(Permit&& other) noexcept {
      if (this != &other) {
        record(CircuitOutcome::neutral);
        state_ = std::move(other.state_);
        permit_ = other.permit_;
      }
      return *this;
    }
    ~Permit() { record(CircuitOutcome::neutral); }

    // How the call ended. Only the first outcome counts.
    void record(CircuitOutcome outcome) noexcept {
      if (const std::shared_ptr<State> state = std::move(state_)) state->record(permit_, outcome, {});
    }
    // The same for a call in which somebody else's time is part of the time that passed: the called took only
    // `took`, which is what CircuitBreakerOptions::slowCallTime is about.
    void record(CircuitOutcome outcome, Duration took) noexcept {
      if (const std::shared_ptr<State> state = std::move(state_)) state->record(permit_, outcome, took);
    }

    // Whether it is one of the few trials of HALF_OPEN.
    [[nodiscard]] bool isTrial() const noexcept { return permit_.trial != 0; }
    // When the call was permitted.
    [[nodiscard]] TimePoint began() const noexcept { return permit_.began; }

   private:
    friend class CircuitBreaker;
    Permit(std::shared_ptr<State> state, CircuitPermit permit) noexcept
        : state_(std::move(state)), permit_(permit) {}

    std::shared_ptr<State> state_;  // empty once the outcome is recorded
    CircuitPermit permit_;
  };

  // `name` stands in events, errors and metrics. Throws Errc::invalid_option.
  CircuitBreaker(Environment environment, std::string name, CircuitBreakerOptions options = {})
      : CircuitBreaker(std::make_shared<State>(std::move(environment), std::move(name), options)) {}
  CircuitBreaker(const CircuitBreaker&) = delete;
  CircuitBreaker& operator=(const CircuitBreaker&) = delete;
  ~CircuitBreaker() = default;

  // A permission, or nothing when the circuit refuses. Never waits.
  [[nodiscard]] std::optional<Permit> tryAcquire() { return acquire(state_); }

  // Runs `call`, plain or a coroutine, when the circuit permits it, and gives its result. The caller goes on
  // where the call leaves it.
  template <class Call>
  [[nodiscard]] auto call(Call&& toMake) {
    LUKHAS_CHECK_NATURAL_CALL(Call);
    return callPermitted(state_, std::decay_t<Call>(std::forward<Call>(toMake)));
  }

  // By hand, for operators: each holds at once, emits the event of the change, if it is one, and makes the
  // calls under way say nothing any more.
  //
  //   forceOpen()   refuses everything, also trials, until one of the others
  //   forceClose()  permits again, with an empty window; from there the rules hold
  //   disable()     permits everything and counts nothing, until one of the others
  //   automatic()   ends forceOpen(), with a trial first, or disable(), with an empty window
  void forceOpen() { state_->change(&CircuitBreakerMachine::forceOpen); }
  void forceClose() { state_->change(&CircuitBreakerMachine::forceClose); }
  void disable() { state_->change(&CircuitBreakerMachine::disable); }
  void automatic() {
    const std::lock_guard lock(state_->mutex);
    state_->machine.automatic(state_->environment.now());
  }

  [[nodiscard]] CircuitState state() const {
    const std::lock_guard lock(state_->mutex);
    return state_->machine.state();
  }
  [[nodiscard]] CircuitControl control() const {
    const std::lock_guard lock(state_->mutex);
    return state_->machine.control();
  }
  // How long until a permission can be had: zero when it can be had now, Duration::max() when it is forced
  // open.
  [[nodiscard]] Duration retryAfter() const { return state_->retryAfter(); }
  [[nodiscard]] const std::string& name() const noexcept { return state_->name; }

  [[nodiscard]] CircuitBreakerMetrics getMetrics() const {
    const std::lock_guard lock(state_->mutex);
    CircuitBreakerMetrics metrics = state_->counters;
    metrics.staleOutcomes = state_->machine.staleOutcomes();
    metrics.lostTrials = state_->machine.lostTrials();
    metrics.circuits[state_->name] = toString(state_->machine.state());
    return metrics;
  }
  // Healthy while the circuit is closed.
  [[nodiscard]] HealthReport healthCheck() const {
    HealthReport health;
    const CircuitState current = state();
    if (current == CircuitState::closed) return health;
    if (control() == CircuitControl::forced_open) {
      health.report("circuit_open",
                    fmt::format("the circuit of {} was opened by hand", quotedText(name(), 256)), 1, 0);
      return health;
    }
    const double seconds = std::chrono::duration<double>(retryAfter()).count();
    health.report("circuit_open",
                  fmt::format("the circuit of {} is {}; the next call is permitted in {:.1f} s",
                              quotedText(name(), 256), toString(current), seconds),
                  seconds, 0);
    return health;
  }

 private:
  struct State {
    State(Environment env, std::string called, const CircuitBreakerOptions& options)
        : environment(std::move(env)), name(std::move(called)), machine(options) {}

    const Environment environment;
    const std::string name;
    mutable std::mutex mutex;
    CircuitBreakerMachine machine;
    CircuitBreakerMetrics counters;
    Signal<CircuitEvent> onOpen;
    Signal<CircuitEvent> onHalfOpen;
    Signal<CircuitEvent> onClosed;

    std::optional<CircuitPermit> admit() {
      CircuitAdmission admission;
      {
        const std::lock_guard lock(mutex);
        admission = machine.admit(environment.now());
        ++(admission.permit ? counters.permittedCalls : counters.refusedCalls);
      }
      tell(admission.transition);
      return admission.permit;
    }
    void record(CircuitPermit permit, CircuitOutcome outcome, std::optional<Duration> took) noexcept {
      std::optional<CircuitTransition> transition;
      {
        const std::lock_guard lock(mutex);
        const TimePoint now = environment.now();
        transition = machine.record(permit, outcome, now, took.value_or(now - permit.began)).transition;
        if (transition && transition->to == CircuitState::open) ++counters.circuitOpens;
        switch (outcome) {
          case CircuitOutcome::success: ++counters.successes; break;
          case CircuitOutcome::failure: ++counters.failures; break;
          case CircuitOutcome::neutral: ++counters.neutralOutcomes; break;
        }
      }
      tell(transition);
    }
    void change(std::optional<CircuitTransition> (CircuitBreakerMachine::*how)()) {
      std::optional<CircuitTransition> transition;
      {
        const std::lock_guard lock(mutex);
        transition = (machine.*how)();
        if (transition && transition->to == CircuitState::open) ++counters.circuitOpens;
      }
      tell(transition);
    }
    Duration retryAfter() const {
      const std::lock_guard lock(mutex);
      return machine.retryAfter(environment.now());
    }
    // A neutral outcome changes no state, so a permission's destructor emits nothing.
    void tell(const std::optional<CircuitTransition>& transition) const {
      if (!transition) return;
      const CircuitEvent event{name, transition->from, transition->to};
      switch (transition->to) {
        case CircuitState::open: return onOpen.emit(event);
        case CircuitState::half_open: return onHalfOpen.emit(event);
        case CircuitState::closed: return onClosed.emit(event);
      }
    }
  };

  explicit CircuitBreaker(std::shared_ptr<State> state)
      : state_(std::move(state)),
        onOpen(state_->onOpen),
        onHalfOpen(state_->onHalfOpen),
        onClosed(state_->onClosed) {}

  static std::optional<Permit> acquire(const std::shared_ptr<State>& state) {
    const std::optional<CircuitPermit> permit = state->admit();
    if (!permit) return std::nullopt;
    return Permit(state, *permit);
  }

  template <class T>
  struct Awaited {
    using Result = T;
    static constexpr bool isCoroutine = false;
  };
  template <class T>
  struct Awaited<asio::awaitable<T>> {
    using Result = T;
    static constexpr bool isCoroutine = true;
  };

  template <class Call, class Kind = Awaited<std::invoke_result_t<Call&>>>
  static asio::awaitable<typename Kind::Result> callPermitted(std::shared_ptr<State> state, Call call) {
    std::optional<Permit> permit = acquire(state);
    if (!permit) throw refusal(*state);
    std::exception_ptr failure;
    try {
      if constexpr (std::is_void_v<typename Kind::Result>) {
        if constexpr (Kind::isCoroutine) {
          co_await call();
        } else {
          call();
        }
        permit->record(CircuitOutcome::success);
        co_return;
      } else if constexpr (Kind::isCoroutine) {
        typename Kind::Result result = co_await call();
        permit->record(CircuitOutcome::success);
        co_return result;
      } else {
        typename Kind::Result result = call();
        permit->record(CircuitOutcome::success);
        co_return result;
      }
    } catch (...) {
      failure = std::current_exception();
    }
    // Not by the error's code: a call that a timer of its own cuts off ends with operation_aborted as well.
    const asio::cancellation_state caller = co_await asio::this_coro::cancellation_state;
    const bool callerLeft = caller.cancelled() != asio::cancellation_type::none;
    permit->record(callerLeft ? CircuitOutcome::neutral : CircuitOutcome::failure);
    std::rethrow_exception(failure);
  }

  static Error refusal(const State& state) {
    const Duration wait = state.retryAfter();
    nlohmann::json details{{"name", cleanText(state.name, 256)}};
    if (wait == Duration::max()) {
      return {RouteErrc::circuit_open,
              fmt::format("the circuit of {} was opened by hand", quotedText(state.name, 256)),
              std::move(details)};
    }
    const auto waitMs = std::chrono::ceil<std::chrono::milliseconds>(wait).count();
    details["retryAfterMs"] = waitMs;
    return {
        RouteErrc::circuit_open,
        fmt::format("the circuit of {} refuses calls for another {} ms", quotedText(state.name, 256), waitMs),
        std::move(details)};
  }

  std::shared_ptr<State> state_;

 public:
  Signal<CircuitEvent>& onOpen;      // CLOSED or HALF_OPEN → OPEN
  Signal<CircuitEvent>& onHalfOpen;  // OPEN → HALF_OPEN: the first trial begins
  Signal<CircuitEvent>& onClosed;    // HALF_OPEN → CLOSED
};

}  // namespace lukhas
