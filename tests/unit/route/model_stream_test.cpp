#include "lukhas/route/model_stream.hpp"

#include "unit/route/stream_world.hpp"

namespace model_stream_test {
using namespace std::chrono_literals;
using lukhas::CircuitState;
using lukhas::Errc;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::test::RouterFixture;
using lukhas::test::startStream;
using lukhas::test::stream;
using lukhas::test::StreamEnding;

namespace {

void oneFailureOpens(ModelRouterOptions& options) {
  options.breaker = {.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1};
}

}  // namespace

TEST_CASE("a stream gives the same words in pieces and then why it ended and what it cost", "[route]") {
  for (const std::size_t pieceBytes : {1U, 2U, 7U, 100U, 1'000'000U}) {
    RouterFixture f(1);
    f.served("a").reply("one two  three").slow(0s, pieceBytes);
    const StreamEnding ending = stream(f);
    CHECK(ending.model == "a");
    CHECK(ending.text == "one two  three");
    CHECK(ending.deltas == 7);  // the first one only names the role
    CHECK(ending.finishReason == "stop");
    CHECK(ending.totalTokens == 4);
    CHECK_FALSE(ending.error);
    CHECK(f.router->getMetrics().successfulRequests == 1);
  }
}

TEST_CASE("a stream whose first event is an error is answered by the next model", "[route]") {
  RouterFixture f(2, oneFailureOpens);
  f.served("a").overloadStreams(1);
  const StreamEnding ending = stream(f);
  CHECK(ending.model == "b");
  CHECK(ending.text == "from b");
  CHECK(ending.attempts == 2);
  CHECK(f.router->circuit("a") == CircuitState::open);
  CHECK(f.router->getMetrics().failovers == 1);
}

TEST_CASE("before its first content a stream fails over whatever went wrong", "[route]") {
  const std::vector<std::function<void(lukhas::SimulatedModel&)>> ways{
      [](lukhas::SimulatedModel& a) { a.failNext(1, 503); },
      [](lukhas::SimulatedModel& a) { a.failNext(1, 429); },
      [](lukhas::SimulatedModel& a) { a.failNext(1, 200, {}, "<html>"); },
      [](lukhas::SimulatedModel& a) { a.failNext(1, 200, {}, "data: {\"choices\": 7\n\n"); },
      [](lukhas::SimulatedModel& a) { a.refuse(); },
      [](lukhas::SimulatedModel& a) { a.stall(); },
      [](lukhas::SimulatedModel& a) { a.endStreamsEarly(1, 0); },
      [](lukhas::SimulatedModel& a) { a.stallStreams(1, 0); },
      [](lukhas::SimulatedModel& a) { a.failStreams(1, 0); },
      [](lukhas::SimulatedModel& a) { a.slow(1s, 1); },
  };
  for (std::size_t i = 0; i < ways.size(); ++i) {
    INFO("way " << i);
    RouterFixture f(2);
    ways[i](f.served("a"));
    const StreamEnding ending = stream(f);
    CHECK(ending.model == "b");
    CHECK(ending.text == "from b");
    CHECK(ending.took <= 10s);
  }
}

TEST_CASE("a stream that breaks after its first content ends in an error that tells what came", "[route]") {
  struct Row {
    std::function<void(lukhas::SimulatedModel&)> breakIt;
    std::string cause;
    lukhas::Duration took;
  };
  const std::vector<Row> table{
      {[](lukhas::SimulatedModel& a) { a.endStreamsEarly(1, 2); }, "invalid_reply", 0s},
      {[](lukhas::SimulatedModel& a) { a.failStreams(1, 2); }, "model_failed", 0s},
      {[](lukhas::SimulatedModel& a) { a.stallStreams(1, 2); }, "attempt_timed_out", 20s},
  };
  for (const Row& row : table) {
    INFO(row.cause);
    RouterFixture f(2, oneFailureOpens);
    row.breakIt(f.served("a").reply("one two three four").slow(0s, 60));
    const StreamEnding ending = stream(f);
    CHECK(ending.begun);
    CHECK(ending.error == RouteErrc::stream_interrupted);
    CHECK(ending.text == "one two ");
    CHECK(ending.details.at("text") == "one two ");
    CHECK(ending.details.at("textCut") == false);
    CHECK(ending.details.at("cause") == row.cause);
    CHECK(ending.details.at("modelId") == "a");
    CHECK(ending.details.at("attempts").size() == 1);
    CHECK(ending.took == row.took);
    CHECK(f.router->circuit("a") == CircuitState::open);
    CHECK(f.served("b").requests() == 0);
    CHECK(f.router->getMetrics().failedRequests == 1);
  }
}

TEST_CASE("a connection that is lost in the middle of a stream interrupts it", "[route]") {
  RouterFixture f(2);
  f.served("a").reply("one two three four five six").resetNext(1).slow(0s, 60);
  const StreamEnding ending = stream(f);
  CHECK(ending.error == RouteErrc::stream_interrupted);
  CHECK(ending.details.at("cause") == "connection_lost");
  CHECK_FALSE(ending.text.empty());
  CHECK(ending.details.at("text") == ending.text);
}

TEST_CASE("of what came the error repeats no more than its bound and no half of a character", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) { options.maxPartialBytes = 5; });
  f.served("a").reply("äöü äöü x").failStreams(1, 2).slow(0s, 60);
  const StreamEnding ending = stream(f);
  CHECK(ending.details.at("text") == "äö");
  CHECK(ending.details.at("textCut") == true);
}

