// Several threads run the io_context, and requests are answered, given up and destroyed all over.
#include "lukhas/http/curl_transport.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "support/http_test.hpp"

using lukhas::Duration;

namespace {

// What the path asks for: an echo, silence, a cut, or a long body.
asio::awaitable<void> behaves(Connection& connection) {
  while (const std::optional<ReceivedRequest> request = co_await connection.readRequest()) {
    if (request->target == "/silent") co_await connection.waitForClose();
    if (request->target == "/cut") {
      co_await connection.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
      co_return;
    }
    if (request->target == "/long") {
      co_await connection.answer(std::string(300'000, 'l'));
    } else {
      co_await connection.answer(request->body);
    }
  }
}

struct Tally {
  std::atomic<int> right = 0;
  std::atomic<int> wrong = 0;
  std::atomic<int> failed = 0;
  std::atomic<int> givenUp = 0;
};

void runOnThreads(asio::io_context& io, int count) {
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) threads.emplace_back([&io] { io.run_for(60s); });
  for (std::thread& thread : threads) thread.join();
  REQUIRE(io.stopped());
}

asio::awaitable<void> work(Environment environment, std::shared_ptr<CurlTransport> transport,
                           std::string base, int number, Tally& tally) {
  for (int turn = 0; turn < 6; ++turn) {
    const int kind = (number + turn) % 6;
    const std::string text = fmt::format("{} of {}", turn, number);
    HttpRequest request(base + (kind == 1   ? "/silent"
                                : kind == 2 ? "/cut"
                                : kind >= 4 ? "/long"
                                            : "/"),
                        text);
    request.maxBufferedBytes = 4096;
    try {
      if (kind == 5) {  // destroyed after its first piece
        std::unique_ptr<HttpExchange> exchange = co_await transport->send(request);
        (void)co_await exchange->read();
        ++tally.givenUp;
        continue;
      }
      auto exchange = lukhas::test::fetch(transport, request);
      const Duration limit = kind == 1 ? Duration(3ms) : Duration(30s);
      const HttpAnswer answer =
          co_await lukhas::withTimeLimit(environment, limit, "the request", std::move(exchange));
      const bool good = kind == 4 ? answer.body.size() == 300'000 : answer.body == text;
      ++(good ? tally.right : tally.wrong);
    } catch (const Error& error) {
      ++(error.code() == lukhas::Errc::deadline_exceeded ? tally.givenUp : tally.failed);
    }
  }
}

}  // namespace

TEST_CASE("several threads send read and give up at once", "[http]") {
  HttpTestServer server(behaves);
  asio::io_context io;
  Environment environment(io.get_executor());
  auto transport = CurlTransport::create(environment, {.maxConnections = 20});
  Tally tally;
  for (int i = 0; i < 60; ++i)
    asio::co_spawn(io, work(environment, transport, server.url(""), i, tally), asio::detached);
  runOnThreads(io, 4);
  CHECK(tally.right == 60 * 3);
  CHECK(tally.wrong == 0);
  CHECK(tally.failed == 60);
  CHECK(tally.givenUp == 120);
  const lukhas::CurlTransportMetrics metrics = transport->getMetrics();
  CHECK(metrics.activeRequests == 0);
  CHECK(metrics.queuedRequests == 0);
  CHECK(metrics.totalRequests <= 360);
  CHECK(server.counts().mostOpenConnections <= 25);  // a closed one may be seen late by the server
  transport.reset();
  CHECK(server.sees(allClosed()));
}

TEST_CASE("a transport that is destroyed while threads use it ends every request", "[http]") {
  for (int round = 0; round < 20; ++round) {
    HttpTestServer server(behaves);
    asio::io_context io;
    Environment environment(io.get_executor());
    auto transport = CurlTransport::create(environment, {.maxConnections = 5});
    CurlTransport* const raw = transport.get();
    Tally tally;
    auto ask = [](CurlTransport* with, std::string url, Tally& count) -> asio::awaitable<void> {
      const std::shared_ptr<CurlTransport> borrowed(with, [](CurlTransport*) {});
      HttpRequest request(url);
      try {
        (void)co_await lukhas::test::fetch(borrowed, request);
        ++count.right;
      } catch (const Error& error) {
        ++(error.code() == lukhas::Errc::closed ? count.givenUp : count.failed);
      }
    };
    for (int i = 0; i < 20; ++i)
      asio::co_spawn(io, ask(raw, server.url(i % 2 == 0 ? "/silent" : "/long"), tally), asio::detached);
    io.poll();  // all are under way or in the queue; later calls would use a transport that is gone
    std::thread closer([&transport] { transport.reset(); });
    runOnThreads(io, 3);
    closer.join();
    CHECK(tally.failed == 0);
    CHECK(tally.right + tally.givenUp == 20);
    CHECK(tally.givenUp >= 10);
  }
}
