// The way of a request through ModelRouter: the one loop of attempts.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/route/detail/ask_model.hpp"
#include "lukhas/route/detail/judge_attempt.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/detail/abortable_attempt.hpp"
#include "lukhas/route/detail/router_state.hpp"
#include "lukhas/route/detail/stream_session.hpp"
#include "lukhas/route/provider.hpp"

namespace lukhas::detail {

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

enum class Delivery : std::uint8_t { whole, stream };

[[nodiscard]] inline Duration timeOf(const ModelDescription& model, Delivery delivery) noexcept {
  const bool own = delivery == Delivery::stream && model.firstTokenTimeout > Duration::zero();
  return own ? std::min<Duration>(model.firstTokenTimeout, model.timeout) : Duration(model.timeout);
}

// What an attempt that succeeded has given; of a stream, its permission is not spent yet.
struct Answered {
  AttemptEnd end;
  CircuitBreaker::Permit permit;
  RoutedModelPtr model;
};

// One attempt, within its time: the answer, or nothing, and the call knows why.
[[nodiscard]] inline asio::awaitable<std::optional<Answered>> attemptAt(std::shared_ptr<RouterState> state,
                                                                        RouteCall& call, Delivery delivery,
                                                                        ModelPlace place,
                                                                        CircuitBreaker::Permit permit) {
  const RoutedModelPtr model = place.model();
  const ModelDescription& description = model->description;
  HttpRequest request = delivery == Delivery::stream
                            ? OpenAiStreamReader::makeRequest(description, call.request.context())
                            : withProvider(description.protocol, [&](auto provider) {
                                return provider.makeRequest(description, call.request.context());
                              });
  request.connectTimeout = description.connectTimeout;
  state->announce(call, *model);

  const Duration own = timeOf(description, delivery);
  const TimePoint began = state->environment.now();
  const TimePoint deadline = call.machine.deadline();
  const TimePoint limit = std::min(Environment::saturatingAdd(began, own), deadline);
  ChildTask<AttemptEnd> attempt(state->environment,
                                delivery == Delivery::stream
                                    ? askForStream(state, std::move(place), std::move(request))
                                    : askModel(state, std::move(place), std::move(request)));
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
    if (limit != deadline) end->details["limitMs"] = wholeMilliseconds(own);
  } else if (!end->reply && !end->stream && state->closed()) {
    throw routerClosed();
  }
  const Duration took = state->environment.now() - began;
  const Verdict verdict = judgeAttempt(state->options, end->facts);
  state->settle(call, *model, verdict, *end, took);
  if (verdict.action == RouteAction::accept) {
    if (delivery == Delivery::whole) permit.record(verdict.health);
    co_return Answered{std::move(*end), std::move(permit), model};
  }
  permit.record(healthOf(verdict, limit - began, std::min(own, state->options.deadline)));
  call.notes.push_back({description.id, verdict.error, end->facts.status, took, std::move(end->message),
                        std::move(end->details)});
  if (timedOut) {
    attempt.cancel();
    (void)co_await attempt.joinUntil(state->environment.after(abortGrace));
  }
  co_return std::nullopt;
}

[[nodiscard]] inline asio::awaitable<Answered> attemptUntilAnswered(std::shared_ptr<RouterState> state,
                                                                    RouteCall& call, Delivery delivery) {
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
    std::optional<Answered> answered =
        co_await attemptAt(state, call, delivery, std::move(turn.place), std::move(*permit));
    if (answered) co_return std::move(*answered);
  }
}

// Runs `serve`, and gives the router's accounts the way in which it failed.
template <class T>
[[nodiscard]] asio::awaitable<T> accounted(std::shared_ptr<RouterState> state, asio::awaitable<T> serve) {
  try {
    T result = co_await std::move(serve);
    co_return result;
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

[[nodiscard]] inline asio::awaitable<ModelReply> routeRequest(std::shared_ptr<RouterState> state,
                                                              RouteRequest request) {
  checkRequest(request);
  const TimePoint began = state->environment.now();
  RouteCall call = state->begin(std::move(request));
  Answered answered = co_await accounted(state, attemptUntilAnswered(state, call, Delivery::whole));
  state->succeeded(state->environment.now() - began);
  ModelReply reply = std::move(*answered.end.reply);
  reply.model = answered.model->description.id;
  reply.attempts = call.machine.attempts() + 1;
  co_return reply;
}

[[nodiscard]] inline asio::awaitable<std::shared_ptr<StreamSession>> routeStreamRequest(
    std::shared_ptr<RouterState> state, RouteRequest request) {
  checkRequest(request);
  const TimePoint began = state->environment.now();
  auto call = std::make_unique<RouteCall>(state->begin(std::move(request)));
  Answered answered = co_await accounted(state, attemptUntilAnswered(state, *call, Delivery::stream));
  co_return std::make_shared<StreamSession>(state, std::move(call), std::move(answered.permit),
                                            std::move(answered.end.stream), answered.model, began);
}

}  // namespace lukhas::detail
