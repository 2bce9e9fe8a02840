// What the end of an attempt means: for the request, for the model's circuit, and for how long the model is
// left alone.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <system_error>

#include <asio/error.hpp>

#include "lukhas/route/circuit_breaker_machine.hpp"
#include "lukhas/route/retry_after.hpp"
#include "lukhas/route/route_error.hpp"

namespace lukhas {

// What is to be done with the request.
enum class RouteAction : std::uint8_t {
  accept,  // it is answered
  retry,  // another attempt may succeed, at this model too; another model is better, because it needs no wait
  fail_over,  // not at this model again, but another one may answer
  give_up,    // no model would answer differently, or nobody waits for the answer any more
};

[[nodiscard]] constexpr const char* toString(RouteAction action) noexcept {
  switch (action) {
    case RouteAction::accept: return "accept";
    case RouteAction::retry: return "retry";
    case RouteAction::fail_over: return "fail_over";
    case RouteAction::give_up: return "give_up";
  }
  return "?";
}

// How one attempt ended.
struct AttemptFacts {
  // What went wrong on the way, or inside the answer of a 2xx. Empty when the status says it all.
  std::error_code error;
  // Of the answer; 0 when there was none. Only looked at when `error` is empty.
  int status = 0;
  // The body of an error says that no credit is left.
  bool quotaSpent = false;
  // From the headers `retry-after-ms` and `Retry-After`.
  std::optional<std::chrono::nanoseconds> retryAfter;
  // From the header `x-should-retry`.
  std::optional<bool> shouldRetry;

