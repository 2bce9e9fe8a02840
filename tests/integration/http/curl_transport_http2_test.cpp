// HTTP/2, where the server over TLS offers it and the option asks for it.
#include "lukhas/http/curl_transport.hpp"

#include <memory>
#include <string>

#include "support/http_test.hpp"
#include "support/http_tls_server.hpp"

namespace curl_transport_http2_test {

using lukhas::HttpRequest;
using lukhas::RouteErrc;
using lukhas::test::get;
using lukhas::test::HttpClient;
using lukhas::test::HttpTlsServer;

TEST_CASE("HTTP/2 is spoken by option, and connections are kept", "[http]") {
  HttpTlsServer server({}, HttpTlsServer::Speaks::http2);
  HttpClient client({.caFile = server.certificate(), .http2 = true});
  for (int i = 0; i < 3; ++i) {
    const auto answer = client.answerTo(get(server.url() + "index.html"));
    CHECK(answer.status == 200);
    CHECK(answer.body == "hello over HTTP/2");
  }
  CHECK(client.answerTo(get(server.url() + "nothing")).status == 404);
  CHECK(client.transport->getMetrics().connectionsOpened == 1);

  // The server speaks nothing else: this shows that the option made the difference.
  HttpClient old({.caFile = server.certificate()});
  const auto code = old.failureOf(get(server.url())).code();
  CHECK(code.category() == make_error_code(RouteErrc{}).category());
}

TEST_CASE("without HTTP/2 at the server the option makes no difference", "[http]") {
  HttpTlsServer server;
  HttpClient client({.caFile = server.certificate(), .http2 = true});
  CHECK(client.answerTo(get(server.url())).status == 200);
}

}  // namespace curl_transport_http2_test
