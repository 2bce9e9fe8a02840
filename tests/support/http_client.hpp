// HttpClient: an io_context with a CurlTransport, and what tests do with it.
#pragma once

#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include <asio.hpp>

#include "lukhas/http/curl_transport.hpp"
#include "lukhas/route/read_all.hpp"
#include "support/catch.hpp"

namespace lukhas::test {

// Whatever proxies the machine has: tests name their own.
inline const bool withoutProxies = [] {
  for (const char* const name :
       {"http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"}) {
    ::unsetenv(name);
  }
  return true;
}();

struct HttpAnswer {
  int status = 0;
  std::string body;
};

inline HttpRequest get(std::string url) {
  HttpRequest request(std::move(url));
  request.method = "GET";
  return request;
}

inline asio::awaitable<HttpAnswer> fetch(std::shared_ptr<Transport> transport, HttpRequest request) {
  std::unique_ptr<HttpExchange> exchange = co_await transport->send(std::move(request));
  HttpAnswer answer;
  answer.status = exchange->status();
  answer.body = co_await readAll(std::move(exchange), std::size_t{1} << 30U);
  co_return answer;
}

// The io_context is run by the calling thread and must run out of work: a test sees whatever stays behind.
class HttpClient {
 public:
  explicit HttpClient(CurlTransportOptions options = {})
      : transport(CurlTransport::create(environment, std::move(options))) {}

  void run(asio::awaitable<void> task) {
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(task), [&failure](std::exception_ptr error) { failure = error; });
    runToEnd();
    if (failure) std::rethrow_exception(failure);
  }
  void runToEnd() {
    io.restart();
    io.run_for(std::chrono::seconds(60));
    REQUIRE(io.stopped());
  }
  // The error of the whole exchange; fails the test when there is none.
  Error failureOf(HttpRequest request) {
    std::exception_ptr failure;
    asio::co_spawn(io, fetch(transport, std::move(request)),
                   [&failure](std::exception_ptr error, const HttpAnswer&) { failure = error; });
    runToEnd();
    REQUIRE(failure);
    try {
      std::rethrow_exception(failure);
    } catch (const Error& error) {
      return error;
    }
  }
  HttpAnswer answerTo(HttpRequest request) {
    HttpAnswer result;
    std::exception_ptr failure;
    asio::co_spawn(io, fetch(transport, std::move(request)),
                   [&](std::exception_ptr error, HttpAnswer answer) {
                     failure = error;
                     result = std::move(answer);
                   });
    runToEnd();
    if (failure) std::rethrow_exception(failure);
    return result;
  }

  asio::io_context io;
  Environment environment{io.get_executor()};
  std::shared_ptr<CurlTransport> transport;
};

}  // namespace lukhas::test
