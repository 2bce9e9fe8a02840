#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/route/stream_world.hpp"

namespace stream_continuation_test {

using lukhas::ModelDescription;
using lukhas::ModelProtocol;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::test::RouterFixture;
using lukhas::test::stream;
using lukhas::test::StreamEnding;
using nlohmann::json;
using namespace std::chrono_literals;

void goOn(ModelRouterOptions& options) { options.continueStream = lukhas::askToContinue; }

TEST_CASE("a stream that breaks goes on at the next model, which is told what was said", "[route]") {
  for (const int way : {0, 1, 2}) {
    RouterFixture f(2, goOn);
    f.served("a").reply("one two three four").slow(1ms, 40);  // or the error would come with the first words
    if (way == 0) f.served("a").endStreamsEarly(1, 2);
    if (way == 1) f.served("a").failStreams(1, 2);
    if (way == 2) f.served("a").stallStreams(1, 2);
    f.served("b").reply("3 4");
    const StreamEnding ending = stream(f);
    CHECK_FALSE(ending.error);
    CHECK(ending.text == "one two 3 4");
    const json asked = json::parse(f.served("b").lastRequest().body);
    REQUIRE(asked.at("messages").size() == 3);
    CHECK(asked.at("messages")[0] == lukhas::test::helloContext().at("messages")[0]);
    CHECK(asked.at("messages")[1] == json{{"role", "assistant"}, {"content", "one two "}});
    CHECK(asked.at("messages")[2].at("role") == "user");
    const auto metrics = f.router->getMetrics();
    CHECK(metrics.continuations == 1);
    CHECK(metrics.successfulRequests == 1);
    CHECK(metrics.failedRequests == 0);
    CHECK(metrics.failovers == 1);
  }
}

TEST_CASE("a continuation may speak the other protocol", "[route]") {
  RouterFixture f(1, goOn);
  f.served("a").reply("one two").endStreamsEarly(1, 1);
  f.add("b", [](ModelDescription& model) { model.protocol = ModelProtocol::anthropic; })
      .speaks(ModelProtocol::anthropic)
      .reply("2");
  CHECK(stream(f).text == "one 2");
  const json asked = json::parse(f.served("b").lastRequest().body);
  CHECK(asked.at("messages")[1].at("content")[0].at("text") == "one ");
}

TEST_CASE("all breaks of one stream stay within its attempts", "[route]") {
  RouterFixture f(3, goOn);
  for (const char* const id : {"a", "b", "c"}) f.served(id).reply("x y z").endStreamsEarly(5, 1);
  const StreamEnding ending = stream(f);
  CHECK(ending.error == RouteErrc::stream_interrupted);
  CHECK(ending.text == "x x x ");
  CHECK(ending.details.at("text") == "x x x ");
  CHECK(ending.details.at("attempts").size() == 3);
  const auto metrics = f.router->getMetrics();
  CHECK(metrics.attempts == 3);
  CHECK(metrics.continuations == 2);
  CHECK(metrics.failedRequests == 1);
}

TEST_CASE("a stream that nobody can go on with is interrupted, and all attempts are told", "[route]") {
  RouterFixture f(2, goOn);
  f.served("a").reply("one two").endStreamsEarly(1, 1);
  f.served("b").failNext(1, 400);
  const StreamEnding ending = stream(f);
  CHECK(ending.error == RouteErrc::stream_interrupted);
  CHECK(ending.details.at("text") == "one ");
  REQUIRE(ending.details.at("attempts").size() == 2);
  CHECK(ending.details.at("attempts")[1].at("model") == "b");
  CHECK(ending.details.at("cause") == "invalid_reply");
}

TEST_CASE("a stream whose text was not kept whole is not gone on with", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) {
    options.continueStream = lukhas::askToContinue;
    options.maxPartialBytes = 5;
  });
  f.served("a").reply("one two three").endStreamsEarly(1, 2);
  const StreamEnding ending = stream(f);
  CHECK(ending.error == RouteErrc::stream_interrupted);
  CHECK(f.served("b").requests() == 0);
}

TEST_CASE("a continuation that cannot be written interrupts the stream", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) {
    options.continueStream = [](const json&, const std::string&) -> json { throw std::runtime_error("no"); };
  });
  f.served("a").reply("one two").endStreamsEarly(1, 1);
  CHECK(stream(f).error == RouteErrc::stream_interrupted);
  CHECK(f.served("b").requests() == 0);
}

TEST_CASE("a caller who leaves while a stream is gone on with leaves nothing behind", "[route]") {
  for (const bool destroyed : {true, false}) {
    RouterFixture f(2, goOn);
    f.served("a").reply("one two").endStreamsEarly(1, 1);
    f.served("b").stall();
    StreamEnding ending;
    asio::cancellation_signal signal;
    f.world.spawn(streamInto(f.world.environment(), *f.router,
                             lukhas::RouteRequest("req-1", lukhas::test::helloContext()), ending),
                  signal);
    f.world.runFor(1s);
    CHECK(f.world.openConnections() == 1);
    if (destroyed) {
      f.router.reset();
    } else {
      signal.emit(asio::cancellation_type::terminal);
    }
    f.world.run();
    CHECK(f.world.openConnections() == 0);
    if (destroyed) CHECK(ending.error == lukhas::Errc::closed);
    if (!destroyed) {
      CHECK(f.router->getMetrics().activeRequests == 0);
      CHECK(f.router->getMetrics().cancelledRequests == 1);
    }
  }
}

TEST_CASE("without the option a stream that breaks is interrupted", "[route]") {
  RouterFixture f(2);
  f.served("a").reply("one two").endStreamsEarly(1, 1);
  CHECK(stream(f).error == RouteErrc::stream_interrupted);
  CHECK(f.served("b").requests() == 0);
}

}  // namespace stream_continuation_test
