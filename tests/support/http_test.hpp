// What every test of the HTTP transport begins with: a client, a server, usual scripts, and their names.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "support/http_client.hpp"
#include "support/http_test_server.hpp"

namespace lukhas::test {

using Connection = HttpTestServer::Connection;

// Scripts for HttpTestServer.

inline asio::awaitable<void> neverAnswers(Connection& connection) {
  (void)co_await connection.readRequest();
  co_await connection.waitForClose();
}

// Reads nothing, says nothing.
inline asio::awaitable<void> isSilent(Connection& connection) { return connection.waitForClose(); }

inline asio::awaitable<void> answersHalf(Connection& connection) {
  (void)co_await connection.readRequest();
  co_await connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  co_await connection.waitForClose();
}

// The request, without its Host, comes back as the body of the answer.
inline asio::awaitable<void> echo(Connection& connection) {
  for (;;) {
    const std::optional<ReceivedRequest> request = co_await connection.readRequest();
    if (!request) co_return;
    std::string text = request->method + " " + request->target + "\n";
    for (const HttpHeader& header : request->headers) {
      if (!sameHeaderName(header.name, "host")) text += header.name + ": " + header.value + "\n";
    }
    text += "\n" + request->body;
    co_await connection.answer(text);
  }
}

// Answers the first request of a connection with these bytes, then closes it.
inline HttpTestServer::Script says(std::string bytes) {
  return [bytes](Connection& connection) -> asio::awaitable<void> {
    const std::optional<ReceivedRequest> request = co_await connection.readRequest();
    if (request) co_await connection.write(bytes);
  };
}

// Answers every request of a connection with these bytes.
inline HttpTestServer::Script alwaysSays(std::string bytes) {
  return [bytes](Connection& connection) -> asio::awaitable<void> {
    for (;;) {
      const std::optional<ReceivedRequest> request = co_await connection.readRequest();
      if (!request) co_return;
      co_await connection.write(bytes);
    }
  };
}

// Answers every request with 200 and this body.
inline HttpTestServer::Script alwaysAnswers(const std::string& body) {
  return alwaysSays(fmt::format("HTTP/1.1 200 Whatever\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
}

// Conditions for HttpTestServer::sees().

// That many connections met their end at the client's hand.
inline auto closed(int count) {
  return [count](const ServerCounts& counts) { return counts.closedByClient == count; };
}
inline auto requests(int count) {
  return [count](const ServerCounts& counts) { return counts.requests == count; };
}
inline auto allClosed() {
  return [](const ServerCounts& counts) { return counts.openConnections == 0; };
}

}  // namespace lukhas::test

using lukhas::CurlTransport;
using lukhas::CurlTransportOptions;
using lukhas::Environment;
using lukhas::Errc;
using lukhas::Error;
using lukhas::HttpExchange;
using lukhas::HttpRequest;
using lukhas::RouteErrc;
using lukhas::test::allClosed;
using lukhas::test::alwaysAnswers;
using lukhas::test::alwaysSays;
using lukhas::test::answersHalf;
using lukhas::test::closed;
using lukhas::test::Connection;
using lukhas::test::echo;
using lukhas::test::HttpAnswer;
using lukhas::test::HttpClient;
using lukhas::test::HttpTestServer;
using lukhas::test::isSilent;
using lukhas::test::neverAnswers;
using lukhas::test::ReceivedRequest;
using lukhas::test::requests;
using lukhas::test::says;
using lukhas::test::ServerCounts;
using namespace std::chrono_literals;
