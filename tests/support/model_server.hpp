// ModelServer: a model's endpoint on loopback that answers, or goes wrong in each way that real ones do.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/sim/simulated_dialect.hpp"
#include "support/http_test_server.hpp"

namespace lukhas::test {

enum class ModelMode : std::uint8_t {
  answers,
  answers_compressed,     // as gzip
  stalls_before_headers,  // accepts the request and says nothing
  stalls_midway,          // after half of the answer; of a stream, after the first word
  drips,                  // a byte at a time, too slowly
  resets,                 // the connection ends with a reset, without an answer
  closes_early,           // the connection ends in the middle of the answer
  ends_early,             // HTTP's end comes in order, but the answer has none
  breaks_chunks,          // the length of a chunk is no number
  says_no_json,           // an answer, or an event, that cannot be read
  endless_headers,
  throttles,           // 429, with `headers`
  overloaded,          // 529
  overloaded_inside,   // an error inside a 200; of a stream, as its first event
  fails_midway,        // of a stream, an error after the first word; else as overloaded_inside
  wrong_content_type,  // a page for people
  redirects,           // to `elsewhere`
  refuses_key,         // 401, with the key that was sent in its words, as some do
};

[[nodiscard]] constexpr const char* toString(ModelMode mode) noexcept {
  switch (mode) {
    case ModelMode::answers: return "answers";
    case ModelMode::answers_compressed: return "answers_compressed";
    case ModelMode::stalls_before_headers: return "stalls_before_headers";
    case ModelMode::stalls_midway: return "stalls_midway";
    case ModelMode::drips: return "drips";
    case ModelMode::resets: return "resets";
    case ModelMode::closes_early: return "closes_early";
    case ModelMode::ends_early: return "ends_early";
    case ModelMode::breaks_chunks: return "breaks_chunks";
    case ModelMode::says_no_json: return "says_no_json";
    case ModelMode::endless_headers: return "endless_headers";
    case ModelMode::throttles: return "throttles";
    case ModelMode::overloaded: return "overloaded";
    case ModelMode::overloaded_inside: return "overloaded_inside";
    case ModelMode::fails_midway: return "fails_midway";
    case ModelMode::wrong_content_type: return "wrong_content_type";
    case ModelMode::redirects: return "redirects";
    case ModelMode::refuses_key: return "refuses_key";
  }
  return "?";
}

struct ModelServerSettings {
  ModelMode mode = ModelMode::answers;
  std::string headers = {};    // of a 429: lines with their ends
  std::string elsewhere = {};  // where redirects lead
};

// Speaks both protocols, each at its own path; each plain and as a stream, as the request asks.
class ModelServer {
 public:
  static constexpr std::string_view first = "one ";
  static constexpr std::string_view rest = "two";
  static constexpr std::string_view words = "one two";

  explicit ModelServer(ModelServerSettings settings = {})
      : settings_(std::move(settings)),
        server_([this](Connection& connection) { return serve(connection); }) {}

  [[nodiscard]] std::string url() const { return server_.url("/v1"); }
  [[nodiscard]] HttpTestServer& http() noexcept { return server_; }

 private:
  using Connection = HttpTestServer::Connection;

  // One request, as far as the answer depends on it.
  struct Asked {
    ModelProtocol protocol = ModelProtocol::openai;
    bool stream = false;
    std::string key;
  };

  asio::awaitable<void> serve(Connection& connection) {
    for (;;) {
      const std::optional<ReceivedRequest> request = co_await connection.readRequest();
      if (!request) co_return;
      const Asked asked = understand(*request);
      const bool goesOn = co_await answer(connection, asked);
      if (!goesOn) co_return;
    }
  }

  static Asked understand(const ReceivedRequest& request) {
    Asked asked;
    asked.protocol = request.target.ends_with("/messages") ? ModelProtocol::anthropic : ModelProtocol::openai;
    const nlohmann::json body = nlohmann::json::parse(request.body, nullptr, false);
    asked.stream = body.is_object() && body.value("stream", false);
    for (const char* const name : {"authorization", "x-api-key"}) {
      if (const auto value = findHeader(request.headers, name)) asked.key = *value;
    }
    return asked;
  }

  // Whether the connection serves further requests.
  asio::awaitable<bool> answer(Connection& connection, const Asked& asked) {
    switch (settings_.mode) {
      case ModelMode::stalls_before_headers: co_await connection.waitForClose(); co_return false;
      case ModelMode::resets: connection.reset(); co_return false;
      case ModelMode::endless_headers: co_await writeHeaders(connection); co_return false;
      case ModelMode::throttles:
        co_await refuse(connection, asked, 429, "rate_limit_error", "slow down", settings_.headers);
        co_return true;
      case ModelMode::overloaded:
        co_await refuse(connection, asked, 529, "overloaded_error", "busy");
        co_return true;
      case ModelMode::refuses_key:
        co_await refuse(connection, asked, 401, "authentication_error", "no such key: " + asked.key);
        co_return true;
      case ModelMode::redirects:
        co_await connection.answer("", "Location: " + settings_.elsewhere + "\r\n", 302);
        co_return true;
      case ModelMode::wrong_content_type:
        co_await connection.answer("<html>Welcome</html>", "Content-Type: text/html\r\n");
        co_return true;
      case ModelMode::answers_compressed: co_await writeCompressed(connection, asked); co_return true;
      default: break;
    }
    if (asked.stream) co_return co_await streamAnswer(connection, asked);
    co_return co_await wholeAnswer(connection, asked);
  }

