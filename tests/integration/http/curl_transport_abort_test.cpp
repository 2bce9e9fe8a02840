// Giving up: whatever the way, the socket is closed and nothing keeps running.
#include "lukhas/http/curl_transport.hpp"

#include "lukhas/async/child_task.hpp"
#include "support/http_test.hpp"

namespace {

// A send whose end is noted.
struct Outcome {
  std::error_code error;
  bool ended = false;
};
asio::awaitable<void> sendAndRead(std::shared_ptr<lukhas::Transport> transport, std::string url,
                                  Outcome& outcome) {
  HttpRequest request(url);
  try {
    (void)co_await lukhas::test::fetch(transport, request);
  } catch (const Error& error) {
    outcome.error = error.code();
  }
  outcome.ended = true;
}

// Runs the client until the server has seen something.
template <class Condition>
void runUntil(HttpClient& client, HttpTestServer& server, Condition condition) {
  const auto limit = std::chrono::steady_clock::now() + 30s;
  while (!condition(server.counts())) {
    REQUIRE(std::chrono::steady_clock::now() < limit);
    client.io.restart();
    client.io.run_one_for(5ms);
  }
}

}  // namespace

TEST_CASE("cancelling send closes the socket", "[http]") {
  HttpTestServer server(neverAnswers);
  HttpClient client;
  Outcome outcome;
  asio::cancellation_signal signal;
  asio::co_spawn(client.io, sendAndRead(client.transport, server.url(), outcome),
                 asio::bind_cancellation_slot(signal.slot(), asio::detached));
  runUntil(client, server, requests(1));
  signal.emit(asio::cancellation_type::terminal);
  client.runToEnd();
  CHECK(outcome.error == asio::error::operation_aborted);
  CHECK(server.sees(closed(1)));
  CHECK(client.transport->getMetrics().abortedRequests == 1);
  CHECK(client.transport->getMetrics().activeRequests == 0);
}

TEST_CASE("cancelling read closes the socket", "[http]") {
  HttpTestServer server(answersHalf);
  HttpClient client;
  auto look = [](HttpClient& with, HttpTestServer& peer) -> asio::awaitable<void> {
    HttpRequest request(peer.url());
    const std::unique_ptr<HttpExchange> exchange = co_await with.transport->send(request);
    const std::string piece = co_await exchange->read();
    CHECK(piece == "half");
    lukhas::ChildTask<std::string> reading(with.environment, exchange->read());
    const auto nothing = co_await reading.joinUntil(with.environment.after(20ms));
    CHECK_FALSE(nothing);
    CHECK(peer.counts().closedByClient == 0);
    reading.cancel();
    for (int i = 0; i < 2; ++i) {
      std::error_code code;
      try {
        (void)(i == 0 ? co_await reading.join() : co_await exchange->read());
      } catch (const Error& error) {
        code = error.code();
      }
      CHECK(code == asio::error::operation_aborted);
    }
    CHECK(peer.sees(closed(1)));  // although the exchange still exists
  };
  client.run(look(client, server));
}

TEST_CASE("destroying the exchange closes the socket at once", "[http]") {
  HttpTestServer server(answersHalf);
  HttpClient client;
  auto look = [](HttpClient& with, HttpTestServer& peer) -> asio::awaitable<void> {
    HttpRequest request(peer.url());
    std::unique_ptr<HttpExchange> exchange = co_await with.transport->send(request);
    exchange.reset();
    CHECK(peer.sees(closed(1)));  // without another turn of the io_context
  };
  client.run(look(client, server));
}

TEST_CASE("destroying the exchange after the end of its body keeps the connection", "[http]") {
  HttpTestServer server(alwaysAnswers("whole"));
  HttpClient client;
  for (int i = 0; i < 3; ++i) CHECK(client.answerTo(HttpRequest(server.url())).body == "whole");
  CHECK(server.counts().closedByClient == 0);
  CHECK(client.transport->getMetrics().abortedRequests == 0);
}

TEST_CASE("destroying the exchange under a read ends the read", "[http]") {
  HttpTestServer server(answersHalf);
  HttpClient client;
  auto look = [](HttpClient& with, HttpTestServer& peer) -> asio::awaitable<void> {
    HttpRequest request(peer.url());
    std::unique_ptr<HttpExchange> exchange = co_await with.transport->send(request);
    (void)co_await exchange->read();
    lukhas::ChildTask<std::string> reading(with.environment, exchange->read());
    (void)co_await reading.joinUntil(with.environment.after(20ms));
    exchange.reset();
    std::error_code code;
    try {
      (void)co_await reading.join();
    } catch (const Error& error) {
      code = error.code();
    }
    CHECK(code == asio::error::operation_aborted);
    CHECK(peer.sees(closed(1)));
  };
  client.run(look(client, server));
}

TEST_CASE("destroying the transport ends whoever waits with closed", "[http]") {
  HttpTestServer silent(neverAnswers);
  HttpTestServer half(answersHalf);
  HttpClient client({.maxConnections = 2});
  Outcome outcomes[3];
  CurlTransport* const transport = client.transport.get();
  const auto borrowed = std::shared_ptr<CurlTransport>(transport, [](CurlTransport*) {});
  asio::co_spawn(client.io, sendAndRead(borrowed, silent.url(), outcomes[0]), asio::detached);
  asio::co_spawn(client.io, sendAndRead(borrowed, half.url(), outcomes[1]), asio::detached);
  asio::co_spawn(client.io, sendAndRead(borrowed, half.url(), outcomes[2]), asio::detached);
  runUntil(client, silent, requests(1));
  runUntil(client, half, requests(1));
  CHECK(transport->getMetrics().queuedRequests == 1);
  client.transport.reset();
  CHECK(silent.sees(closed(1)));
  CHECK(half.sees(closed(1)));
  client.runToEnd();
  for (const Outcome& outcome : outcomes) CHECK(outcome.error == Errc::closed);
}

