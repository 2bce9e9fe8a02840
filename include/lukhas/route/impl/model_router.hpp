// The way of a request through ModelRouter.
#pragma once

#include <memory>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/route/detail/attempts.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/detail/router_state.hpp"
#include "lukhas/route/detail/stream_session.hpp"

namespace lukhas::detail {

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
  co_return std::make_shared<StreamSession>(state, std::move(call), std::move(answered), began);
}

}  // namespace lukhas::detail
