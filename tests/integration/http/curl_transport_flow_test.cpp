// How answers flow: as they come, and no faster than they are read.
#include "lukhas/http/curl_transport.hpp"

#include <atomic>

#include "lukhas/async/child_task.hpp"
#include "support/http_test.hpp"

namespace {

constexpr std::size_t hugeBytes = std::size_t{64} << 20U;

// The byte at each place of a huge body: no two pieces are alike.
char byteAt(std::size_t place) { return static_cast<char>('a' + (place * 2654435761U >> 13U) % 26); }

// A huge body in pieces of odd sizes, with its length or in chunks.
asio::awaitable<void> sendsMuch(Connection& connection, bool inChunks) {
  (void)co_await connection.readRequest();
  std::string head = fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", hugeBytes);
  if (inChunks) head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  co_await connection.write(head);
  std::size_t sent = 0;
  while (sent < hugeBytes) {
    std::string piece(std::min<std::size_t>(hugeBytes - sent, 77'777), '\0');
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = byteAt(sent + i);
    sent += piece.size();
    if (inChunks) piece = fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
    co_await connection.write(piece);
  }
  if (inChunks) co_await connection.write("0\r\n\r\n");
  co_await connection.waitForClose();
}

// Holds a script of the server until the test, in its own thread, lets it go on.
class Gate {
 public:
  explicit Gate(const asio::any_io_executor& executor) : timer_(executor) {
    timer_.expires_at(std::chrono::steady_clock::time_point::max());
  }
  asio::awaitable<void> pass() {
    while (permits_ == 0) {
      std::error_code woken;
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    --permits_;
  }
  void letOnePass() {
    asio::post(timer_.get_executor(), [this] {
      ++permits_;
      timer_.cancel();
    });
  }

 private:
  asio::steady_timer timer_;
  int permits_ = 0;
};

// Suspends until the transport has stopped reading.
asio::awaitable<void> untilPaused(HttpClient& client, std::uint64_t pauses) {
  while (client.transport->getMetrics().pauses < pauses) co_await client.environment.sleepFor(1ms);
}

asio::awaitable<void> readSlowly(HttpClient& client, HttpTestServer& server, std::size_t maxBufferedBytes) {
  HttpRequest request(server.url());
  request.maxBufferedBytes = maxBufferedBytes;
  const std::unique_ptr<HttpExchange> exchange = co_await client.transport->send(request);
  std::size_t place = 0;
  std::size_t wrong = 0;
  for (int i = 1; i <= 3; ++i) {
    co_await untilPaused(client, static_cast<std::uint64_t>(i));
    CHECK(client.transport->getMetrics().bufferedBytes <= maxBufferedBytes);
    std::string piece = co_await exchange->read();
    CHECK(piece.size() <= maxBufferedBytes);
    for (const char byte : piece) wrong += byte != byteAt(place++) ? 1U : 0U;
  }
  // What the kernel holds on both sides is all that may have left the server beyond that.
  CHECK(server.counts().bytesWritten < hugeBytes / 2);
  for (;;) {
    std::string piece = co_await exchange->read();
    if (piece.empty()) break;
    for (const char byte : piece) wrong += byte != byteAt(place++) ? 1U : 0U;
  }
  CHECK(place == hugeBytes);
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("a body that nobody reads stays at the server", "[http]") {
  const bool inChunks = GENERATE(false, true);
  const std::size_t maxBufferedBytes = GENERATE(std::size_t{262'144}, std::size_t{2048});
  HttpTestServer server([inChunks](Connection& connection) { return sendsMuch(connection, inChunks); });
  HttpClient client;
  client.run(readSlowly(client, server, maxBufferedBytes));
  CHECK(server.counts().connections == 1);
}

TEST_CASE("a paused exchange that is destroyed closes its socket", "[http]") {
  HttpTestServer server([](Connection& connection) { return sendsMuch(connection, false); });
  HttpClient client;
  auto look = [](HttpClient& with, HttpTestServer& peer) -> asio::awaitable<void> {
    HttpRequest request(peer.url());
    std::unique_ptr<HttpExchange> exchange = co_await with.transport->send(request);
    co_await untilPaused(with, 1);
    exchange.reset();
    CHECK(peer.sees(allClosed()));
  };
  client.run(look(client, server));
  CHECK(client.transport->getMetrics().bufferedBytes == 0);
}

TEST_CASE("the head comes before the body and each piece as soon as it is there", "[http]") {
  Gate* gate = nullptr;
  std::atomic<bool> ready = false;  // orders what the two threads know of the gate
  HttpTestServer server([&gate, &ready](Connection& connection) -> asio::awaitable<void> {
    (void)co_await connection.readRequest();
    Gate mine(connection.socket().get_executor());
    gate = &mine;
    ready = true;
    co_await connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; ++i) {
      co_await mine.pass();
      co_await connection.write("2\r\nab\r\n");
    }
    co_await connection.write("0\r\n\r\n");
    co_await connection.waitForClose();
  });
  HttpClient client;
  auto look = [](HttpClient& with, std::string url, Gate*& way,
                 std::atomic<bool>& known) -> asio::awaitable<void> {
    HttpRequest request(url);
    const std::unique_ptr<HttpExchange> exchange = co_await with.transport->send(request);
    CHECK(exchange->status() == 200);
    REQUIRE(known);
    for (int i = 0; i < 3; ++i) {
      lukhas::ChildTask<std::string> reading(with.environment, exchange->read());
      const auto early = co_await reading.joinUntil(with.environment.after(10ms));
      CHECK_FALSE(early);
      way->letOnePass();
      const std::string piece = co_await reading.join();
      CHECK(piece == "ab");
    }
    const std::string end = co_await exchange->read();
    CHECK(end.empty());
  };
  client.run(look(client, server.url(), gate, ready));
}

TEST_CASE("an answer that drips in byte by byte is read", "[http]") {
  HttpTestServer server([](Connection& connection) -> asio::awaitable<void> {
    while (co_await connection.readRequest()) {
      connection.socket().set_option(asio::ip::tcp::no_delay(true));
      const std::string text =
          "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
      for (const char byte : text) {
        std::string one(1, byte);
        co_await connection.write(one);
        co_await connection.pause(1ms);
      }
    }
  });
  HttpClient client;
  for (int i = 0; i < 2; ++i) CHECK(client.answerTo(HttpRequest(server.url())).body == "hello");
  CHECK(server.counts().connections == 1);
}

TEST_CASE("an early answer to a body that is still being sent is read", "[http]") {
  HttpTestServer server([](Connection& connection) -> asio::awaitable<void> {
    co_await connection.write("HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    co_await connection.waitForClose();
  });
  HttpClient client;
  HttpRequest request(server.url(), std::string(std::size_t{8} << 20U, 'x'));
  const lukhas::test::HttpAnswer answer = client.answerTo(request);
  CHECK(answer.status == 413);
  CHECK(answer.body == "no");
}
