// Everything that an endpoint can do to a request, over real sockets: in both protocols, whole and as a
// stream, with a healthy model beside it and without.
#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio.hpp>

#include "lukhas/http/curl_transport.hpp"
#include "lukhas/route/model_router.hpp"
#include "support/catch.hpp"
#include "support/model_server.hpp"

namespace model_modes_test {

using lukhas::Error;
using lukhas::ModelDescription;
using lukhas::ModelProtocol;
using lukhas::RouteErrc;
using lukhas::test::ModelMode;
using lukhas::test::ModelServer;
using lukhas::test::ServerCounts;
using nlohmann::json;
using namespace std::chrono_literals;

const std::string key = "sk-known-secret-0123456789abcdef";

// What is expected of a mode: how the attempt at it ends, and whether a stream breaks after its first word.
struct Expected {
  ModelMode mode;
  std::optional<RouteErrc> whole;
  std::optional<RouteErrc> streamed;
  bool interrupts = false;
  bool hangs = false;  // only the router's limits end it
};

const std::vector<Expected> table{
    {ModelMode::answers, {}, {}},
    {ModelMode::answers_compressed, {}, {}},
    {ModelMode::stalls_before_headers, RouteErrc::attempt_timed_out, RouteErrc::attempt_timed_out, false,
     true},
    {ModelMode::stalls_midway, RouteErrc::attempt_timed_out, RouteErrc::attempt_timed_out, true, true},
    {ModelMode::drips, RouteErrc::attempt_timed_out, RouteErrc::attempt_timed_out, false, true},
    {ModelMode::resets, RouteErrc::connection_lost, RouteErrc::connection_lost},
    {ModelMode::closes_early, RouteErrc::connection_lost, RouteErrc::connection_lost, true},
    {ModelMode::ends_early, RouteErrc::invalid_reply, RouteErrc::invalid_reply, true},
    {ModelMode::breaks_chunks, RouteErrc::bad_http, RouteErrc::bad_http},
    {ModelMode::says_no_json, RouteErrc::invalid_reply, RouteErrc::invalid_reply},
    {ModelMode::endless_headers, RouteErrc::headers_too_large, RouteErrc::headers_too_large},
    {ModelMode::throttles, RouteErrc::throttled, RouteErrc::throttled},
    {ModelMode::overloaded, RouteErrc::model_failed, RouteErrc::model_failed},
    {ModelMode::overloaded_inside, RouteErrc::model_failed, RouteErrc::model_failed},
    {ModelMode::fails_midway, RouteErrc::model_failed, RouteErrc::model_failed, true},
    {ModelMode::wrong_content_type, RouteErrc::invalid_reply, RouteErrc::invalid_reply},
    {ModelMode::redirects, RouteErrc::wrong_endpoint, RouteErrc::wrong_endpoint},
    {ModelMode::refuses_key, RouteErrc::access_refused, RouteErrc::access_refused},
};

struct Outcome {
  std::optional<RouteErrc> error;
  json details = json::object();
  std::string text;
  std::string model;
  std::string told;  // all that anybody can read of it
  std::chrono::steady_clock::duration took{};
};

asio::awaitable<void> ask(lukhas::ModelRouter& router, ModelServer& faulty, bool streamed, Outcome& outcome) {
  try {
    json context;
    context["messages"] = json::array({{{"role", "user"}, {"content", "Hello"}}});
    lukhas::RouteRequest request("req-1", std::move(context));
    if (!streamed) {
      const lukhas::ModelReply reply = co_await router.route(std::move(request));
      outcome.text = reply.text();
      outcome.model = reply.model;
      co_return;
    }
    lukhas::ModelStream stream = co_await router.routeStream(std::move(request));
    outcome.model = stream.model();
    for (;;) {
      const std::optional<lukhas::ModelDelta> delta = co_await stream.next();
      if (!delta) co_return;
      outcome.text += delta->text;
      if (!outcome.text.empty()) faulty.firstWordIsHeard();
    }
  } catch (const Error& error) {
    REQUIRE(error.code().category() == make_error_code(RouteErrc{}).category());
    outcome.error = static_cast<RouteErrc>(error.code().value());
    outcome.details = error.details();
    outcome.told += error.what() + error.details().dump();
  }
}

struct Case {
  ModelProtocol protocol = ModelProtocol::openai;
  bool streamed = false;
  bool hasSecond = false;
};

ModelDescription describe(const char* id, const ModelServer& server, ModelProtocol protocol, int priority) {
  ModelDescription model;
  model.id = id;
  model.url = server.url();
  model.protocol = protocol;
  model.priority = priority;
  model.apiKey = [] { return key; };
  return model;
}

Outcome run(ModelServer& faulty, const Case& which, bool hangs) {
  ModelServer healthy;
  asio::io_context io;
  const lukhas::Environment environment{io.get_executor()};
  Outcome outcome;
  const auto began = std::chrono::steady_clock::now();
  {
    lukhas::ModelRouterOptions options{.transport = lukhas::CurlTransport::create(environment)};
    options.maxAttempts = 2;
    options.retry.firstDelay = 1ms;
    lukhas::ModelRouter router(environment, options);
    const auto listen = [&outcome](const auto& event) {
      std::ostringstream words;
      words << event;
      outcome.told += words.str();
    };
    const auto failovers = router.onFailover.connect(listen);
    const auto retries = router.onRetry.connect(listen);
    const auto opens = router.onCircuitOpen.connect(listen);
    ModelDescription first = describe("first", faulty, which.protocol, 2);
    if (hangs) first.timeout = first.betweenTokensTimeout = 300ms;
    router.registerModel(first);
    if (which.hasSecond) router.registerModel(describe("second", healthy, which.protocol, 1));

    asio::co_spawn(io, ask(router, faulty, which.streamed, outcome), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
    io.run_for(60s);
    REQUIRE(io.stopped());
    outcome.took = std::chrono::steady_clock::now() - began;
    outcome.told += router.getMetrics().toJson().dump() + router.healthCheck().toJson().dump();
    CHECK(router.getMetrics().activeRequests == 0);
    // Whatever the endpoint still wanted to say: its connection is closed, and not only when the router goes.
    if (hangs)
      CHECK(faulty.http().sees([](const ServerCounts& counts) { return counts.openConnections == 0; }));
  }
  CHECK(faulty.http().sees([](const ServerCounts& counts) { return counts.openConnections == 0; }));
  return outcome;
}

void check(const Expected& expected, const Case& which) {
  INFO(toString(expected.mode) << (which.protocol == ModelProtocol::anthropic ? ", anthropic" : ", openai")
                               << (which.streamed ? ", stream" : ", whole")
                               << (which.hasSecond ? ", with a second model" : ", alone"));
  ModelServer elsewhere;
  ModelServer faulty({expected.mode, "Retry-After: 0\r\n", elsewhere.url() + "/chat/completions"});
  const Outcome outcome = run(faulty, which, expected.hangs);
  INFO(outcome.told);
  CHECK(outcome.told.find(key) == std::string::npos);
  CHECK(elsewhere.http().counts().connections == 0);
  CHECK(outcome.took < 20s);

  const std::optional<RouteErrc> fault = which.streamed ? expected.streamed : expected.whole;
  if (!fault) {
    CHECK_FALSE(outcome.error);
    CHECK(outcome.model == "first");
    CHECK(outcome.text == ModelServer::words);
    return;
  }
  if (which.streamed && expected.interrupts) {
    CHECK(outcome.error == RouteErrc::stream_interrupted);
    CHECK(outcome.details.value("text", json()) == ModelServer::first);
    CHECK(outcome.details.value("cause", json()) == toString(*fault));
    CHECK(outcome.text == ModelServer::first);
    return;
  }
  if (which.hasSecond) {
    CHECK_FALSE(outcome.error);
    CHECK(outcome.model == "second");
    CHECK(outcome.text == ModelServer::words);
    return;
  }
  REQUIRE(outcome.error);
  REQUIRE(outcome.details.contains("attempts"));
  for (const json& attempt : outcome.details.at("attempts")) {
    CHECK(attempt.at("model") == "first");
    CHECK(attempt.at("outcome") == toString(*fault));
  }
  const bool asksAgain = outcome.error == RouteErrc::attempts_exhausted;
  CHECK(outcome.details.at("attempts").size() == (asksAgain ? 2 : 1));
  if (!asksAgain) CHECK(outcome.error == fault);
}

void checkTable(ModelProtocol protocol, bool streamed) {
  for (const Expected& expected : table) {
    for (const bool hasSecond : {true, false}) check(expected, {protocol, streamed, hasSecond});
  }
}

TEST_CASE("an endpoint of OpenAI's protocol goes wrong in every way", "[route]") {
  checkTable(ModelProtocol::openai, false);
}

TEST_CASE("a stream of OpenAI's protocol goes wrong in every way", "[route]") {
  checkTable(ModelProtocol::openai, true);
}

TEST_CASE("an endpoint of Anthropic's protocol goes wrong in every way", "[route]") {
  checkTable(ModelProtocol::anthropic, false);
}

TEST_CASE("a stream of Anthropic's protocol goes wrong in every way", "[route]") {
  checkTable(ModelProtocol::anthropic, true);
}

TEST_CASE("each way in which a model asks to be left alone is understood", "[route]") {
  struct Asked {
    const char* headers;
    bool soon;  // the second attempt follows within the request
  };
  const Asked asked[] = {
      {"Retry-After: 0\r\n", true},
      {"Retry-After: 0.01\r\n", true},
      {"retry-after-ms: 1.5\r\n", true},
      {"retry-after-ms: 2\r\nRetry-After: 3600\r\n", true},
      {"Retry-After: -5\r\n", true},                             // not used
      {"Retry-After: soon\r\n", true},                           // not used
      {"Retry-After: Thu, 01 Jan 1970 00:00:00 GMT\r\n", true},  // over
      {"", true},
      {"Retry-After: 3600\r\n", false},
      {"Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n", false},
  };
  for (const Asked& one : asked) {
    INFO(one.headers);
    ModelServer faulty({ModelMode::throttles, one.headers, {}});
    const Outcome outcome = run(faulty, {ModelProtocol::openai, false, false}, false);
    CHECK(outcome.error == (one.soon ? RouteErrc::attempts_exhausted : RouteErrc::throttled));
    CHECK(faulty.http().counts().requests == (one.soon ? 2 : 1));
    if (!one.soon) CHECK(outcome.details.at("retryAfterMs") > 1000);
    CHECK(outcome.took < 15s);
  }
}

}  // namespace model_modes_test
