// RunningAttempt: one question that is under way at a model, from its request to what came of it.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/wait_list.hpp"
#include "lukhas/route/circuit_breaker.hpp"
#include "lukhas/route/delivery.hpp"
#include "lukhas/route/detail/abortable_attempt.hpp"
#include "lukhas/route/detail/ask_model.hpp"
#include "lukhas/route/detail/judge_attempt.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/detail/router_state.hpp"
#include "lukhas/route/provider.hpp"

namespace lukhas::detail {

// How long the body of an error is waited for. Its status and headers say what to do; the body adds words,
// and whether a quota is spent. Endpoints send it along with the headers: who takes longer is not well, and
// a whole attempt's time is too much for a sentence.
inline constexpr Duration errorBodyTime = std::chrono::seconds(1);

[[nodiscard]] inline Duration timeOf(const ModelDescription& model, Delivery delivery) noexcept {
  const bool own = delivery == Delivery::stream && model.firstTokenTimeout > Duration::zero();
  return own ? std::min<Duration>(model.firstTokenTimeout, model.timeout) : Duration(model.timeout);
}

struct RunningAttempt {
  // `ask` runs from now on; `wakes` is resumed at its end.
  RunningAttempt(const std::shared_ptr<RouterState>& state, RoutedModelPtr asked,
                 CircuitBreaker::Permit permission, Duration time, TimePoint deadline,
                 asio::awaitable<AttemptEnd> ask, std::shared_ptr<WaitList> wakes)
      : model(std::move(asked)),
        permit(std::move(permission)),
        own(time),
        began(state->environment.now()),
        limit(std::min(Environment::saturatingAdd(began, own), deadline)),
        byDeadline(limit == deadline),
        task(state->environment, std::move(ask), std::move(wakes)),
        abortable(state, task) {}

  const RoutedModelPtr model;
  CircuitBreaker::Permit permit;
  const Duration own;  // what the model is given
  const TimePoint began;
  const TimePoint limit;  // the earlier one of its own and the request's
  const bool byDeadline;
  ChildTask<AttemptEnd> task;
  AbortableAttempt abortable;
};

// An attempt that ended before it began.
[[nodiscard]] inline asio::awaitable<AttemptEnd> notAsked(std::error_code error, std::string message,
                                                          nlohmann::json details) {
  AttemptEnd end;
  end.facts.error = error;
  end.message = std::move(message);
  end.details = std::move(details);
  co_return end;
}

// Throws Errc::invalid_argument for a context that cannot be written down. One that the model's protocol has
// no words for is the end of this attempt only: another model may speak the other protocol.
[[nodiscard]] inline std::unique_ptr<RunningAttempt> startAttempt(const std::shared_ptr<RouterState>& state,
                                                                  RouteCall& call, Delivery delivery,
                                                                  ModelPlace place,
                                                                  CircuitBreaker::Permit permit,
                                                                  std::shared_ptr<WaitList> wakes = nullptr) {
  const RoutedModelPtr model = place.model();
  const ModelDescription& description = model->description;
  const ProviderFunctions& provider = providerOf(description);
  const auto start = [&](asio::awaitable<AttemptEnd> ask) {
    return std::make_unique<RunningAttempt>(state, model, std::move(permit), timeOf(description, delivery),
                                            call.machine.deadline(), std::move(ask), std::move(wakes));
  };
  HttpRequest request;
  try {
    request = provider.makeRequest(description, call.contextIn(provider.form), delivery);
  } catch (const Error& error) {
    if (error.code() != RouteErrc::not_expressible) throw;
    return start(notAsked(error.code(), error.what(), error.details()));
  }
  request.connectTimeout = description.connectTimeout;
  return start(delivery == Delivery::stream ? askForStream(state, std::move(place), std::move(request))
                                            : askModel(state, std::move(place), std::move(request)));
}

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

// What an attempt that succeeded has given; of a stream, its permission is not spent yet.
struct Answered {
  AttemptEnd end;
  CircuitBreaker::Permit permit;
  RoutedModelPtr model;
};

// Judges the attempt: the answer, or nothing, and the call knows why. `end` is nothing when its time is over.
[[nodiscard]] inline asio::awaitable<std::optional<Answered>> finishAttempt(
    std::shared_ptr<RouterState> state, RouteCall& call, Delivery delivery, RunningAttempt& attempt,
    std::optional<AttemptEnd> end) {
  const bool timedOut = !end;
  if (end && end->refusal) {
    AttemptEnd refused = std::move(*end);
    AttemptEnd explained = co_await explainRefusal(state, std::move(refused), attempt.limit);
    end.emplace(std::move(explained));
  }
  if (timedOut) {
    end.emplace();
    end->facts.error = attempt.byDeadline ? RouteErrc::deadline_exceeded : RouteErrc::attempt_timed_out;
    if (!attempt.byDeadline) end->details["limitMs"] = wholeMilliseconds(attempt.own);
  } else if (!end->reply && !end->stream && state->closed()) {
    throw routerClosed();
  }
  const Duration took = state->environment.now() - attempt.began;
  const Verdict verdict = judgeAttempt(state->options, end->facts);
  state->settle(call, *attempt.model, verdict, *end, took);
  if (verdict.action == RouteAction::accept) {
    if (delivery == Delivery::whole) attempt.permit.record(verdict.health);
    co_return Answered{std::move(*end), std::move(attempt.permit), attempt.model};
  }
  attempt.permit.record(
      healthOf(verdict, attempt.limit - attempt.began, std::min(attempt.own, state->options.deadline)));
  call.notes.push_back({attempt.model->description.id, verdict.error, end->facts.status, took,
                        std::move(end->message), std::move(end->details)});
  if (timedOut) {
    attempt.task.cancel();
    (void)co_await attempt.task.joinUntil(state->environment.after(abortGrace));
  }
  co_return std::nullopt;
}

}  // namespace lukhas::detail
