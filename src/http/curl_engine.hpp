// CurlEngine: libcurl's multi handle on an io_context.
#pragma once

#include <cstddef>
#include <exception>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include <asio/awaitable.hpp>
#include <curl/curl.h>

#include "curl_transfer.hpp"
#include "lukhas/async/environment.hpp"
#include "lukhas/async/front_timer.hpp"
#include "lukhas/http/curl_transport.hpp"
#include "socket_watch.hpp"

namespace lukhas::detail {

// libcurl says by callbacks which sockets it waits for and when it wants to be called next; the engine waits
// on the io_context and calls curl_multi_socket_action. The callbacks only note what they are told and start
// waits of Asio; they never call libcurl.
//
// One mutex guards the multi handle and all transfers. Not a strand: an abort must have closed its socket
// when it returns, in a destructor too, and also when the io_context does not run any more. It is held while
// libcurl works, usually for microseconds, for a TLS handshake about a millisecond. Coroutines are resumed
// after it is released.
class CurlEngine : public std::enable_shared_from_this<CurlEngine> {
 public:
  explicit CurlEngine(CurlTransportOptions options);
  CurlEngine(const CurlEngine&) = delete;
  CurlEngine& operator=(const CurlEngine&) = delete;
  ~CurlEngine();

  void open(const Environment& environment);
  // Ends all transfers with Errc::closed, closes all connections, leaves nothing on the io_context.
  void close() noexcept;

  // Starts the request, or queues it. Throws Errc::invalid_argument, Errc::closed and
  // RouteErrc::overloaded.
  [[nodiscard]] std::shared_ptr<CurlTransfer> begin(HttpRequest request);
  // Closes the connection of a transfer that has not ended.
  void abort(CurlTransfer& transfer) noexcept;

  // Whether the head is there. Throws what the transfer failed with before.
  [[nodiscard]] bool pollHead(const CurlTransfer& transfer);
  // What is there of the body; empty at its end; nothing when more is to come. Throws what it failed with.
  [[nodiscard]] std::optional<std::string> pollBody(CurlTransfer& transfer);
  // Suspends until pollHead or pollBody have something new to say. The caller owns engine and transfer.
  [[nodiscard]] asio::awaitable<void> waitForHead(CurlTransfer& transfer);
  [[nodiscard]] asio::awaitable<void> waitForBody(CurlTransfer& transfer);

  [[nodiscard]] CurlTransportMetrics getMetrics() const;

 private:
  using Transfers = std::list<std::shared_ptr<CurlTransfer>>;
  class Section;

  // What belongs to the io_context, and goes before it.
  struct Loop {
    Loop(const Environment& world, std::weak_ptr<CurlEngine> engine)
        : environment(world), timer(world, std::move(engine), &CurlEngine::tick) {}
    Environment environment;
    FrontTimer timer;
    std::map<curl_socket_t, std::shared_ptr<SocketWatch>> sockets;
  };

  [[nodiscard]] asio::awaitable<void> wait(CurlTransfer& transfer, bool (CurlTransfer::*ready)() const);

  // All of these with the mutex held.
  void launch(const std::shared_ptr<CurlTransfer>& transfer);
  void drive(curl_socket_t socket, int events);
  void settle();
  void collectEnded();
  void endTransfer(CurlTransfer& transfer, std::exception_ptr failure);
  void endAll(const std::exception_ptr& failure);
  void watchSocket(CURL* easy, curl_socket_t socket, int what);
  void waitFor(const std::shared_ptr<SocketWatch>& watch);

  // These take it.
  void socketReady(const std::shared_ptr<SocketWatch>& watch, int direction, std::error_code error);
  static void tick(CurlEngine& engine);

  static int onSocket(CURL* easy, curl_socket_t socket, int what, void* engine, void*) noexcept;
  static int onTimer(CURLM*, long milliseconds, void* engine) noexcept;

  const CurlTransportOptions options_;
  mutable std::mutex mutex_;
  WakeList woken_;
  std::unique_ptr<Loop> loop_;  // null: closed
  CURLM* multi_ = nullptr;
  std::optional<TimePoint> nextCall_;  // when libcurl wants to be called, ready sockets or not
  Transfers active_;
  Transfers queued_;
  Transfers unwatched_;  // their socket could not be registered
  CurlTransportMetrics metrics_;
};

}  // namespace lukhas::detail