  static asio::awaitable<void> refuse(Connection& connection, const Asked& asked, int status,
                                      std::string type, std::string message, std::string headers = {}) {
    const nlohmann::json fault = detail::simulatedFault(asked.protocol, type, message);
    co_await connection.answer(fault.dump(), headers + "Content-Type: application/json\r\n", status);
  }

  static asio::awaitable<void> writeHeaders(Connection& connection) {
    co_await connection.write("HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 1'000'000; ++i)
      co_await connection.write("X-More: " + std::string(1000, 'x') + "\r\n");
  }

  static detail::SimulatedWords wordsOf() { return {"m", std::string(words), 1, 0, 3, 2}; }

  asio::awaitable<bool> wholeAnswer(Connection& connection, const Asked& asked) {
    std::string body = detail::simulatedAnswer(asked.protocol, wordsOf());
    const std::string half = body.substr(0, body.size() / 2);
    const std::string head = fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.size());
    switch (settings_.mode) {
      case ModelMode::stalls_midway:
        co_await connection.write(head + half);
        co_await connection.waitForClose();
        co_return false;
      case ModelMode::drips: co_return co_await drip(connection, head + body);
      case ModelMode::closes_early: co_await connection.write(head + half); co_return false;
      case ModelMode::ends_early: co_await connection.answer(half); co_return true;
      case ModelMode::breaks_chunks:
        co_await connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + body);
        co_return false;
      case ModelMode::says_no_json: co_await connection.answer("{\"choices\": oops"); co_return true;
      case ModelMode::overloaded_inside:
      case ModelMode::fails_midway:
        body = detail::simulatedFault(asked.protocol, "overloaded_error", "busy").dump();
        break;
      default: break;
    }
    co_await connection.answer(body, "Content-Type: application/json\r\n");
    co_return true;
  }

  static std::string chunk(std::string_view bytes) {
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  }

  asio::awaitable<bool> streamAnswer(Connection& connection, const Asked& asked) {
    const detail::SimulatedEvents events(asked.protocol, wordsOf());
    const std::string head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::string lastChunk = "0\r\n\r\n";
    switch (settings_.mode) {
      case ModelMode::drips: co_return co_await drip(connection, head + chunk(events.beginning()));
      case ModelMode::breaks_chunks: co_await connection.write(head + "zz\r\nno chunk"); co_return false;
      case ModelMode::says_no_json:
        co_await connection.write(head + chunk("event: message_delta\ndata: {oops\n\n") + lastChunk);
        co_return true;
      case ModelMode::overloaded_inside:
        co_await connection.write(head + chunk(events.beginning() + events.fault("overloaded_error")) +
                                  lastChunk);
        co_return true;
      default: break;
    }
    co_await connection.write(head + chunk(events.beginning() + events.piece(first)));
    switch (settings_.mode) {
      case ModelMode::stalls_midway: co_await connection.waitForClose(); co_return false;
      case ModelMode::closes_early: co_await readerHasIt(connection); co_return false;
      case ModelMode::ends_early:
        co_await readerHasIt(connection);
        co_await connection.write(lastChunk);
        co_return true;
      case ModelMode::fails_midway:
        co_await readerHasIt(connection);
        co_await connection.write(chunk(events.fault("overloaded_error")) + lastChunk);
        co_return true;
      default: break;
    }
    co_await connection.write(chunk(events.piece(rest) + events.end()) + lastChunk);
    co_return true;
  }

  // What comes together with the first word is seen before anybody has heard that; so the router hears the
  // first word alone. Nothing here can tell when it has: the test says so.
  asio::awaitable<void> readerHasIt(Connection& connection) {
    while (!heard_.load()) co_await connection.pause(std::chrono::milliseconds(1));
  }

  asio::awaitable<bool> drip(Connection& connection, std::string bytes) {
    for (const char byte : bytes) {
      co_await connection.write(std::string(1, byte));
      co_await connection.pause(std::chrono::milliseconds(50));
    }
    co_return true;
  }

  // A gzip file whose only block is stored as it is (RFC 1951, section 3.2.4; RFC 1952): no compressor
  // needed.
  static std::string gzipOf(std::string_view bytes) {
    std::uint32_t sum = 0xFFFFFFFFU;
    for (const char c : bytes) {
      sum ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1U) ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
    }
    const auto little = [](std::uint32_t value, int count) {
      std::string text;
      for (int i = 0; i < count; ++i)
        text += static_cast<char>((value >> (8 * static_cast<unsigned>(i))) & 0xFFU);
      return text;
    };
    const auto size = static_cast<std::uint32_t>(bytes.size());
    return std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01", 11) + little(size, 2) +
           little(~size & 0xFFFFU, 2) + std::string(bytes) + little(~sum, 4) + little(size, 4);
  }

  static asio::awaitable<void> writeCompressed(Connection& connection, const Asked& asked) {
    const detail::SimulatedEvents events(asked.protocol, wordsOf());
    const std::string body = asked.stream ? events.beginning() + events.piece(words) + events.end()
                                          : detail::simulatedAnswer(asked.protocol, wordsOf());
    co_await connection.answer(gzipOf(body), "Content-Encoding: gzip\r\n");
  }

  const ModelServerSettings settings_;
  std::atomic<bool> heard_ = false;
  HttpTestServer server_;  // last: its thread uses what stands above

 public:
  // The first word of a stream has arrived.
  void firstWordIsHeard() noexcept { heard_.store(true); }
};

}  // namespace lukhas::test