  // Takes the three headers that matter. `header(name)` gives an optional<string_view>; `now` is the time of
  // day.
  template <class Header>
  void readHeaders(const Header& header, std::chrono::system_clock::time_point now) {
    if (const auto text = header(std::string_view("retry-after-ms"))) retryAfter = parseRetryAfterMs(*text);
    if (!retryAfter) {
      if (const auto text = header(std::string_view("retry-after"))) retryAfter = parseRetryAfter(*text, now);
    }
    if (const auto text = header(std::string_view("x-should-retry"))) {
      if (detail::trimmed(*text) == "true") shouldRetry = true;
      if (detail::trimmed(*text) == "false") shouldRetry = false;
    }
  }
};

struct Verdict {
  RouteAction action = RouteAction::accept;
  CircuitOutcome health = CircuitOutcome::success;  // what the model's circuit breaker is told
  std::error_code error;                            // what the attempt is recorded with; empty when accepted
  bool throttled = false;  // the model gets a "not before", of `wait` or of the usual backoff
  std::optional<std::chrono::nanoseconds> wait;  // what the model itself asked for
};

// The code of an answer that is not a success.
[[nodiscard]] constexpr RouteErrc errorOfStatus(int status, bool quotaSpent) noexcept {
  if (quotaSpent) return RouteErrc::quota_spent;
  switch (status) {
    case 402: return RouteErrc::quota_spent;
    case 401:
    case 403:
    case 407: return RouteErrc::access_refused;
    case 404:
    case 405:
    case 410: return RouteErrc::wrong_endpoint;
    case 408:
    case 409: return RouteErrc::model_failed;
    case 429: return RouteErrc::throttled;
    default: break;
  }
  if (status >= 300 && status < 400) return RouteErrc::wrong_endpoint;
  if (status >= 400 && status < 500) return RouteErrc::model_refused;
  if (status >= 500 && status < 600) return RouteErrc::model_failed;
  return RouteErrc::bad_http;
}

namespace detail {

struct Judgement {
  RouteAction action;
  CircuitOutcome health;
};

constexpr Judgement judge(RouteErrc code) noexcept {
  switch (code) {
    // It may pass, and it says that the model, or the way to it, is not well.
    case RouteErrc::model_failed:
    case RouteErrc::invalid_reply:
    case RouteErrc::attempt_timed_out:
    case RouteErrc::name_not_resolved:
    case RouteErrc::connect_failed:
    case RouteErrc::connect_timed_out:
    case RouteErrc::connection_lost:
    case RouteErrc::bad_http:
    case RouteErrc::transport_failed: return {RouteAction::retry, CircuitOutcome::failure};
    // The same, but it will not be better in a second.
    case RouteErrc::tls_failed:
    case RouteErrc::headers_too_large:
    case RouteErrc::body_too_large: return {RouteAction::fail_over, CircuitOutcome::failure};
    // Throttling is not ill health.
    case RouteErrc::throttled: return {RouteAction::retry, CircuitOutcome::neutral};
    // Configuration and contracts: this model will not answer, though nothing is wrong with it.
    case RouteErrc::quota_spent:
    case RouteErrc::access_refused:
    case RouteErrc::wrong_endpoint:
    case RouteErrc::not_expressible:
    case RouteErrc::api_key_unavailable: return {RouteAction::fail_over, CircuitOutcome::neutral};
    // The model hung until the request had no time left. Were it neutral, a model whose own time-out is
    // longer than the deadline could hang for ever and its circuit would never open.
    case RouteErrc::deadline_exceeded: return {RouteAction::give_up, CircuitOutcome::failure};
    // The request itself, or whoever asked has left.
    default: return {RouteAction::give_up, CircuitOutcome::neutral};
  }
}

// Asio has a system category of its own. In 1.22 its codes are equal to no std::errc: they have to be
// compared with Asio's enumerators.
inline bool isCancellation(const std::error_code& error) noexcept {
  return error == make_error_code(asio::error::operation_aborted) || error == std::errc::operation_canceled;
}

// Any error as one of the router's: what a transport reports in the system's own codes is a failure of the
// transport. The value 0 stands for an end that is nobody's failure: refused by the library itself.
inline std::error_code routeError(const std::error_code& error) noexcept {
  const std::error_code none = make_error_code(RouteErrc{});
  if (error.category() == none.category()) return error;
  if (error.category() == make_error_code(Errc{}).category()) return none;
  return make_error_code(RouteErrc::transport_failed);
}

}  // namespace detail

// A pure function; these are its rules:
//
//   how the attempt ended                                                  action     health
//   2xx that could be read                                                 accept     success
//   no connection, connection lost, broken HTTP, unreadable answer,
//   attempt timed out, 408, 409, 5xx, 529, error inside a 2xx,
//   any error in the system's own codes                                    retry      failure
//   TLS failed, headers or body over their limit                           fail_over  failure
//   429                                                                    retry      neutral, throttled
//   quota spent (402, or the body of the error says so)                    fail_over  neutral
//   3xx, 401, 403, 404, 405, 407, 410, no API key, a request that the
//   model's protocol has no words for                                      fail_over  neutral
//   any other 4xx                                                          give_up    neutral
//   the request's deadline came while the model had it                     give_up    failure
//   the transport's own queue is full, the router was closed               give_up    neutral
//
// `x-should-retry: true` makes a refused status retry, `false` makes a retry at this model a failover: the
// header wins over the status both ways. It does not win over a spent quota, changes nothing about health,
// and is not asked where no status refused.
//
// A caller who cancels has no outcome to classify. So operation_aborted is what a transport says of itself, a
// failure like its others; it is recorded as transport_failed, or it would look like the caller's own.
//
// Why 401, 403 and 404 are neutral and fail over: they come from a wrong key or address, which a circuit that
// opens and closes only hides behind "all circuits are open"; another model, with its own key, may well
// answer. A quota is the same.
[[nodiscard]] inline Verdict classifyOutcome(const AttemptFacts& facts) noexcept {
  if (!facts.error && facts.status >= 200 && facts.status < 300) return {};

  Verdict verdict;
  verdict.error = facts.error ? facts.error : make_error_code(errorOfStatus(facts.status, facts.quotaSpent));
  if (detail::isCancellation(verdict.error)) verdict.error = RouteErrc::transport_failed;
  const std::error_code code = detail::routeError(verdict.error);
  const auto [action, health] = detail::judge(static_cast<RouteErrc>(code.value()));
  verdict.action = action;
  verdict.health = health;
  verdict.throttled = code == RouteErrc::throttled;

  const bool statusRefuses = !facts.error;
  if (statusRefuses || verdict.throttled) verdict.wait = facts.retryAfter;
  if (statusRefuses && facts.shouldRetry && code != RouteErrc::quota_spent) {
    if (*facts.shouldRetry) verdict.action = RouteAction::retry;
    if (!*facts.shouldRetry && verdict.action == RouteAction::retry) verdict.action = RouteAction::fail_over;
  }
  return verdict;
}

}  // namespace lukhas
