// Answers that come compressed.
#include "lukhas/http/curl_transport.hpp"

#include <memory>
#include <string>
#include <string_view>

#include "support/http_test.hpp"

namespace curl_transport_gzip_test {

using lukhas::Error;
using lukhas::HttpRequest;
using lukhas::RouteErrc;
using lukhas::test::get;
using lukhas::test::HttpClient;
using lukhas::test::HttpTestServer;
using namespace std::string_view_literals;

// "hello, compressed world" as gzip -9n writes it.
constexpr std::string_view compressed =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    "\xcb\x48\xcd\xc9\xc9\xd7\x51\x48\xce\xcf\x2d\x28\x4a\x2d\x2e\x4e\x4d\x51\x28\xcf\x2f\xca\x49\x01\x00"
    "\x08\x9e\x34\x35\x17\x00\x00\x00"sv;

std::string gzipAnswer(std::string_view body) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.size())
      .append(body);
}

TEST_CASE("a compressed answer arrives as it was before", "[http]") {
  HttpTestServer server(lukhas::test::alwaysSays(gzipAnswer(compressed)));
  HttpClient client;
  CHECK(client.answerTo(get(server.url())).body == "hello, compressed world");
  HttpClient raw({.decompress = false});
  CHECK(raw.answerTo(get(server.url())).body == compressed);
}

TEST_CASE("compression is asked for by option only", "[http]") {
  HttpTestServer server(lukhas::test::echo);
  CHECK(HttpClient().answerTo(get(server.url())).body.find("Accept-Encoding: gzip\n") != std::string::npos);
  CHECK(HttpClient({.decompress = false}).answerTo(get(server.url())).body.find("Accept-Encoding") ==
        std::string::npos);
}

TEST_CASE("an answer that is not what it says, or is cut off, is no answer", "[http]") {
  HttpTestServer garbled(lukhas::test::alwaysSays(gzipAnswer("no gzip at all, but long enough to be seen")));
  CHECK(HttpClient().failureOf(get(garbled.url())).code() == RouteErrc::bad_http);
  HttpTestServer broken(lukhas::test::alwaysSays(gzipAnswer(compressed.substr(0, 12))));
  HttpClient client;
  // The bytes are whole for HTTP: what is missing is the end of the compressed data.
  std::string body;
  try {
    body = client.answerTo(get(broken.url())).body;
  } catch (const Error& error) {
    CHECK(error.code().category() == make_error_code(RouteErrc{}).category());
  }
  CHECK(body.size() < 23);
}

}  // namespace curl_transport_gzip_test
