// Transport: the narrow interface between the router and the network, real or simulated.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <asio/awaitable.hpp>

#include "lukhas/route/http_message.hpp"
#include "lukhas/route/route_error.hpp"

namespace lukhas {

// One answer that has begun. Used by one coroutine at a time.
//
// Destroying it before the end of the body, or cancelling a read(), aborts: the connection is closed, and
// nothing of it keeps running. After the end of the body the transport may keep the connection for another
// request.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  [[nodiscard]] virtual int status() const noexcept = 0;
  // The value of the first header of that name, in any case; valid as long as the exchange.
  [[nodiscard]] virtual std::optional<std::string_view> header(std::string_view name) const noexcept = 0;
  // The next piece of the body as soon as there is one: never empty before the end, empty at the end and from
  // then on. An end is only reported when HTTP says that the body is complete; otherwise the call throws
  // RouteErrc::connection_lost.
  //
  // Back-pressure: beyond HttpRequest::maxBufferedBytes nothing is taken from the socket that nobody has
  // asked for.
  [[nodiscard]] virtual asio::awaitable<std::string> read() = 0;

 protected:
  HttpExchange() = default;
  HttpExchange(const HttpExchange&) = default;
  HttpExchange& operator=(const HttpExchange&) = default;
};

// Sends requests. All errors are lukhas::Error; those of the way are one of RouteErrc's name_not_resolved,
// connect_failed, connect_timed_out, tls_failed, connection_lost, bad_http, headers_too_large,
// transport_failed. A cancelled call ends with asio::error::operation_aborted, with its connection closed.
// There are no retries below this line: the router has the only ones.
//
// A transport that is too busy to take a request says RouteErrc::overloaded: nobody holds that against the
// model.
//
// Redirects are not followed, certificates are verified, and messages of errors hold no header that was sent.
class Transport {
 public:
  virtual ~Transport() = default;

  // Returns when status line and headers of the answer are there.
  [[nodiscard]] virtual asio::awaitable<std::unique_ptr<HttpExchange>> send(HttpRequest request) = 0;

 protected:
  Transport() = default;
  Transport(const Transport&) = default;
  Transport& operator=(const Transport&) = default;
};

}  // namespace lukhas
