// Error codes of the model router, its circuit breakers and the transports below it.
#pragma once

#include "lukhas/core/error.hpp"

namespace lukhas {

// Three groups: what ends a request, what a model answered, and what happened on the way to it. The last two
// also stand in the details of the first: details()["attempts"] lists each attempt with its model, the name
// of its code, and the fields named here. A request that ends with a code of the last two groups has them
// and the modelId in its own details too.
enum class RouteErrc {
  // The request as a whole.
  no_capable_model = 1,  // no registered model has every required capability. details: requirements
  // the request's time is over, or the wait for another attempt would outlast it.
  // details: attempts, deadlineMs, and waitMs where it is known
  deadline_exceeded,
  attempts_exhausted,  // no attempt succeeded, and no further one is allowed. details: attempts, maxAttempts
  all_circuits_open,   // the circuit of every capable model refuses calls. details: attempts, retryAfterMs
  retry_budget_spent,  // an attempt failed, and the budget pays for no other. details: attempts
  // too many requests wait already: in the router (details: attempts, maximum) or in the transport for a
  // connection (details: maximum)
  overloaded,
  // the stream of an answer broke after some of it was handed over. details: attempts, modelId, cause, and
  // text: what the model had said by then, cut to maxPartialBytes
  stream_interrupted,
  // A circuit breaker that is used by itself.
  circuit_open,  // it refuses calls for now. details: name, and retryAfterMs unless it was opened by hand
  // Registration and look-up.
  duplicate_model,  // a model with this id is registered already. details: modelId
  unknown_model,    // no model with this id is registered. details: modelId
  too_many_models,  // maxModels are registered. details: modelId, maximum
  // What a model answered.
  // the request itself is at fault (400, 413, 422, …).
  // details: attempts, status
  model_refused,
  // the model's own error: 408, 409, 5xx, 529, or an error inside a 200.
  // details: attempts, status
  model_failed,
  // 429: too many requests for now, and the wait would outlast the request.
  // details: attempts, and retryAfterMs where it is known
  throttled,
  quota_spent,     // no credit is left: waiting does not help. details: attempts, status
  access_refused,  // the key is wrong or may not do this (401, 403, 407). details: attempts, status
  // no such path, method or model, or a redirect (3xx, 404, 405, 410).
  // details: attempts, status
  wrong_endpoint,
  invalid_reply,  // an answer that is not what the protocol says, or is cut off. details: attempts
  // On the way to the model.
  api_key_unavailable,  // the variable is not set, or the callback gave nothing
  not_expressible,      // the model's protocol has no word for part of the request. details: field
  attempt_timed_out,    // the model did not finish within its own time-out. details: limitMs
  name_not_resolved,    // the host's name has no address
  connect_failed,       // nobody accepts connections there
  connect_timed_out,    // the connection was not made within HttpRequest::connectTimeout
  tls_failed,           // no trusted, encrypted connection: certificate or handshake
  connection_lost,      // the connection ended before the answer did
  bad_http,             // the peer does not speak HTTP as it should
  headers_too_large,    // more header bytes than HttpRequest::maxHeaderBytes
  body_too_large,       // more body bytes than allowed. details: maximum
  transport_failed,     // any other failure of the transport. details: cause, where it is known
};

constexpr const char* errorCategoryName(RouteErrc) noexcept { return "lukhas.route"; }

constexpr const char* describeError(RouteErrc code) noexcept {
  switch (code) {
    case RouteErrc::no_capable_model: return "no model has the required capabilities";
    case RouteErrc::deadline_exceeded: return "the request's deadline leaves no more time";
    case RouteErrc::attempts_exhausted: return "every attempt failed";
    case RouteErrc::all_circuits_open: return "the circuit of every capable model is open";
    case RouteErrc::retry_budget_spent: return "the retry budget is spent";
    case RouteErrc::overloaded: return "too many requests wait for a model";
    case RouteErrc::stream_interrupted: return "the answer's stream was interrupted";
    case RouteErrc::circuit_open: return "the circuit is open";
    case RouteErrc::duplicate_model: return "a model with this id is registered already";
    case RouteErrc::unknown_model: return "no model with this id is registered";
    case RouteErrc::too_many_models: return "no further model can be registered";
    case RouteErrc::model_refused: return "the model refused the request";
    case RouteErrc::model_failed: return "the model failed";
    case RouteErrc::throttled: return "the model asks for fewer requests";
    case RouteErrc::quota_spent: return "the quota at the model is spent";
    case RouteErrc::access_refused: return "the model's endpoint refused the key";
    case RouteErrc::wrong_endpoint: return "the endpoint does not serve this model";
    case RouteErrc::invalid_reply: return "the model's answer cannot be read";
    case RouteErrc::api_key_unavailable: return "the model's API key is not available";
    case RouteErrc::not_expressible: return "the model's protocol has no word for part of the request";
    case RouteErrc::attempt_timed_out: return "the model did not answer in time";
    case RouteErrc::name_not_resolved: return "the host's name cannot be resolved";
    case RouteErrc::connect_failed: return "the connection was refused";
    case RouteErrc::connect_timed_out: return "the connection was not made in time";
    case RouteErrc::tls_failed: return "no trusted connection could be made";
    case RouteErrc::connection_lost: return "the connection was lost";
    case RouteErrc::bad_http: return "the peer broke the HTTP protocol";
    case RouteErrc::headers_too_large: return "the answer's headers are too large";
    case RouteErrc::body_too_large: return "the answer's body is too large";
    case RouteErrc::transport_failed: return "the transport failed";
  }
  return "unknown error";
}

// The code's own name, for programs that read details and logs.
constexpr const char* toString(RouteErrc code) noexcept {
  switch (code) {
    case RouteErrc::no_capable_model: return "no_capable_model";
    case RouteErrc::deadline_exceeded: return "deadline_exceeded";
    case RouteErrc::attempts_exhausted: return "attempts_exhausted";
    case RouteErrc::all_circuits_open: return "all_circuits_open";
    case RouteErrc::retry_budget_spent: return "retry_budget_spent";
    case RouteErrc::overloaded: return "overloaded";
    case RouteErrc::stream_interrupted: return "stream_interrupted";
    case RouteErrc::circuit_open: return "circuit_open";
    case RouteErrc::duplicate_model: return "duplicate_model";
    case RouteErrc::unknown_model: return "unknown_model";
    case RouteErrc::too_many_models: return "too_many_models";
    case RouteErrc::model_refused: return "model_refused";
    case RouteErrc::model_failed: return "model_failed";
    case RouteErrc::throttled: return "throttled";
    case RouteErrc::quota_spent: return "quota_spent";
    case RouteErrc::access_refused: return "access_refused";
    case RouteErrc::wrong_endpoint: return "wrong_endpoint";
    case RouteErrc::invalid_reply: return "invalid_reply";
    case RouteErrc::api_key_unavailable: return "api_key_unavailable";
    case RouteErrc::not_expressible: return "not_expressible";
    case RouteErrc::attempt_timed_out: return "attempt_timed_out";
    case RouteErrc::name_not_resolved: return "name_not_resolved";
    case RouteErrc::connect_failed: return "connect_failed";
    case RouteErrc::connect_timed_out: return "connect_timed_out";
    case RouteErrc::tls_failed: return "tls_failed";
    case RouteErrc::connection_lost: return "connection_lost";
    case RouteErrc::bad_http: return "bad_http";
    case RouteErrc::headers_too_large: return "headers_too_large";
    case RouteErrc::body_too_large: return "body_too_large";
    case RouteErrc::transport_failed: return "transport_failed";
  }
  return "unknown";
}

}  // namespace lukhas

template <>
struct std::is_error_code_enum<lukhas::RouteErrc> : std::true_type {};