TEST_CASE("the time until the first content has a limit of its own", "[route]") {
  RouterFixture f(0);
  f.add("a", [](ModelDescription& model) { model.firstTokenTimeout = 2s; }).stall();
  f.add("b");
  const StreamEnding ending = stream(f);
  CHECK(ending.model == "b");
  CHECK(ending.took == 2s);
}

TEST_CASE("a stream may last longer than the deadline as long as something comes", "[route]") {
  RouterFixture f(1);
  f.served("a").reply("a b c d e f g h i j").slow(2s, 70);
  const StreamEnding ending = stream(f);
  CHECK_FALSE(ending.error);
  CHECK(ending.text == "a b c d e f g h i j");
  CHECK(ending.took > 30s);
  CHECK(ending.firstAfter < 10s);
}

TEST_CASE("bytes that are no content do not keep a stream alive", "[route]") {
  RouterFixture f(1);
  f.served("a").reply("one two").slow(3s, 200);
  f.served("a").failNext(1, 200, {},
                         "data: {\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\n" +
                             std::string(200 * 100, ':') + "\n\ndata: [DONE]\n\n");
  const StreamEnding ending = stream(f);
  CHECK(ending.error == RouteErrc::stream_interrupted);
  CHECK(ending.details.at("cause") == "attempt_timed_out");
  CHECK(ending.took == 23s);
}

TEST_CASE("a slow reader is not held against the model and keeps nothing but its own stream", "[route]") {
  RouterFixture f(1, oneFailureOpens);
  f.served("a").reply("one two three").slow(0s, 60);
  const StreamEnding ending = stream(f, 1h);
  CHECK_FALSE(ending.error);
  CHECK(ending.text == "one two three");
  CHECK(f.router->circuit("a") == CircuitState::closed);
}

TEST_CASE("a whole stream can be limited and the limit is nobody's fault", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) {
    oneFailureOpens(options);
    options.streamLimit = 15s;
  });
  f.served("a").reply("a b c d e f g h i j").slow(2s, 70);
  const StreamEnding ending = stream(f);
  CHECK(ending.error == RouteErrc::stream_interrupted);
  CHECK(ending.details.at("cause") == "deadline_exceeded");
  CHECK(ending.took == 15s);
  CHECK(f.router->circuit("a") == CircuitState::closed);
}

TEST_CASE("a stream that is abandoned closes its connection and gives its place back", "[route]") {
  RouterFixture f(0, oneFailureOpens);
  f.add("a", [](ModelDescription& model) { model.maxConcurrent = 1; }).reply("one two three").slow(1s, 60);
  const auto abandon = [](RouterFixture& fixture) -> asio::awaitable<void> {
    lukhas::RouteRequest request("req-1", lukhas::test::helloContext());
    {
      lukhas::ModelStream begun = co_await fixture.router->routeStream(std::move(request));
      CHECK(fixture.world.openConnections() == 1);
      CHECK(fixture.router->getMetrics().activeRequests == 1);
    }
    CHECK(fixture.world.openConnections() == 0);
  };
  f.world.spawn(abandon(f));
  f.world.run();
  CHECK(f.router->getMetrics().cancelledRequests == 1);
  CHECK(f.router->getMetrics().activeRequests == 0);
  CHECK(f.router->circuit("a") == CircuitState::closed);
  CHECK(stream(f).text == "one two three");
}

TEST_CASE("a trial whose stream is abandoned leaves the circuit half open with its place free", "[route]") {
  RouterFixture f(1, oneFailureOpens);
  f.served("a").failNext(3, 503);
  (void)f.ask();
  f.world.runFor(60s);
  const auto abandon = [](RouterFixture& fixture) -> asio::awaitable<void> {
    lukhas::RouteRequest request("req-1", lukhas::test::helloContext());
    (void)co_await fixture.router->routeStream(std::move(request));
  };
  f.served("a").recover();
  for (int i = 0; i < 5; ++i) {
    f.world.spawn(abandon(f));
    f.world.run();
    CHECK(f.router->circuit("a") == CircuitState::half_open);
  }
  for (int i = 0; i < 3; ++i) CHECK(stream(f).text == "from a");
  CHECK(f.router->circuit("a") == CircuitState::closed);
}

