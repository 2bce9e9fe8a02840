#include "lukhas/http/curl_transport.hpp"

#include <cstdlib>
#include <memory>
#include <vector>

#include "support/http_test.hpp"

namespace {

std::error_code refusal(HttpRequest request) { return HttpClient().failureOf(std::move(request)).code(); }

}  // namespace

TEST_CASE("a request is sent as it is and nothing is added but the wish for gzip", "[http]") {
  HttpTestServer server(echo);
  HttpClient client;
  HttpRequest request(server.url("/v1/chat?x=%20y"), "{\"a\": 1}");
  request.headers = {{"Content-Type", "application/json"}, {"X-Empty", ""}, {"Accept", "text/plain"}};
  CHECK(client.answerTo(request).body ==
        "POST /v1/chat?x=%20y\nAccept-Encoding: gzip\nContent-Type: application/json\nX-Empty: \nAccept: "
        "text/plain\n"
        "Content-Length: 8\n\n{\"a\": 1}");
  HttpRequest bare(server.url());
  CHECK(client.answerTo(bare).body == "POST /\nAccept: */*\nAccept-Encoding: gzip\nContent-Length: 0\n\n");
  CHECK(client.answerTo(lukhas::test::get(server.url())).body ==
        "GET /\nAccept: */*\nAccept-Encoding: gzip\n\n");
}

TEST_CASE("any method goes with and without a body", "[http]") {
  HttpTestServer server(echo);
  HttpClient client;
  for (const char* const method : {"GET", "PUT", "DELETE", "PATCH", "PROPFIND"}) {
    for (const char* const body : {"", "text"}) {
      HttpRequest request(server.url("/x"), body);
      request.method = method;
      const std::string answer = client.answerTo(request).body;
      CHECK(answer.starts_with(std::string(method) + " /x\n"));
      CHECK(answer.ends_with(std::string("\n\n") + body));
    }
  }
}

TEST_CASE("a large body arrives whole and without waiting for a go-ahead", "[http]") {
  HttpTestServer server(echo);
  HttpClient client;
  HttpRequest request(server.url(), std::string(3'000'000, 'x'));
  const std::string answer = client.answerTo(request).body;
  CHECK(answer.find("Expect") == std::string::npos);
  CHECK(answer.ends_with("\n\n" + request.body));
}

TEST_CASE("status and headers of the last head are what the caller sees", "[http]") {
  HttpTestServer server(
      alwaysSays("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                 "HTTP/1.1 429 Slow Down\r\nRetry-After:  7 \r\nX-Folded: one\r\n  two\r\nx-folded: three\r\n"
                 "Content-Length: 2\r\n\r\nno"));
  HttpClient client;
  auto look = [](HttpClient& with, std::string url) -> asio::awaitable<void> {
    HttpRequest request(url);
    const auto exchange = co_await with.transport->send(request);
    CHECK(exchange->status() == 429);
    CHECK(exchange->header("RETRY-AFTER") == "7");
    CHECK(exchange->header("X-FOLDED") == "one two");
    CHECK_FALSE(exchange->header("Link"));
    const std::string body = co_await exchange->read();
    const std::string end = co_await exchange->read();
    const std::string again = co_await exchange->read();
    CHECK(body == "no");
    CHECK((end.empty() && again.empty()));
  };
  client.run(look(client, server.url()));
}

TEST_CASE("answers without a body end at once", "[http]") {
  HttpTestServer server(alwaysSays("HTTP/1.1 204 No Content\r\n\r\n"));
  HttpClient client;
  CHECK(client.answerTo(HttpRequest(server.url())).status == 204);
  HttpTestServer heads(alwaysSays("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"));
  HttpRequest head(heads.url());
  head.method = "HEAD";
  CHECK(client.answerTo(head).body.empty());
}

TEST_CASE("chunks are joined and a body up to the end of the connection is read", "[http]") {
  HttpClient client;
  HttpTestServer chunks(
      alwaysSays("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"));
  CHECK(client.answerTo(HttpRequest(chunks.url())).body == "abcde");
  HttpTestServer closes([](Connection& connection) -> asio::awaitable<void> {
    (void)co_await connection.readRequest();
    co_await connection.write("HTTP/1.1 200 OK\r\n\r\nall of it");
  });
  CHECK(client.answerTo(HttpRequest(closes.url())).body == "all of it");
}

TEST_CASE("a redirect is an answer like any other", "[http]") {
  HttpTestServer target(echo);
  HttpTestServer server(
      alwaysSays("HTTP/1.1 307 Over There\r\nLocation: " + target.url() + "\r\nContent-Length: 0\r\n\r\n"));
  HttpClient client;
  CHECK(client.answerTo(HttpRequest(server.url())).status == 307);
  CHECK(target.counts().connections == 0);
}

