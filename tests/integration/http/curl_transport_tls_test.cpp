// Whom the transport trusts.
#include "lukhas/http/curl_transport.hpp"

#include "support/http_test.hpp"
#include "support/http_tls_server.hpp"

using lukhas::test::HttpTlsServer;

TEST_CASE("a certificate of an unknown authority is tls_failed", "[http]") {
  HttpTlsServer server;
  HttpClient client;
  CHECK(client.failureOf(lukhas::test::get(server.url())).code() == RouteErrc::tls_failed);
}

TEST_CASE("a certificate of the named authority is accepted", "[http]") {
  HttpTlsServer server;
  HttpClient client({.caFile = server.certificate()});
  const HttpAnswer answer = client.answerTo(lukhas::test::get(server.url()));
  CHECK(answer.status == 200);
  CHECK(answer.body.find("TLSv1.3") != std::string::npos);
}

TEST_CASE("a certificate for another name is tls_failed", "[http]") {
  HttpTlsServer server;
  HttpClient client({.caFile = server.certificate()});
  CHECK(client.failureOf(lukhas::test::get(server.url("localhost"))).code() == RouteErrc::tls_failed);
}

TEST_CASE("a peer that hangs up during an upload over TLS raises no signal", "[http]") {
  HttpTlsServer server;
  HttpClient client({.caFile = server.certificate()});
  lukhas::HttpRequest request(server.url(), std::string(std::size_t{32} << 20U, 'x'));
  request.method = "GET";  // the server answers to the first lines and closes
  try {
    (void)client.answerTo(request);
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == RouteErrc::connection_lost);
  }
  CHECK(client.answerTo(lukhas::test::get(server.url())).status == 200);
}
