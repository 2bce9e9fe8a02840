// HttpTestServer: a server on loopback that behaves, or misbehaves, as a script of the test says.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <asio.hpp>
#include <fmt/format.h>

#include "lukhas/route/http_message.hpp"

namespace lukhas::test {

struct ReceivedRequest {
  std::string method;
  std::string target;
  std::vector<HttpHeader> headers;
  std::string body;
};

// What a server has seen so far.
struct ServerCounts {
  int connections = 0;
  int openConnections = 0;
  int mostOpenConnections = 0;
  int requests = 0;
  int closedByClient = 0;  // a script met the end of its connection
  std::size_t bytesWritten = 0;
};

// Runs on a thread and an io_context of its own. A script is a coroutine that runs once for each connection,
// which is closed after it; what a script throws ends its connection and nothing else.
//
//   HttpTestServer server([](HttpTestServer::Connection& connection) -> asio::awaitable<void> {
//     while (const auto request = co_await connection.readRequest()) co_await connection.answer("hello");
//   });
//   … server.url("/v1") …
//   CHECK(server.sees([](const ServerCounts& counts) { return counts.closedByClient == 1; }));
class HttpTestServer {
 public:
  class Connection;
  using Script = std::function<asio::awaitable<void>(Connection&)>;

  explicit HttpTestServer(Script script)
      : script_(std::move(script)),
        acceptor_(io_, asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        port_(acceptor_.local_endpoint().port()) {
    asio::co_spawn(io_, accept(), asio::detached);
    thread_ = std::thread([this] { io_.run(); });
  }
  HttpTestServer(const HttpTestServer&) = delete;
  HttpTestServer& operator=(const HttpTestServer&) = delete;
  ~HttpTestServer() {
    io_.stop();
    thread_.join();
  }

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view path = "/", std::string_view scheme = "http") const {
    return fmt::format("{}://127.0.0.1:{}{}", scheme, port_, path);
  }
  [[nodiscard]] ServerCounts counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
  }
  // Waits for it; false when it does not come true within a time that no healthy run needs.
  template <class Condition>
  [[nodiscard]] bool sees(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return condition(counts_); });
  }

  class Connection {
   public:
    Connection(HttpTestServer& server, asio::ip::tcp::socket socket)
        : server_(server), socket_(std::move(socket)) {
      server_.count([](ServerCounts& counts) {
        ++counts.connections;
        counts.mostOpenConnections = std::max(counts.mostOpenConnections, ++counts.openConnections);
      });
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
      asio::error_code ignored;
      socket_.close(ignored);  // before it is counted: who waits for that may rely on it
      server_.count([](ServerCounts& counts) { --counts.openConnections; });
    }

    asio::ip::tcp::socket& socket() { return socket_; }

    // Nothing when the client has closed the connection.
    asio::awaitable<std::optional<ReceivedRequest>> readRequest() {
      const std::optional<std::size_t> headBytes = co_await readUntilBlankLine();
      if (!headBytes) co_return std::nullopt;
      ReceivedRequest request = parseHead(std::string_view(input_).substr(0, *headBytes));
      input_.erase(0, *headBytes);
      const auto length = findHeader(request.headers, "content-length");
      const std::size_t bodyBytes = length ? std::stoul(std::string(*length)) : 0;
      while (input_.size() < bodyBytes) {
        if (!co_await readMore()) co_return std::nullopt;
      }
      request.body = input_.substr(0, bodyBytes);
      input_.erase(0, bodyBytes);
      server_.count([](ServerCounts& counts) { ++counts.requests; });
      co_return request;
    }

    asio::awaitable<void> write(std::string text) {
      const std::size_t written =
          co_await asio::async_write(socket_, asio::buffer(text), asio::use_awaitable);
      server_.count([written](ServerCounts& counts) { counts.bytesWritten += written; });
    }
    // A whole answer; `headers` are lines with their ends.
    asio::awaitable<void> answer(std::string body, std::string headers = {}, int status = 200) {
      std::string text = fmt::format("HTTP/1.1 {} Whatever\r\n{}Content-Length: {}\r\n\r\n{}", status,
                                     headers, body.size(), body);
      co_await write(std::move(text));
    }
    // Returns when the client has closed the connection.
    asio::awaitable<void> waitForClose() {
      bool more = true;  // in the loop's condition g++ 12 makes a trap of the co_await
      while (more) more = co_await readMore();
    }
    asio::awaitable<void> pause(std::chrono::milliseconds duration) {
      asio::steady_timer timer(socket_.get_executor(), duration);
      co_await timer.async_wait(asio::use_awaitable);
    }
    // Closes with a reset instead of an orderly end.
    void reset() {
      socket_.set_option(asio::socket_base::linger(true, 0));
      socket_.close();
    }

   private:
    asio::awaitable<bool> readMore() {
      std::size_t count = 0;
      try {
        count = co_await socket_.async_read_some(asio::buffer(piece_), asio::use_awaitable);
      } catch (const std::system_error&) {  // the end, or a reset
      }
      if (count == 0) server_.count([](ServerCounts& counts) { ++counts.closedByClient; });
      input_.append(piece_.data(), count);
      co_return count > 0;
    }
    asio::awaitable<std::optional<std::size_t>> readUntilBlankLine() {
      for (;;) {
        const std::size_t end = input_.find("\r\n\r\n");
        if (end != std::string::npos) co_return end + 4;
        if (!co_await readMore()) co_return std::nullopt;
      }
    }
    static ReceivedRequest parseHead(std::string_view head) {
      ReceivedRequest request;
      const auto nextLine = [&head] {
        const std::size_t end = head.find("\r\n");
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(end + 2);
        return line;
      };
      const std::string_view first = nextLine();
      const std::size_t space = first.find(' ');
      request.method = first.substr(0, space);
      request.target = first.substr(space + 1, first.rfind(' ') - space - 1);
      for (std::string_view line = nextLine(); !line.empty(); line = nextLine()) {
        const std::size_t colon = line.find(':');
        std::string_view value = line.substr(colon + 1);
        while (value.starts_with(' ')) value.remove_prefix(1);
        request.headers.push_back({std::string(line.substr(0, colon)), std::string(value)});
      }
      return request;
    }

    HttpTestServer& server_;
    asio::ip::tcp::socket socket_;
    std::string input_;  // arrived and not taken yet
    std::array<char, 16384> piece_{};
  };

 private:
  template <class Change>
  void count(Change change) {
    {
      const std::lock_guard lock(mutex_);
      change(counts_);
    }
    changed_.notify_all();
  }

  asio::awaitable<void> accept() {
    for (;;) {
      asio::ip::tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
      asio::co_spawn(io_, serve(std::move(socket)), asio::detached);
    }
  }

  asio::awaitable<void> serve(asio::ip::tcp::socket socket) {
    Connection connection(*this, std::move(socket));
    try {
      co_await script_(connection);
    } catch (const std::system_error&) {  // the client is gone
    }
  }

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  ServerCounts counts_;
  Script script_;
  asio::io_context io_{1};  // after what its coroutines use
  asio::ip::tcp::acceptor acceptor_;
  std::uint16_t port_;
  std::thread thread_;
};

}  // namespace lukhas::test