TEST_CASE("a proxy of the environment is not used", "[http]") {
  HttpTestServer server(echo);
  HttpTestServer proxy(echo);
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  ::setenv("all_proxy", proxy.url().c_str(), 1);
  const HttpAnswer answer = HttpClient().answerTo(HttpRequest(server.url()));
  ::unsetenv("http_proxy");
  ::unsetenv("all_proxy");
  CHECK(answer.status == 200);
  CHECK(proxy.counts().connections == 0);
}

TEST_CASE("requests one after the other share a connection", "[http]") {
  HttpTestServer server(echo);
  HttpClient client;
  for (int i = 0; i < 20; ++i) CHECK(client.answerTo(HttpRequest(server.url(), "x")).status == 200);
  CHECK(server.counts().connections == 1);
  CHECK(client.transport->getMetrics().connectionsOpened == 1);
  CHECK(client.transport->getMetrics().totalRequests == 20);
}

TEST_CASE("without idle time every request has a connection of its own", "[http]") {
  HttpTestServer server(echo);
  HttpClient client({.maxIdleTime = 0s});
  for (int i = 0; i < 3; ++i) CHECK(client.answerTo(HttpRequest(server.url(), "x")).status == 200);
  CHECK(server.counts().connections == 3);
}

TEST_CASE("a kept connection that the server closed is replaced", "[http]") {
  HttpTestServer server([](Connection& connection) -> asio::awaitable<void> {
    (void)co_await connection.readRequest();
    co_await connection.answer("once");
  });
  HttpClient client;
  for (int i = 1; i <= 5; ++i) {
    CHECK(client.answerTo(HttpRequest(server.url(), "x")).body == "once");
    CHECK(server.sees(
        [i](const ServerCounts& counts) { return counts.connections == i && counts.openConnections == 0; }));
  }
}

TEST_CASE("many requests at once are answered each with its own", "[http]") {
  HttpTestServer server(echo);
  HttpClient client;
  int right = 0;
  auto ask = [](HttpClient& with, std::string url, std::string text, int& good) -> asio::awaitable<void> {
    HttpRequest request(url, text);
    const HttpAnswer answer = co_await lukhas::test::fetch(with.transport, request);
    if (answer.body.ends_with("\n\n" + text)) ++good;
  };
  for (int i = 0; i < 200; ++i)
    asio::co_spawn(client.io, ask(client, server.url(), "number " + std::to_string(i), right),
                   asio::detached);
  client.runToEnd();
  CHECK(right == 200);
}

TEST_CASE("a request beyond the connections waits for its turn", "[http]") {
  std::atomic<bool> answering = false;  // or else the first are answered while the last are still being sent
  HttpTestServer server([&answering](Connection& connection) -> asio::awaitable<void> {
    while (!answering) co_await connection.pause(1ms);
    co_await echo(connection);
  });
  HttpClient client({.maxConnections = 3});
  std::string order;
  auto ask = [](HttpClient& with, std::string url, char name, std::string& ended) -> asio::awaitable<void> {
    HttpRequest request(url);
    (void)co_await lukhas::test::fetch(with.transport, request);
    ended += name;
  };
  for (char name = 'a'; name <= 'z'; ++name)
    asio::co_spawn(client.io, ask(client, server.url(), name, order), asio::detached);
  client.io.poll();
  CHECK(client.transport->getMetrics().queuedRequests == 23);
  answering = true;
  client.runToEnd();
  CHECK(order.size() == 26);
  CHECK(order.find('a') < 6);
  CHECK(order.find('z') > 20);
  CHECK(server.counts().mostOpenConnections <= 3);
}

