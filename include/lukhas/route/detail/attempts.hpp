// The one loop of attempts, over all models, and the two that may run side by side in it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/wait_list.hpp"
#include "lukhas/route/circuit_breaker.hpp"
#include "lukhas/route/delivery.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/detail/router_state.hpp"
#include "lukhas/route/detail/running_attempt.hpp"

namespace lukhas::detail {

// A request's place in the queue. Whatever happens while it waits, it leaves the queue, and a place that it
// was given in the same moment goes on to the next.
class QueuePlace {
 public:
  QueuePlace(std::shared_ptr<RouterState> state, std::shared_ptr<RouteWaiter> waiter) noexcept
      : state_(std::move(state)), waiter_(std::move(waiter)) {}
  QueuePlace(const QueuePlace&) = delete;
  QueuePlace& operator=(const QueuePlace&) = delete;
  ~QueuePlace() { (void)state_->leaveQueue(*waiter_); }

  [[nodiscard]] ModelPlace leave() { return state_->leaveQueue(*waiter_); }

 private:
  std::shared_ptr<RouterState> state_;
  std::shared_ptr<RouteWaiter> waiter_;
};

// One attempt, within its time.
[[nodiscard]] inline asio::awaitable<std::optional<Answered>> attemptAlone(std::shared_ptr<RouterState> state,
                                                                           RouteCall& call, Delivery delivery,
                                                                           ModelPlace place,
                                                                           CircuitBreaker::Permit permit) {
  state->announce(call, *place.model());
  const std::unique_ptr<RunningAttempt> attempt =
      startAttempt(state, call, delivery, std::move(place), std::move(permit));
  std::optional<AttemptEnd> end = co_await attempt->task.joinUntil(attempt->limit);
  co_return co_await finishAttempt(state, call, delivery, *attempt, std::move(end));
}

using RunningAttempts = std::vector<std::unique_ptr<RunningAttempt>>;

// Asks a second model, if there is one that may be asked now.
inline void startHedge(const std::shared_ptr<RouterState>& state, RouteCall& call, Delivery delivery,
                       RunningAttempts& running, const std::shared_ptr<WaitList>& wakes) {
  ModelPlace place = state->chooseHedge(call, *running.front()->model);
  if (!place.model()) return;
  std::optional<CircuitBreaker::Permit> permit = place.model()->breaker.tryAcquire();
  if (!permit) return;
  state->announceHedge(call, *running.front()->model, *place.model());
  running.push_back(startAttempt(state, call, delivery, std::move(place), std::move(*permit), wakes));
}

// The one that was slower: it counts, its connection is closed, and its circuit hears nothing.
inline asio::awaitable<void> abandon(std::shared_ptr<RouterState> state, RouteCall& call,
                                     RunningAttempt& attempt) {
  call.machine.abandoned();
  attempt.permit.record(CircuitOutcome::neutral);
  attempt.task.cancel();
  try {
    (void)co_await attempt.task.joinUntil(state->environment.after(abortGrace));
  } catch (const Error&) {  // its own failure is of no interest; the caller's leaving shows at the next await
  }
}

// One attempt, and a second one beside it when the first has no answer after hedgeDelay. Both failed:
// nothing.
[[nodiscard]] inline asio::awaitable<std::optional<Answered>> attemptHedged(
    std::shared_ptr<RouterState> state, RouteCall& call, Delivery delivery, ModelPlace place,
    CircuitBreaker::Permit permit) {
  const auto wakes = std::make_shared<WaitList>(state->environment);
  std::optional<TimePoint> hedgeAt = state->environment.after(state->options.hedgeDelay);
  RunningAttempts running;
  state->announce(call, *place.model());
  running.push_back(startAttempt(state, call, delivery, std::move(place), std::move(permit), wakes));
  const RunningAttempt* const first = running.front().get();
  const RunningAttempts* const all = &running;
  while (!running.empty()) {
    TimePoint until = hedgeAt.value_or(TimePoint::max());
    for (const std::unique_ptr<RunningAttempt>& one : running) until = std::min(until, one->limit);
    (void)co_await wakes->waitUntil(until, [all] {
      return std::any_of(all->begin(), all->end(), [](const auto& one) { return one->task.done(); });
    });
    const TimePoint now = state->environment.now();
    const auto ended = std::find_if(running.begin(), running.end(),
                                    [now](const auto& one) { return one->task.done() || one->limit <= now; });
    if (ended == running.end()) {
      if (!hedgeAt || now < *hedgeAt) continue;
      hedgeAt.reset();
      startHedge(state, call, delivery, running, wakes);
      continue;
    }
    const std::unique_ptr<RunningAttempt> attempt = std::move(*ended);
    running.erase(ended);
    std::optional<AttemptEnd> end = co_await attempt->task.joinUntil(now);
    std::optional<Answered> answered =
        co_await finishAttempt(state, call, delivery, *attempt, std::move(end));
    if (!answered) continue;
    if (attempt.get() != first) state->countHedgeWin();
    for (const std::unique_ptr<RunningAttempt>& slower : running) co_await abandon(state, call, *slower);
    co_return answered;
  }
  co_return std::nullopt;
}

// Until one attempt succeeds. Throws what the request fails with.
[[nodiscard]] inline asio::awaitable<Answered> attemptUntilAnswered(std::shared_ptr<RouterState> state,
                                                                    RouteCall& call, Delivery delivery) {
  const bool hedges = call.request.isIdempotent() && state->options.hedgeDelay > Duration::zero();
  ModelPlace held;
  for (;;) {
    RouteTurn turn = state->choose(call, std::move(held));
    if (turn.step.kind == RouteStep::Kind::fail) throw routeFailure(call, turn.step, state->options);
    if (turn.step.kind == RouteStep::Kind::wait) {
      RouteWaiter* const waiter = turn.waiter.get();
      QueuePlace queued(state, std::move(turn.waiter));
      (void)co_await waiter->changed.waitUntil(turn.step.until, [waiter] { return waiter->decided.load(); });
      held = queued.leave();
      continue;
    }
    std::optional<CircuitBreaker::Permit> permit = turn.place.model()->breaker.tryAcquire();
    if (!permit) continue;  // another thread was faster: choose() sees the same now
    asio::awaitable<std::optional<Answered>> attempt =
        hedges ? attemptHedged(state, call, delivery, std::move(turn.place), std::move(*permit))
               : attemptAlone(state, call, delivery, std::move(turn.place), std::move(*permit));
    std::optional<Answered> answered = co_await std::move(attempt);
    if (answered) co_return std::move(*answered);
  }
}

}  // namespace lukhas::detail
