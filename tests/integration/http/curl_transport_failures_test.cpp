// What goes wrong on the way: each with its own code, and never a success.
#include "lukhas/http/curl_transport.hpp"

#include "support/http_test.hpp"

namespace {

RouteErrc failureWith(HttpTestServer::Script script, std::size_t maxHeaderBytes = 65'536) {
  HttpTestServer server(std::move(script));
  HttpClient client;
  HttpRequest request(server.url("/v1?key=querysecret"), "bodysecret");
  request.headers = {{"Authorization", "Bearer headersecret"}};
  request.maxHeaderBytes = maxHeaderBytes;
  const Error error = client.failureOf(request);
  INFO(error.what() << ' ' << error.details().dump());
  const std::string text = error.what() + error.details().dump();
  CHECK(text.find("secret") == std::string::npos);
  CHECK(error.details().at("origin") == server.url(""));
  CHECK(client.transport->getMetrics().failedRequests == 1);
  CHECK(client.transport->getMetrics().activeRequests == 0);
  CHECK(error.code().category() == make_error_code(RouteErrc{}).category());
  return static_cast<RouteErrc>(error.code().value());
}

// A port of this machine that nobody listens on.
std::string closedPort() {
  asio::io_context io;
  asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
  return fmt::format("http://127.0.0.1:{}/", acceptor.local_endpoint().port());
}

}  // namespace

TEST_CASE("a port where nobody listens is connect_failed", "[http]") {
  const Error error = HttpClient().failureOf(HttpRequest(closedPort()));
  CHECK(error.code() == RouteErrc::connect_failed);
}

TEST_CASE("a name that no resolver knows is name_not_resolved", "[http]") {
  // A label of more than 63 characters cannot even be asked for: no network is needed to know.
  const Error error = HttpClient().failureOf(HttpRequest("http://" + std::string(70, 'x') + ".invalid/"));
  CHECK(error.code() == RouteErrc::name_not_resolved);
}

TEST_CASE("a resolver that takes its time is bounded by the connect time-out", "[http]") {
  HttpRequest request("http://does-not-exist.invalid/");
  request.connectTimeout = 2s;
  const auto before = std::chrono::steady_clock::now();
  const Error error = HttpClient().failureOf(request);
  CHECK((error.code() == RouteErrc::name_not_resolved || error.code() == RouteErrc::connect_timed_out));
  CHECK(std::chrono::steady_clock::now() - before < 10s);
}

TEST_CASE("a handshake that does not end is connect_timed_out", "[http]") {
  HttpTestServer server(isSilent);
  HttpRequest request(server.url("/", "https"));
  request.connectTimeout = 200ms;
  CHECK(HttpClient().failureOf(request).code() == RouteErrc::connect_timed_out);
  CHECK(server.sees(closed(1)));
}

TEST_CASE("a peer that does not speak TLS is tls_failed", "[http]") {
  HttpTestServer server([](Connection& connection) -> asio::awaitable<void> {
    co_await connection.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    co_await connection.waitForClose();
  });
  const Error error = HttpClient().failureOf(HttpRequest(server.url("/", "https")));
  CHECK(error.code() == RouteErrc::tls_failed);
}

