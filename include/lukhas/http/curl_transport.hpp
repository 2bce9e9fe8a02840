// CurlTransport: HTTP and HTTPS through libcurl, on the caller's io_context.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/route/transport.hpp"

namespace lukhas {

namespace detail {
class CurlEngine;
}

struct CurlTransportOptions {
  // Connections at once, busy and idle, over all hosts. A request beyond it waits for its turn, first come,
  // first served; its connectTimeout begins with its turn. 256 is far more than a model endpoint likes, and
  // far fewer than the 1,024 descriptors that a process may have. 1 to 65,536.
  std::size_t maxConnections = 256;
  // Requests that wait for a connection at once; one more fails with RouteErrc::overloaded. Each holds its
  // body: 10,000 of 10 KiB are 100 MB, and with 256 connections and answers of a second the last one waits
  // 40 s, which is longer than anybody does. 0: none waits. 0 to 1,000,000.
  std::size_t maxQueued = 10'000;
  // How long a connection may lie idle and still serve another request; rounded up to whole seconds. Usual
  // servers and balancers close after 60 to 75 s, and one that closed earlier is found out before it is used.
  // Zero: every request has a connection of its own. 0 to 1 h.
  Duration maxIdleTime = std::chrono::seconds(45);
  // How long a connection is used for further requests at all, so that a changed address is noticed; rounded
  // up to whole seconds. 1 s to 24 h.
  Duration maxConnectionAge = std::chrono::minutes(10);
  // A file of certificates (PEM) of the authorities to trust, in place of the system's. Empty: the system's.
  std::string caFile = {};
  // Whether requests go through the proxies that the environment names (http_proxy, https_proxy, all_proxy,
  // but for the hosts of no_proxy), as other programs' do. Loopback is never asked for through a proxy.
  bool proxyFromEnvironment = true;
  // Whether the server is asked to compress its answers (gzip), which arrive decompressed then. The limits on
  // a body hold for what it is decompressed; a piece of 16 KiB may be 16 MiB.
  bool decompress = true;
  // Whether HTTP/2 is spoken where a server over TLS offers it. Each request has a connection of its own at
  // its time there too, so that an abort closes a socket; but libcurl takes up to 32 MiB from a server that
  // sends faster than the answer is read, whatever maxBufferedBytes says. That is why it is not the default.
  bool http2 = false;
};

struct CurlTransportMetrics {
  std::uint64_t totalRequests = 0;
  std::uint64_t failedRequests = 0;
  std::uint64_t abortedRequests = 0;
  std::uint64_t refusedRequests = 0;
  std::uint64_t connectionsOpened = 0;
  std::uint64_t pauses = 0;
  std::size_t activeRequests = 0;
  std::size_t queuedRequests = 0;
  std::size_t bufferedBytes = 0;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("totalRequests", totalRequests, "requests that were sent or queued"));
    visitor(counter("failedRequests", failedRequests, "requests whose answer did not arrive in full"));
    visitor(counter("abortedRequests", abortedRequests, "requests that the caller gave up"));
    visitor(counter("refusedRequests", refusedRequests, "requests that the full queue did not take"));
    visitor(counter("connectionsOpened", connectionsOpened, "connections that were made"));
    visitor(counter("pauses", pauses, "times that a full buffer stopped the reading from a socket"));
    visitor(gauge("activeRequests", activeRequests, "requests under way"));
    visitor(gauge("queuedRequests", queuedRequests, "requests that wait for a connection to be free"));
    visitor(gauge("bufferedBytes", bufferedBytes, "bytes of bodies that nobody has read yet"));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }
};

// The Transport for real endpoints. HTTP/1.1 with keep-alive, or HTTP/2 by option, TLS from 1.2 on.
//
//   asio::io_context io;
//   lukhas::Environment environment{io.get_executor()};
//   std::shared_ptr<lukhas::CurlTransport> transport = lukhas::CurlTransport::create(environment);
//   lukhas::HttpRequest request("http://127.0.0.1:8080/v1/chat/completions", body);
//   std::unique_ptr<lukhas::HttpExchange> exchange = co_await transport->send(request);
//
// What it promises beyond Transport:
// - A request is sent once. Where a kept connection turns out to be dead, the request goes to a new one only
//   if nothing of it had left; otherwise the call fails with connection_lost, and the router decides.
// - Certificates and host names are verified; there is no way to turn that off. Nothing is taken from the
//   surroundings but the proxies of the environment: no .netrc, no cookies, no redirects, no signals.
// - An abort (exchange destroyed, send() or read() cancelled) has closed the socket when the call returns to
//   its caller, from whichever thread it comes.
// - Of a body, HttpRequest::maxBufferedBytes are held, at least 2 KiB. One line of headers may have 100 KiB
//   whatever maxHeaderBytes says, which is libcurl's own limit.
//
// A request for which neither a connection nor a place in the queue is free is refused with
// RouteErrc::overloaded (details: maximum). A request that cannot be sent at all (an URL without http or
// https, with a user name or with control characters; a header that would break the message; a limit of
// zero) throws Errc::invalid_argument. No error holds a header, a body, or more of the URL than scheme, host
// and port.
//
// Where callers resume: on their own executor. Thread safety: any thread may send and read at once; one mutex
// guards all of libcurl, and is never held while user code runs. Names are resolved on libcurl's own threads.
//
// Lifetime: destroying the transport closes every connection; whoever waits in send() or read() gets
// Errc::closed. Exchanges may outlive it. It should go before its io_context, but may go later: it is closed
// when the io_context is destroyed. Needs an environment of the real world.
class CurlTransport final : public Transport {
 public:
  using Options = CurlTransportOptions;
  using Metrics = CurlTransportMetrics;

  // Throws Errc::invalid_option.
  [[nodiscard]] static std::shared_ptr<CurlTransport> create(Environment environment,
                                                             CurlTransportOptions options = {});
  CurlTransport(const CurlTransport&) = delete;
  CurlTransport& operator=(const CurlTransport&) = delete;
  ~CurlTransport() override;

  [[nodiscard]] asio::awaitable<std::unique_ptr<HttpExchange>> send(HttpRequest request) override;

  [[nodiscard]] CurlTransportMetrics getMetrics() const;

 private:
  explicit CurlTransport(std::shared_ptr<detail::CurlEngine> engine);

  std::shared_ptr<detail::CurlEngine> engine_;
};

}  // namespace lukhas