TEST_CASE("an exchange outlives its transport and says that it is closed", "[http]") {
  HttpTestServer server(answersHalf);
  HttpClient client;
  auto look = [](HttpClient& with, HttpTestServer& peer) -> asio::awaitable<void> {
    HttpRequest request(peer.url());
    const std::unique_ptr<HttpExchange> exchange = co_await with.transport->send(request);
    (void)co_await exchange->read();
    with.transport.reset();
    CHECK(exchange->status() == 200);
    CHECK(exchange->header("content-length") == "100");
    std::error_code code;
    try {
      (void)co_await exchange->read();
    } catch (const Error& error) {
      code = error.code();
    }
    CHECK(code == Errc::closed);
  };
  client.run(look(client, server));
}

TEST_CASE("an io_context that is destroyed with requests under way closes them", "[http]") {
  HttpTestServer silent(neverAnswers);
  HttpTestServer half(answersHalf);
  HttpTestServer quick(alwaysAnswers("whole"));
  Outcome outcomes[3];
  std::shared_ptr<CurlTransport> survivor;
  {
    HttpClient client;
    survivor = client.transport;
    asio::co_spawn(client.io, sendAndRead(survivor, quick.url(), outcomes[0]), asio::detached);
    client.runToEnd();
    asio::co_spawn(client.io, sendAndRead(survivor, silent.url(), outcomes[1]), asio::detached);
    asio::co_spawn(client.io, sendAndRead(survivor, half.url(), outcomes[2]), asio::detached);
    runUntil(client, silent, requests(1));
    runUntil(client, half, requests(1));
  }
  CHECK(outcomes[0].ended);
  CHECK_FALSE(outcomes[1].ended);
  CHECK(silent.sees(closed(1)));
  CHECK(half.sees(closed(1)));
  CHECK(quick.sees(closed(1)));
  CHECK(survivor->getMetrics().activeRequests == 0);
  survivor.reset();
}

TEST_CASE("a stopped io_context leaves nothing behind when the transport goes first", "[http]") {
  HttpTestServer silent(neverAnswers);
  Outcome outcome;
  {
    HttpClient client;
    std::shared_ptr<CurlTransport> borrowed(client.transport.get(), [](CurlTransport*) {});
    asio::co_spawn(client.io, sendAndRead(borrowed, silent.url(), outcome), asio::detached);
    runUntil(client, silent, requests(1));
    client.io.stop();
    client.transport.reset();
    CHECK(silent.sees(closed(1)));
  }
  CHECK_FALSE(outcome.ended);
}

TEST_CASE("a request given up in the queue is never sent", "[http]") {
  HttpTestServer server(neverAnswers);
  HttpClient client({.maxConnections = 1});
  Outcome first;
  Outcome second;
  asio::cancellation_signal signals[2];
  asio::co_spawn(client.io, sendAndRead(client.transport, server.url(), first),
                 asio::bind_cancellation_slot(signals[0].slot(), asio::detached));
  asio::co_spawn(client.io, sendAndRead(client.transport, server.url(), second),
                 asio::bind_cancellation_slot(signals[1].slot(), asio::detached));
  runUntil(client, server, requests(1));
  signals[1].emit(asio::cancellation_type::terminal);
  client.io.poll();
  CHECK(second.error == asio::error::operation_aborted);
  CHECK(client.transport->getMetrics().queuedRequests == 0);
  signals[0].emit(asio::cancellation_type::terminal);
  client.runToEnd();
  CHECK(server.counts().requests == 1);
}

TEST_CASE("a request that was given up makes room for the next one", "[http]") {
  HttpTestServer silent(neverAnswers);
  HttpTestServer quick(alwaysAnswers("whole"));
  HttpClient client({.maxConnections = 1});
  Outcome first;
  Outcome second;
  asio::cancellation_signal signal;
  asio::co_spawn(client.io, sendAndRead(client.transport, silent.url(), first),
                 asio::bind_cancellation_slot(signal.slot(), asio::detached));
  asio::co_spawn(client.io, sendAndRead(client.transport, quick.url(), second), asio::detached);
  runUntil(client, silent, requests(1));
  CHECK_FALSE(second.ended);
  signal.emit(asio::cancellation_type::terminal);
  client.runToEnd();
  CHECK(second.ended);
  CHECK_FALSE(second.error);
}

TEST_CASE("giving up while a name is resolved or a handshake is under way returns at once", "[http]") {
  HttpTestServer silent(isSilent);
  HttpClient client;
  for (const std::string& url : {std::string("http://does-not-exist.invalid/"), silent.url("/", "https")}) {
    Outcome outcome;
    asio::cancellation_signal signal;
    asio::co_spawn(client.io, sendAndRead(client.transport, url, outcome),
                   asio::bind_cancellation_slot(signal.slot(), asio::detached));
    client.io.restart();
    client.io.run_one_for(5ms);
    client.io.poll();
    const auto before = std::chrono::steady_clock::now();
    signal.emit(asio::cancellation_type::terminal);
    client.runToEnd();
    CHECK(outcome.ended);
    CHECK(std::chrono::steady_clock::now() - before < 1s);
  }
}
