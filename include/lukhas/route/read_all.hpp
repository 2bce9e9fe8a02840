// Reading a whole body within a bound.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <asio/awaitable.hpp>
#include <fmt/format.h>

#include "lukhas/route/transport.hpp"

namespace lukhas {

// The rest of the body. Throws RouteErrc::body_too_large, and closes the connection, as soon as there is more
// than `maxBytes`. Takes the exchange over: take what is needed of its headers before.
[[nodiscard]] inline asio::awaitable<std::string> readAll(std::unique_ptr<HttpExchange> exchange,
                                                          std::size_t maxBytes) {
  std::string body;
  while (true) {
    std::string piece = co_await exchange->read();
    if (piece.empty()) co_return body;
    if (piece.size() > maxBytes - body.size()) {
      throw Error(RouteErrc::body_too_large,
                  fmt::format("the answer's body is larger than {} bytes", maxBytes),
                  {{"maximum", maxBytes}});
    }
    body += piece;
  }
}

// At most the first `maxBytes` of the rest of the body; the connection is closed when there is more. For the
// bodies of errors, which nobody has to read to their end.
[[nodiscard]] inline asio::awaitable<std::string> readBeginning(std::unique_ptr<HttpExchange> exchange,
                                                                std::size_t maxBytes) {
  std::string body;
  while (body.size() < maxBytes) {
    std::string piece = co_await exchange->read();
    if (piece.empty()) break;
    body.append(piece, 0, maxBytes - body.size());
  }
  co_return body;
}

}  // namespace lukhas
