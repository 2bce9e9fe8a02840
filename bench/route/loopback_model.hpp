// LoopbackModel: a model's endpoint in a process of its own, so that its time and memory are not the
// router's.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio.hpp>
#include <fmt/format.h>

namespace bench {

// As many descriptors as this process may have.
inline void raiseDescriptorLimit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Answers each request at once; one for a stream with a first word, and then nothing until the client leaves.
// To be made before the program has threads.
class LoopbackModel {
 public:
  LoopbackModel() {
    asio::io_context io;
    asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0}, true);
    port_ = acceptor.local_endpoint().port();
    acceptor.listen(4096);
    io.notify_fork(asio::io_context::fork_prepare);
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("no process for the model");
    if (child_ > 0) {
      io.notify_fork(asio::io_context::fork_parent);
      return;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    io.notify_fork(asio::io_context::fork_child);
    raiseDescriptorLimit();
    asio::co_spawn(io, accept(acceptor), asio::detached);
    io.run();
    ::_exit(0);
  }
  LoopbackModel(const LoopbackModel&) = delete;
  LoopbackModel& operator=(const LoopbackModel&) = delete;
  ~LoopbackModel() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
  }

  [[nodiscard]] std::string url() const { return fmt::format("http://127.0.0.1:{}/v1", port_); }

 private:
  static asio::awaitable<void> accept(asio::ip::tcp::acceptor& acceptor) {
    for (;;) {
      asio::ip::tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
      const auto executor = socket.get_executor();
      asio::co_spawn(executor, serve(std::move(socket)), asio::detached);
    }
  }

  static std::string answer(std::string_view type, std::string_view body) {
    return fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n{}", type,
                       body.size(), body);
  }

  static asio::awaitable<void> serve(asio::ip::tcp::socket socket) {
    const std::string whole = answer("application/json", R"({"choices":[{"message":{"role":"assistant",)"
                                                         R"("content":"Rhine, Elbe, Oder."},)"
                                                         R"("finish_reason":"stop"}]})");
    const std::string word = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";
    const std::string beginning = fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: "
        "chunked\r\n\r\n{:x}\r\n{}\r\n",
        word.size(), word);
    std::string input;
    try {
      socket.set_option(asio::ip::tcp::no_delay(true));
      for (;;) {
        const std::size_t head = co_await asio::async_read_until(socket, asio::dynamic_buffer(input),
                                                                 "\r\n\r\n", asio::use_awaitable);
        const std::size_t mark = input.find("Content-Length: ");
        const std::size_t length = mark < head ? std::stoul(input.substr(mark + 16)) : 0;
        if (input.size() < head + length) {
          co_await asio::async_read(socket, asio::dynamic_buffer(input),
                                    asio::transfer_exactly(head + length - input.size()),
                                    asio::use_awaitable);
        }
        const bool stream = input.find("\"stream\":true") < head + length;
        input.erase(0, head + length);
        co_await asio::async_write(socket, asio::buffer(stream ? beginning : whole), asio::use_awaitable);
      }
    } catch (const std::exception&) {  // the client is gone
    }
  }

  std::uint16_t port_ = 0;
  pid_t child_ = -1;
};

}  // namespace bench