TEST_CASE("one request more than the transport's queue holds is refused", "[http]") {
  for (const std::size_t maxQueued : {0U, 2U}) {
    HttpTestServer server(isSilent);
    HttpClient client({.maxConnections = 1, .maxQueued = maxQueued});
    std::vector<std::unique_ptr<asio::cancellation_signal>> signals;
    std::vector<std::error_code> endings;
    auto ask = [](HttpClient& with, std::string url,
                  std::vector<std::error_code>& seen) -> asio::awaitable<void> {
      HttpRequest request(url, "x");
      try {
        (void)co_await lukhas::test::fetch(with.transport, request);
      } catch (const Error& error) {
        seen.push_back(error.code());
        if (error.code() == RouteErrc::overloaded) CHECK(error.details().contains("maximum"));
      }
    };
    const auto start = [&] {
      signals.push_back(std::make_unique<asio::cancellation_signal>());
      asio::co_spawn(client.io, ask(client, server.url(), endings),
                     asio::bind_cancellation_slot(signals.back()->slot(), asio::detached));
      client.io.restart();
      client.io.poll();
    };
    for (std::size_t i = 0; i <= maxQueued; ++i) start();
    CHECK(endings.empty());
    CHECK(client.transport->getMetrics().queuedRequests == maxQueued);
    start();
    CHECK(endings == std::vector<std::error_code>{RouteErrc::overloaded});
    CHECK(client.transport->getMetrics().refusedRequests == 1);
    CHECK(client.transport->getMetrics().totalRequests == maxQueued + 1);
    signals[0]->emit(asio::cancellation_type::terminal);  // makes room for one
    client.io.restart();
    client.io.poll();
    start();
    CHECK(client.transport->getMetrics().refusedRequests == 1);
    for (const auto& signal : signals) signal->emit(asio::cancellation_type::terminal);
    client.runToEnd();
    CHECK(client.transport->getMetrics().queuedRequests == 0);
  }
}

TEST_CASE("idle connections to other hosts make room", "[http]") {
  HttpTestServer first(echo);
  HttpTestServer second(echo);
  HttpClient client({.maxConnections = 1});
  for (int i = 0; i < 3; ++i) {
    CHECK(client.answerTo(HttpRequest(first.url())).status == 200);
    CHECK(client.answerTo(HttpRequest(second.url())).status == 200);
  }
  CHECK(first.sees(allClosed()));
}

TEST_CASE("an option out of range is refused by name", "[http]") {
  asio::io_context io;
  const auto refused = [&io](CurlTransportOptions options) -> std::string {
    try {
      (void)CurlTransport::create(lukhas::Environment(io.get_executor()), std::move(options));
      return "accepted";
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == Errc::invalid_option);
      return error.details().at("option");
    }
  };
  CHECK(refused({.maxConnections = 0}) == "maxConnections");
  CHECK(refused({.maxConnections = 65'537}) == "maxConnections");
  CHECK(refused({.maxQueued = 1'000'001}) == "maxQueued");
  CHECK(refused({.maxQueued = 1'000'000}) == "accepted");
  CHECK(refused({.maxQueued = 0}) == "accepted");
  CHECK(refused({.maxIdleTime = -1s}) == "maxIdleTime");
  CHECK(refused({.maxIdleTime = 2h}) == "maxIdleTime");
  CHECK(refused({.maxConnectionAge = 0s}) == "maxConnectionAge");
  CHECK(refused({.maxConnectionAge = 25h}) == "maxConnectionAge");
  CHECK(refused({.caFile = "/no/such/file.pem"}) == "caFile");
  CHECK(refused({.maxConnections = 65'536, .maxIdleTime = 1h, .maxConnectionAge = 24h}) == "accepted");
}

TEST_CASE("a request that cannot be sent is refused", "[http]") {
  for (const char* const url : {"", "example.com/v1", "/v1", "ftp://127.0.0.1/", "file:///etc/passwd",
                                "http://", "http://user:key@127.0.0.1/", "http://127.0.0.1/a b",
                                "http://127.0.0.1/\r\nX: y", "http://127.0.0.1:99999/"}) {
    INFO(url);
    CHECK(refusal(HttpRequest(url)) == Errc::invalid_argument);
  }
  HttpRequest request("http://127.0.0.1:1/");
  for (const lukhas::HttpHeader& header :
       {lukhas::HttpHeader{"Bad Name", "x"}, lukhas::HttpHeader{"", "x"},
        lukhas::HttpHeader{"A", "x\r\nB: y"}, lukhas::HttpHeader{"Content-Length", "5"},
        lukhas::HttpHeader{"transfer-encoding", "chunked"}}) {
    request.headers = {header};
    CHECK(refusal(request) == Errc::invalid_argument);
  }
  request.headers.clear();
  request.method = "GET /x";
  CHECK(refusal(request) == Errc::invalid_argument);
}

TEST_CASE("a limit of zero is refused", "[http]") {
  HttpRequest request("http://127.0.0.1:1/");
  request.connectTimeout = 0s;
  CHECK(refusal(request) == Errc::invalid_argument);
  request = HttpRequest("http://127.0.0.1:1/");
  request.maxHeaderBytes = 0;
  CHECK(refusal(request) == Errc::invalid_argument);
  request = HttpRequest("http://127.0.0.1:1/");
  request.maxBufferedBytes = 0;
  CHECK(refusal(request) == Errc::invalid_argument);
}