TEST_CASE("an answer that ends before it is whole is connection_lost", "[http]") {
  CHECK(failureWith(says("")) == RouteErrc::connection_lost);
  CHECK(failureWith(says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")) == RouteErrc::connection_lost);
  CHECK(failureWith(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")) ==
        RouteErrc::connection_lost);
  CHECK(failureWith(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")) ==
        RouteErrc::connection_lost);
}

TEST_CASE("an answer that ends within its headers is no answer", "[http]") {
  for (const char* const head : {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "HTTP/1.1 200 OK\r\nContent-Le",
                                 "HTTP/1.1 2", "HTTP/1.1 100 Continue\r\n\r\n"}) {
    INFO(head);
    const RouteErrc code = failureWith(says(head));
    CHECK((code == RouteErrc::connection_lost || code == RouteErrc::bad_http));
  }
}

TEST_CASE("a reset is connection_lost before and within the answer", "[http]") {
  CHECK(failureWith([](Connection& connection) -> asio::awaitable<void> {
          (void)co_await connection.readRequest();
          connection.reset();
        }) == RouteErrc::connection_lost);
  CHECK(failureWith([](Connection& connection) -> asio::awaitable<void> {
          (void)co_await connection.readRequest();
          co_await connection.write("HTTP/1.1 200 OK\r\n\r\nabc");
          connection.reset();
        }) == RouteErrc::connection_lost);
}

TEST_CASE("what is not HTTP is bad_http", "[http]") {
  CHECK(failureWith(says("SSH-2.0-OpenSSH_9.2\r\n\r\n")) == RouteErrc::bad_http);
  CHECK(failureWith(says("HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n")) == RouteErrc::bad_http);
  CHECK(failureWith(says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n")) ==
        RouteErrc::bad_http);
}

TEST_CASE("a length that cannot be trusted is bad_http", "[http]") {
  for (const char* const headers :
       {"Content-Length: 99999999999999999999\r\n", "Content-Length: -1\r\n", "Content-Length: 3x\r\n",
        "Content-Length:\r\n", "Content-Length: 3\r\nContent-Length: 4\r\n"}) {
    INFO(headers);
    CHECK(failureWith(says(fmt::format("HTTP/1.1 200 OK\r\n{}\r\nabc", headers))) == RouteErrc::bad_http);
  }
}

TEST_CASE("headers beyond the limit are headers_too_large", "[http]") {
  const std::string start = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";  // 17 and 19 bytes
  const std::string field = "X: " + std::string(59, 'x') + "\r\n";       // 64 bytes
  HttpTestServer server(says(start + field + "\r\n"));
  HttpRequest request(server.url());
  request.maxHeaderBytes = start.size() + 64 + 2;
  CHECK(HttpClient().answerTo(request).status == 200);
  CHECK(failureWith(says(start + field + "\r\n"), request.maxHeaderBytes - 1) ==
        RouteErrc::headers_too_large);

  std::string endless = start;
  for (int i = 0; i < 10'000; ++i) endless += field;
  CHECK(failureWith(says(endless)) == RouteErrc::headers_too_large);
  CHECK(failureWith(says(start + "X: " + std::string(1'000'000, 'x'))) == RouteErrc::headers_too_large);
}

TEST_CASE("interim answers and trailers count as headers", "[http]") {
  std::string interim;
  for (int i = 0; i < 1000; ++i)
    interim += "HTTP/1.1 102 Still Working\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n\r\n";
  CHECK(failureWith(says(interim)) == RouteErrc::headers_too_large);
  std::string trailers = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n";
  for (int i = 0; i < 1000; ++i)
    trailers += "X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n";
  CHECK(failureWith(says(trailers + "\r\n")) == RouteErrc::headers_too_large);
}

TEST_CASE("what arrived before a failure is read first", "[http]") {
  HttpTestServer server(says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"));
  HttpClient client;
  auto look = [](HttpClient& with, std::string url) -> asio::awaitable<void> {
    HttpRequest request(url);
    const auto exchange = co_await with.transport->send(request);
    const std::string piece = co_await exchange->read();
    CHECK(piece == "abc");
    for (int i = 0; i < 2; ++i) {
      std::error_code code;
      try {
        (void)co_await exchange->read();
      } catch (const Error& error) {
        code = error.code();
      }
      CHECK(code == RouteErrc::connection_lost);
    }
  };
  client.run(look(client, server.url()));
}

TEST_CASE("a request that may have been seen is not sent again", "[http]") {
  // The second request of a connection is read, and then the connection ends without a word.
  for (const bool withReset : {false, true}) {
    HttpTestServer server([withReset](Connection& connection) -> asio::awaitable<void> {
      (void)co_await connection.readRequest();
      co_await connection.answer("first");
      (void)co_await connection.readRequest();
      if (withReset) connection.reset();
    });
    HttpClient client;
    for (const char* const method : {"GET", "POST"}) {
      HttpRequest request(server.url(), "x");
      request.method = method;
      CHECK(client.answerTo(request).body == "first");
      CHECK(client.failureOf(request).code() == RouteErrc::connection_lost);
    }
    CHECK(server.counts().requests == 4);
    CHECK(server.counts().connections == 2);
  }
}
