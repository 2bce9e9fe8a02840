// HTTP requests as providers build them and transports send them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lukhas {

struct HttpHeader {
  std::string name;
  std::string value;
};

// Names of headers are compared without regard to case (ASCII only, whatever the locale).
[[nodiscard]] inline bool sameHeaderName(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [lower](char x, char y) { return lower(x) == lower(y); });
}

// The value of the first header of that name.
[[nodiscard]] inline std::optional<std::string_view> findHeader(std::span<const HttpHeader> headers,
                                                                std::string_view name) noexcept {
  for (const HttpHeader& header : headers) {
    if (sameHeaderName(header.name, name)) return std::string_view(header.value);
  }
  return std::nullopt;
}

// One request. `headers` may hold a secret (`Authorization`): nothing prints a request.
//
// It has constructors, and so is no aggregate, on purpose: g++ 12 corrupts aggregates with strings that are
// temporaries of a `co_await` expression.
struct HttpRequest {
  HttpRequest() = default;
  explicit HttpRequest(std::string target, std::string content = {})
      : url(std::move(target)), body(std::move(content)) {}

  std::string method = "POST";
  std::string url;  // http or https, absolute
  std::vector<HttpHeader> headers;
  std::string body;
  // Name resolution, connection and TLS together; RouteErrc::connect_timed_out after it. Not zero.
  std::chrono::nanoseconds connectTimeout = std::chrono::seconds(5);
  // Status line and headers of the answer; RouteErrc::headers_too_large beyond it. Not zero.
  std::size_t maxHeaderBytes = std::size_t{64} << 10U;
  // What a transport may hold of the body before somebody asks for it; then it stops reading from the socket.
  // Not zero.
  std::size_t maxBufferedBytes = std::size_t{256} << 10U;
};

}  // namespace lukhas