TEST_CASE("long streams close a circuit although they outlast a trial's time", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) {
    oneFailureOpens(options);
    options.breaker.successThreshold = 1;
  });
  f.served("a").failNext(3, 503);
  (void)f.ask();
  f.world.runFor(60s);
  f.served("a").recover().reply("a b c d e f g h i j k l m n o p q r s t u v w x y z").slow(4s, 160);
  StreamEnding ending;
  startStream(f, ending);
  f.world.runFor(50s);
  CHECK_FALSE(ending.ended);
  CHECK(f.router->circuit("a") == CircuitState::closed);
  f.world.run();
  CHECK(ending.took > 60s);
  CHECK_FALSE(ending.error);
}

TEST_CASE("a caller who cancels while he waits for a delta leaves nothing behind", "[route]") {
  RouterFixture f(1, oneFailureOpens);
  f.served("a").reply("one two three").stallStreams(1, 1);
  StreamEnding ending;
  asio::cancellation_signal signal;
  lukhas::RouteRequest request("req-1", lukhas::test::helloContext());
  f.world.spawn(lukhas::test::streamInto(f.world.environment(), *f.router, request, ending), signal);
  f.world.runFor(3s);
  CHECK(ending.text == "one ");
  signal.emit(asio::cancellation_type::terminal);
  f.world.run();
  CHECK(ending.error == asio::error::operation_aborted);
  CHECK(ending.took == 3s);
  CHECK(f.world.openConnections() == 0);
  CHECK(f.world.elapsed() == 3s);
  CHECK(f.router->getMetrics().cancelledRequests == 1);
  CHECK(f.router->circuit("a") == CircuitState::closed);
}

TEST_CASE("a router that is destroyed ends a stream that waits and one that is asked again", "[route]") {
  for (const bool waiting : {true, false}) {
    RouterFixture f(1);
    f.served("a").reply("one two three").stallStreams(1, 1);
    StreamEnding ending;
    startStream(f, ending, waiting ? 0s : 5s);
    f.world.runFor(3s);
    f.router.reset();
    f.world.run();
    CHECK(ending.error == Errc::closed);
    CHECK(ending.text == (waiting ? "one " : ""));  // the first delta only names the role
    CHECK(ending.took == (waiting ? 3s : 5s));
    CHECK(f.world.openConnections() == 0);
  }
}

TEST_CASE("a stream that has failed or ended says the same again", "[route]") {
  const auto readOn = [](RouterFixture& f, bool broken) -> asio::awaitable<void> {
    lukhas::RouteRequest request("req-1", lukhas::test::helloContext());
    lukhas::ModelStream answer = co_await f.router->routeStream(std::move(request));
    for (int i = 0; i < 10; ++i) {
      std::error_code error;
      bool more = false;
      try {
        more = (co_await answer.next()).has_value();
      } catch (const lukhas::Error& failure) {
        error = failure.code();
      }
      if (i < 5) continue;
      CHECK_FALSE(more);
      CHECK((error == RouteErrc::stream_interrupted) == broken);
    }
  };
  for (const bool broken : {true, false}) {
    RouterFixture f(1);
    if (broken) f.served("a").endStreamsEarly(1, 1);
    f.world.spawn(readOn(f, broken));
    f.world.run();
    CHECK(f.router->getMetrics().totalRequests == 1);
    CHECK(f.router->getMetrics().failedRequests == (broken ? 1U : 0U));
  }
}

TEST_CASE("a classifier of one's own decides and what it throws or accepts wrongly does not", "[route]") {
  using lukhas::AttemptFacts;
  using lukhas::Verdict;
  const auto ask = [](std::function<Verdict(const AttemptFacts&)> classify) {
    RouterFixture f(2, [&classify](ModelRouterOptions& options) { options.classify = classify; });
    f.served("a").failNext(1, 400);
    return f.ask();
  };
  CHECK(ask({}).error == RouteErrc::model_refused);
  const auto failsOver = [](const AttemptFacts& facts) {
    Verdict verdict = lukhas::classifyOutcome(facts);
    if (facts.status == 400) verdict.action = lukhas::RouteAction::fail_over;
    return verdict;
  };
  CHECK(ask(failsOver).model == "b");
  CHECK(ask([](const AttemptFacts&) { return Verdict{}; }).error == RouteErrc::model_refused);
  CHECK(ask([](const AttemptFacts&) -> Verdict { throw 7; }).error == RouteErrc::model_refused);
}

}  // namespace model_stream_test
