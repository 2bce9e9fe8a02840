// ModelRouter: asks the best healthy model that can do it, and never waits for one that hangs.
#pragma once

#include <memory>
#include <string_view>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/route/ask_to_continue.hpp"
#include "lukhas/route/circuit_breaker.hpp"
#include "lukhas/route/detail/router_state.hpp"
#include "lukhas/route/impl/model_router.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/model_router_options.hpp"
#include "lukhas/route/model_stream.hpp"
#include "lukhas/route/route_error.hpp"
#include "lukhas/route/router_events.hpp"

namespace lukhas {

// Puts one question to several models, one after the other, until one answers.
//
//   lukhas::ModelRouter router{environment, {.transport = lukhas::CurlTransport::create(environment)}};
//   router.registerModel({.id = "best", .url = "https://api.example.com/v1", .priority = 10,
//                         .capabilities = {"chat"}, .apiKeyEnvironment = "EXAMPLE_KEY"});
//   router.registerModel({.id = "local", .url = "http://127.0.0.1:8080/v1", .capabilities = {"chat"}});
//   lukhas::ModelReply reply = co_await router.route({"turn-1", context, {"chat"}});
//
// Guarantees. A request ends within its deadline, and then nothing of it keeps running: the connection of an
// attempt whose time is over is closed. It makes at most maxAttempts attempts in all, in one loop; there are
// no retries below. A model never has more than maxConcurrent requests under way, and none at all while its
// circuit is open. Every permission of a circuit comes back, whatever becomes of the attempt.
//
// Order. Models that have all requirements, the highest priority first; one is passed over while its circuit
// refuses, while it has asked for fewer requests (429), and while it has maxConcurrent under way. After a
// failure the next model is asked at once; the same one again only after a backoff, or after what its
// `Retry-After` asks for, within bounds. Only when all that are left are busy or resting does the request
// wait, and oldest requests are served first. A wait that leaves no time for an attempt is not begun: the
// request fails at once, and its error tells how long the wait would have been.
//
// Forms. A request's context is written as OpenAI's protocol wants it, or, with RouteRequest::inForm(), as
// Anthropic's does; models of both protocols are asked, each in its own words. One whose protocol has no word
// for part of the request is passed over with RouteErrc::not_expressible.
//
// Hedging, by option: see ModelRouterOptions::hedgeDelay. The attempt that was slower is cancelled, counts as
// one of maxAttempts, and says nothing to its circuit.
//
// What counts against a model's circuit: no connection, a lost one, 5xx, 408, 409, an unreadable answer, the
// attempt's time-out, and hanging until the request's deadline. What does not: 429, a spent quota, a wrong
// key, a refused request, a caller who left, and a deadline that left an attempt less than half of its time.
//
// An answer with a status of an error is judged by its status and headers; its body is read for the words in
// it, for at most a second.
//
// Errors. lukhas::Error with a code of RouteErrc; details()["attempts"] has {model, outcome, status, ms} and
// the model's own message for each attempt. Neither keys nor headers stand in any error, event or metric.
// Errc::invalid_argument for a request that breaks its rules: nothing was asked then.
//
// Cancelling route() ends it with operation_aborted, closes the connection, and leaves nothing behind.
// Destroying the router ends the requests under way with Errc::closed. Any thread may call; a caller goes on
// on its own executor. Events are emitted outside all locks, in the thread that caused them.
class ModelRouter {
 public:
  using Options = ModelRouterOptions;

  // Throws Errc::invalid_option.
  ModelRouter(Environment environment, ModelRouterOptions options)
      : ModelRouter(std::make_shared<detail::RouterState>(std::move(environment), std::move(options))) {}
  ModelRouter(const ModelRouter&) = delete;
  ModelRouter& operator=(const ModelRouter&) = delete;
  ~ModelRouter() { state_->close(); }

  // From now on the model is a candidate, also for requests that wait already. Throws Errc::invalid_option,
  // RouteErrc::duplicate_model, RouteErrc::too_many_models.
  void registerModel(ModelDescription model) { state_->addModel(std::move(model)); }
  // No attempt begins at it any more; those under way go on to their end. Throws RouteErrc::unknown_model.
  void unregisterModel(std::string_view id) { state_->removeModel(id); }

  // The answer of the first model that gives one.
  [[nodiscard]] asio::awaitable<ModelReply> route(RouteRequest request) {
    return detail::routeRequest(state_, std::move(request));
  }

  // The same as a stream. It is there when the first content is: text, a tool call or thinking. Until then a
  // model that fails, stalls, or says in its first event that it is overloaded is left for the next one, as
  // in route(), and `deadline` holds; from then on see ModelStream.
  [[nodiscard]] asio::awaitable<ModelStream> routeStream(RouteRequest request) {
    return openStream(state_, std::move(request));
  }

  // Throws RouteErrc::unknown_model.
  [[nodiscard]] CircuitState circuit(std::string_view id) const { return state_->breaker(id)->state(); }
  // The model's circuit itself, to force it open or closed by hand. It stays valid when the model is
  // unregistered, and controls nothing then. Throws RouteErrc::unknown_model.
  [[nodiscard]] std::shared_ptr<CircuitBreaker> breaker(std::string_view id) const {
    return state_->breaker(id);
  }

  [[nodiscard]] RouterMetrics getMetrics() const { return state_->metrics(); }
  // Unhealthy while a circuit is not closed, while a model has asked to be left alone for longer than a
  // request lasts (see RetryPolicyOptions::maxRetryAfter), when more than 5 % of the latest hundred requests
  // ran into their deadline or 20 % failed otherwise, when a tenth of the retry budget is left, or when the
  // queue is fuller than four fifths.
  [[nodiscard]] HealthReport healthCheck() const { return state_->health(); }

 private:
  explicit ModelRouter(std::shared_ptr<detail::RouterState> state)
      : state_(std::move(state)),
        onCircuitOpen(state_->onCircuitOpen),
        onCircuitHalfOpen(state_->onCircuitHalfOpen),
        onCircuitClosed(state_->onCircuitClosed),
        onFailover(state_->onFailover),
        onRetry(state_->onRetry),
        onHedge(state_->onHedge) {}

  static asio::awaitable<ModelStream> openStream(std::shared_ptr<detail::RouterState> state,
                                                 RouteRequest request) {
    co_return ModelStream(co_await detail::routeStreamRequest(std::move(state), std::move(request)));
  }

  std::shared_ptr<detail::RouterState> state_;

 public:
  Signal<CircuitEvent>& onCircuitOpen;
  Signal<CircuitEvent>& onCircuitHalfOpen;
  Signal<CircuitEvent>& onCircuitClosed;
  Signal<FailoverEvent>& onFailover;  // when the attempt at the other model begins
  Signal<RetryEvent>& onRetry;        // when the further attempt at the same model begins
  Signal<HedgeEvent>& onHedge;        // when a second model is asked beside a slow one
};

}  // namespace lukhas
