// SocketWatch: waits on the io_context for one of libcurl's sockets to be ready.
#pragma once

#include <memory>
#include <system_error>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <curl/curl.h>

namespace lukhas::detail {

// The socket is libcurl's: it is registered here from libcurl's first word about it until its
// CURL_POLL_REMOVE, which comes before it is closed, and is always released, never closed here. Guarded by
// the engine's mutex.
class SocketWatch : public std::enable_shared_from_this<SocketWatch> {
 public:
  SocketWatch(const asio::any_io_executor& executor, curl_socket_t socket)
      : socket_(socket), descriptor_(executor, socket) {}
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;
  ~SocketWatch() { release(); }

  [[nodiscard]] curl_socket_t socket() const noexcept { return socket_; }
  // False once it is released: the number may belong to another socket by now.
  [[nodiscard]] bool current() const noexcept { return descriptor_.is_open(); }
  [[nodiscard]] bool wants(int direction) const noexcept { return (wanted_ & direction) != 0; }

  void release() noexcept {
    if (descriptor_.is_open()) descriptor_.release();
  }

  // CURL_POLL_IN, _OUT or _INOUT.
  void want(int wanted) noexcept { wanted_ = wanted; }
  // `ready(watch, direction, error)` runs on the executor, once for each wanted direction that is not waited
  // for already. A wait that is no longer wanted ends in `ready` all the same, which asks wants().
  template <class Ready>
  void startWaits(const Ready& ready) {
    start(CURL_POLL_IN, reading_, asio::posix::stream_descriptor::wait_read, ready);
    start(CURL_POLL_OUT, writing_, asio::posix::stream_descriptor::wait_write, ready);
  }
  void waitEnded(int direction) noexcept { (direction == CURL_POLL_IN ? reading_ : writing_) = false; }

 private:
  template <class Ready>
  void start(int direction, bool& waiting, asio::posix::stream_descriptor::wait_type type,
             const Ready& ready) {
    if (!wants(direction) || waiting) return;
    waiting = true;
    descriptor_.async_wait(type, [self = shared_from_this(), direction, ready](std::error_code error) {
      ready(self, direction, error);
    });
  }

  curl_socket_t socket_;
  asio::posix::stream_descriptor descriptor_;
  int wanted_ = CURL_POLL_NONE;
  bool reading_ = false;
  bool writing_ = false;
};

}  // namespace lukhas::detail
