// The way of a request through ModelRouter: the one loop of attempts.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/route/detail/ask_model.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/detail/router_state.hpp"
#include "lukhas/route/provider.hpp"

namespace lukhas::detail {

// How long an attempt whose time is over is waited for after it was cancelled, so that its connection is
// closed when the caller goes on. A transport that reacts to cancellation, as it must, needs no time for
// that; one that does not is left behind.
inline constexpr Duration abortGrace = std::chrono::milliseconds(100);

// How long the body of an error is waited for. Its status and headers say what to do; the body adds words,
// and whether a quota is spent. Endpoints send it along with the headers: who takes longer is not well, and
// a whole attempt's time is too much for a sentence.
inline constexpr Duration errorBodyTime = std::chrono::seconds(1);

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

// An attempt that a router which is destroyed aborts.
class AbortableAttempt {
 public:
  AbortableAttempt(std::shared_ptr<RouterState> state, ChildTask<AttemptEnd>& attempt)
      : state_(std::move(state)), position_(state_->addAttempt(attempt)) {}
  AbortableAttempt(const AbortableAttempt&) = delete;
  AbortableAttempt& operator=(const AbortableAttempt&) = delete;
  ~AbortableAttempt() { state_->removeAttempt(position_); }

 private:
  std::shared_ptr<RouterState> state_;
  RouterState::Attempts::iterator position_;
};

// Whether the circuit hears of an attempt that the request's deadline has ended: a model that had less than
// half of the time that a request would give it at first was cut off, and did not hang.
inline CircuitOutcome healthOf(const Verdict& verdict, Duration given, Duration entitled) noexcept {
  const bool cutOff = verdict.error == RouteErrc::deadline_exceeded && given < entitled / 2;
  return cutOff ? CircuitOutcome::neutral : verdict.health;
}

// The same end, with what the body of the error says, if it comes in time: at most errorBodyTime, and not
// after `limit`. A body that stalls does not make a time-out of a 429 or a 401.
[[nodiscard]] inline asio::awaitable<AttemptEnd> explainRefusal(std::shared_ptr<RouterState> state,
                                                                AttemptEnd end, TimePoint limit) {
  AttemptEnd unexplained;
  unexplained.facts = end.facts;
  const TimePoint bodyLimit = std::min(state->environment.after(errorBodyTime), limit);
  ChildTask<AttemptEnd> reading(state->environment, readRefusal(state, std::move(end)));
  const AbortableAttempt abortable(state, reading);
  std::optional<AttemptEnd> explained = co_await reading.joinUntil(bodyLimit);
  if (explained) co_return std::move(*explained);
  reading.cancel();
  (void)co_await reading.joinUntil(state->environment.after(abortGrace));
  co_return unexplained;
}

// One attempt, within its time: the reply, or nothing, and the call knows why.
[[nodiscard]] inline asio::awaitable<std::optional<ModelReply>> attemptAt(std::shared_ptr<RouterState> state,
                                                                          RouteCall& call, ModelPlace place,
                                                                          CircuitBreaker::Permit permit) {
  const RoutedModelPtr model = place.model();
  const ModelDescription& description = model->description;
  HttpRequest request = withProvider(description.protocol, [&](auto provider) {
    return provider.makeRequest(description, call.request.context());
  });
  state->announce(call, *model);

  const TimePoint began = state->environment.now();
  const TimePoint deadline = call.machine.deadline();
  const TimePoint limit = std::min(Environment::saturatingAdd(began, description.timeout), deadline);
  ChildTask<AttemptEnd> attempt(state->environment, askModel(state, std::move(place), std::move(request)));
  const AbortableAttempt abortable(state, attempt);
  std::optional<AttemptEnd> end = co_await attempt.joinUntil(limit);
  const bool timedOut = !end;
  if (end && end->refusal) {
    AttemptEnd refused = std::move(*end);
    AttemptEnd explained = co_await explainRefusal(state, std::move(refused), limit);
    end.emplace(std::move(explained));
  }
  if (timedOut) {
    end.emplace();
    end->facts.error = limit == deadline ? RouteErrc::deadline_exceeded : RouteErrc::attempt_timed_out;
    if (limit != deadline) end->details["limitMs"] = wholeMilliseconds(description.timeout);
  } else if (!end->reply && state->closed()) {
    throw routerClosed();
  }
  const Duration took = state->environment.now() - began;
  const Verdict verdict = classifyOutcome(end->facts);
  const Duration entitled = std::min(description.timeout, state->options.deadline);
  state->settle(call, *model, verdict);
  permit.record(healthOf(verdict, limit - began, entitled));
  if (verdict.action == RouteAction::accept) {
    end->reply->model = description.id;
    end->reply->attempts = call.machine.attempts() + 1;
    co_return std::move(end->reply);
  }
  call.notes.push_back({description.id, verdict.error, end->facts.status, took, std::move(end->message),
                        std::move(end->details)});
  if (timedOut) {
    attempt.cancel();
    (void)co_await attempt.joinUntil(state->environment.after(abortGrace));
  }
  co_return std::nullopt;
}

[[nodiscard]] inline asio::awaitable<ModelReply> attemptUntilAnswered(std::shared_ptr<RouterState> state,
                                                                      RouteCall& call) {
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
    std::optional<ModelReply> reply =
        co_await attemptAt(state, call, std::move(turn.place), std::move(*permit));
    if (reply) co_return std::move(*reply);
  }
}

[[nodiscard]] inline asio::awaitable<ModelReply> routeRequest(std::shared_ptr<RouterState> state,
                                                              RouteRequest request) {
  checkRequest(request);
  const TimePoint began = state->environment.now();
  RouteCall call = state->begin(std::move(request));
  try {
    ModelReply reply = co_await attemptUntilAnswered(state, call);
    state->succeeded(state->environment.now() - began);
    co_return reply;
  } catch (const Error& error) {
    state->failed(error.code());
    throw;
  } catch (const std::system_error& error) {  // Asio's own, when a cancelled coroutine awaits once more
    state->failed(error.code());
    if (isCancellation(error.code())) throw cancelledError("the caller cancelled the request");
    throw;
  } catch (...) {
    state->failed({});
    throw;
  }
}

}  // namespace lukhas::detail
