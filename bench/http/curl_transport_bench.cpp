// What a request through CurlTransport costs: a kept connection on loopback, a small body there and back. The
// server runs on a thread of its own; cpu time is the client's.
#include "lukhas/http/curl_transport.hpp"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <asio.hpp>
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "lukhas/route/read_all.hpp"

namespace {

// Answers whatever comes up to a blank line; requests here have no body.
asio::awaitable<void> serve(asio::ip::tcp::socket socket) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + std::string(500, 'x');
  std::string input;
  try {
    for (;;) {
      const std::size_t head = co_await asio::async_read_until(socket, asio::dynamic_buffer(input),
                                                               "\r\n\r\n", asio::use_awaitable);
      input.erase(0, head);
      co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
    }
  } catch (const std::system_error&) {  // the client is gone
  }
}

class Server {
 public:
  Server() {
    asio::co_spawn(io_, accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    io_.stop();
    thread_.join();
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}/", acceptor_.local_endpoint().port()); }

 private:
  asio::awaitable<void> accept() {
    for (;;) {
      asio::ip::tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
      asio::co_spawn(io_, serve(std::move(socket)), asio::detached);
    }
  }

  asio::io_context io_{1};
  asio::ip::tcp::acceptor acceptor_{io_, {asio::ip::address_v4::loopback(), 0}};
  std::thread thread_;
};

asio::awaitable<void> ask(lukhas::CurlTransport& transport, std::string url, std::int64_t times) {
  for (std::int64_t i = 0; i < times; ++i) {
    lukhas::HttpRequest request(url);
    std::unique_ptr<lukhas::HttpExchange> exchange = co_await transport.send(request);
    std::string body = co_await lukhas::readAll(std::move(exchange), 1000);
    benchmark::DoNotOptimize(body);
  }
}

void keptConnection(benchmark::State& state) {
  const std::int64_t together = state.range(0);
  constexpr std::int64_t each = 20;
  Server server;
  asio::io_context io{1};
  const lukhas::Environment environment(io.get_executor());
  const auto transport = lukhas::CurlTransport::create(environment);
  for (auto round : state) {
    (void)round;
    for (std::int64_t i = 0; i < together; ++i)
      asio::co_spawn(io, ask(*transport, server.url(), each), asio::detached);
    io.restart();
    io.run();
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * together * each);
}
BENCHMARK(keptConnection)->Arg(1)->Arg(16);

}  // namespace
