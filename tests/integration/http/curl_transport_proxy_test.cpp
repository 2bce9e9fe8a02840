// Requests through a proxy of the environment.
#include "lukhas/http/curl_transport.hpp"

#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "support/http_test.hpp"
#include "support/http_tls_server.hpp"

namespace curl_transport_proxy_test {

using lukhas::CurlTransportOptions;
using lukhas::Error;
using lukhas::HttpRequest;
using lukhas::RouteErrc;
using lukhas::test::Connection;
using lukhas::test::get;
using lukhas::test::HttpClient;
using lukhas::test::HttpTestServer;
using lukhas::test::HttpTlsServer;
using lukhas::test::ReceivedRequest;

// A variable of the environment, for as long as this lives.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* const old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() {
    if (old_) {
      ::setenv(name_, old_->c_str(), 1);
    } else {
      ::unsetenv(name_);
    }
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

asio::awaitable<void> copy(asio::ip::tcp::socket& from, asio::ip::tcp::socket& to) {
  std::array<char, 4096> piece{};
  std::size_t count = 1;
  while (count > 0) {
    try {
      count = co_await from.async_read_some(asio::buffer(piece), asio::use_awaitable);
    } catch (const std::system_error&) {
      count = 0;
    }
    if (count > 0) co_await asio::async_write(to, asio::buffer(piece.data(), count), asio::use_awaitable);
  }
  asio::error_code ignored;
  to.shutdown(asio::socket_base::shutdown_send, ignored);
}

// Makes the tunnel that it is asked for, to whatever port of loopback.
asio::awaitable<void> tunnels(Connection& connection) {
  const std::optional<ReceivedRequest> request = co_await connection.readRequest();
  if (!request || request->method != "CONNECT") co_return;
  const auto port =
      static_cast<std::uint16_t>(std::stoi(request->target.substr(request->target.rfind(':') + 1)));
  asio::ip::tcp::socket target(connection.socket().get_executor());
  const asio::ip::tcp::endpoint endpoint(asio::ip::address_v4::loopback(), port);
  co_await target.async_connect(endpoint, asio::use_awaitable);
  co_await connection.write("HTTP/1.1 200 Connected\r\nX-Proxy: yes\r\n\r\n");
  asio::co_spawn(connection.socket().get_executor(), copy(target, connection.socket()), asio::detached);
  co_await copy(connection.socket(), target);
}

TEST_CASE("a request goes through the proxy that the environment names", "[http]") {
  HttpTestServer proxy(lukhas::test::echo);
  const Variable named("http_proxy", proxy.url(""));
  HttpClient client;
  const auto answer = client.answerTo(get("http://model.test/v1/x"));
  CHECK(answer.status == 200);
  CHECK(answer.body.starts_with("GET http://model.test/v1/x\n"));
}

TEST_CASE("no proxy is asked for loopback, for an excepted host, or when the option says no", "[http]") {
  HttpTestServer proxy(lukhas::test::alwaysAnswers("from the proxy"));
  HttpTestServer server(lukhas::test::alwaysAnswers("from the server"));
  const Variable named("http_proxy", proxy.url(""));
  HttpClient client;
  CHECK(client.answerTo(get(server.url("/"))).body == "from the server");
  CHECK(client.answerTo(get("http://model.test/")).body == "from the proxy");
  {
    const Variable excepted("no_proxy", "other.test,model.test");
    CHECK(client.failureOf(get("http://model.test/")).code() != RouteErrc::bad_http);
    CHECK(client.answerTo(get("http://third.test/")).body == "from the proxy");
  }
  {
    const Variable excepted("no_proxy", "*");
    (void)client.failureOf(get("http://third.test/"));
  }
  HttpClient direct({.proxyFromEnvironment = false});
  (void)direct.failureOf(get("http://model.test/"));
  CHECK(proxy.counts().requests == 2);
}

TEST_CASE("TLS goes through a tunnel, and the certificate is still verified", "[http]") {
  HttpTlsServer server;
  HttpTestServer proxy(tunnels);
  const Variable named("https_proxy", proxy.url(""));
  std::string url = server.url("localhost.test");  // a name, so that the proxy is asked
  HttpClient trusting({.caFile = server.certificate()});
  // The certificate is for 127.0.0.1: the tunnel stands, and the name is refused.
  CHECK(trusting.failureOf(get(url)).code() == RouteErrc::tls_failed);
  CHECK(proxy.counts().requests == 1);
}

TEST_CASE("a request through a tunnel is sent once and answered", "[http]") {
  HttpTlsServer server("localhost.test");
  HttpTestServer proxy(tunnels);
  const Variable named("https_proxy", proxy.url(""));
  HttpClient client({.caFile = server.certificate()});
  const auto answer = client.answerTo(get(server.url("localhost.test")));
  CHECK(answer.status == 200);
  CHECK_FALSE(answer.body.empty());
}

TEST_CASE("a proxy that refuses or is not there is no answer, and its password is told to nobody", "[http]") {
  HttpTestServer proxy(lukhas::test::alwaysSays("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"));
  HttpClient client;
  for (const bool there : {true, false}) {
    const std::string at = there ? std::to_string(proxy.port()) : "1";
    const Variable named("https_proxy", "http://user:proxysecret@127.0.0.1:" + at);
    const Error error = client.failureOf(get("https://model.test/"));
    INFO(error.what());
    CHECK(error.code().category() == make_error_code(RouteErrc{}).category());
    CHECK((error.what() + error.details().dump()).find("proxysecret") == std::string::npos);
  }
}

}  // namespace curl_transport_proxy_test
