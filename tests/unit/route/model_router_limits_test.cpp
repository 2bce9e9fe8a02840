// Limits of the router: places at a model, the queue, the retry budget and the sizes of answers.
#include "lukhas/route/model_router.hpp"

#include <deque>

#include "unit/route/router_world.hpp"

using namespace std::chrono_literals;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;
using nlohmann::json;

namespace {

void oneAtATime(ModelDescription& model) { model.maxConcurrent = 1; }

}  // namespace

TEST_CASE("a model at its maxConcurrent is passed over", "[route]") {
  RouterFixture f(0);
  f.add("a", [](ModelDescription& model) { model.maxConcurrent = 2; }).latency(5s, 5s);
  f.add("b");
  std::deque<Ending> endings(3);
  for (Ending& ending : endings) f.start(ending);
  f.world.run();
  int answeredByB = 0;
  for (const Ending& ending : endings) answeredByB += ending.model == "b" ? 1 : 0;
  CHECK(answeredByB == 1);
  CHECK(f.served("a").mostAtOnce() == 2);
}

TEST_CASE("requests wait for the only model in the order in which they came", "[route]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    RouterFixture f(0, {}, seed);
    f.add("a", oneAtATime).latency(1s, 1s);
    std::deque<Ending> endings(5);
    for (Ending& ending : endings) {
      f.start(ending);
      f.world.runFor(1ms);
    }
    f.world.run();
    for (std::size_t i = 0; i < endings.size(); ++i) {
      CHECK(endings[i].took == (i + 1) * 1s - i * 1ms);
      CHECK(endings[i].attempts == 1);
    }
    CHECK(f.served("a").mostAtOnce() == 1);
  }
}

TEST_CASE("a place that is free goes to whoever waits and not to whoever comes", "[route]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    RouterFixture f(0, {}, seed);
    f.add("a", oneAtATime).latency(1s, 1s);
    Ending first;
    Ending waiting;
    Ending late;
    f.start(first);
    f.start(waiting);
    f.world.runFor(1s - 1ns);
    f.start(late);  // enters somewhere among the steps that hand the place over
    f.world.run();
    CHECK(std::max(first.took, waiting.took) == 2s);
    CHECK(late.took == 2s + 1ns);
  }
}

TEST_CASE("a wait for a place ends while an attempt would still have time", "[route]") {
  RouterFixture f(0);
  f.add("a", [](ModelDescription& model) {
     model.maxConcurrent = 1;
     model.timeout = 60s;
   }).latency(40s, 40s);
  Ending holding;
  Ending waiting;
  f.start(holding);
  f.world.runFor(10s);
  f.served("a").latency(0s, 0s);
  f.start(waiting);
  f.world.run();
  CHECK(holding.took == 30s);  // the deadline
  CHECK(waiting.model == "a");
  CHECK(waiting.took == 20s);
  f.served("a").latency(40s, 40s);
  f.start(holding);
  f.world.runFor(50ms);
  f.start(waiting);
  f.world.run();
  CHECK(waiting.error == RouteErrc::deadline_exceeded);
  CHECK(waiting.took == 29'900ms);
  CHECK(waiting.details.at("attempts").empty());
}

TEST_CASE("one request more than the queue holds is refused", "[route]") {
  RouterFixture f(0, [](ModelRouterOptions& options) { options.maxQueued = 2; });
  f.add("a", oneAtATime).latency(1s, 1s);
  std::deque<Ending> endings(4);
  for (Ending& ending : endings) {
    f.start(ending);
    f.world.runFor(1ms);
  }
  CHECK(f.router->getMetrics().queuedRequests == 2);
  CHECK_FALSE(f.router->healthCheck().healthy);
  f.world.run();
  CHECK(endings[2].model == "a");
  CHECK(endings[3].error == RouteErrc::overloaded);
  CHECK(endings[3].took == 0ns);
  CHECK(endings[3].details.at("maximum") == 2);
}

TEST_CASE("a cancelled waiter leaves the queue and its place goes on", "[route]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    RouterFixture f(0, {}, seed);
    f.add("a", oneAtATime).latency(1s, 1s);
    Ending holding;
    Ending cancelled;
    Ending last;
    asio::cancellation_signal signal;
    f.start(holding);
    f.world.runFor(1ms);
    lukhas::RouteRequest request("req-2", lukhas::test::helloContext(), {"chat"});
    f.world.spawn(lukhas::test::routeInto(f.world.environment(), *f.router, request, cancelled), signal);
    f.world.runFor(1ms);
    f.start(last);
    f.world.runFor(998ms - 1ns);
    for (std::uint64_t steps = seed % 25; steps > 0; --steps) f.world.step();  // around the hand-over
    signal.emit(asio::cancellation_type::terminal);
    f.world.run();
    REQUIRE(cancelled.ended);
    REQUIRE(last.model == "a");
    CHECK(last.took <= 3s);
    CHECK(f.router->getMetrics().queuedRequests == 0);
    CHECK(f.served("a").mostAtOnce() == 1);
    CHECK(f.ask().took == 1s);  // the place is free
  }
}

TEST_CASE("a model that is registered serves requests that wait already", "[route]") {
  RouterFixture f(0);
  f.add("a", oneAtATime).latency(9s, 9s);
  Ending holding;
  Ending waiting;
  f.start(holding);
  f.world.runFor(1s);
  f.start(waiting);
  f.world.runFor(1s);
  f.add("b");
  f.world.run();
  CHECK(waiting.model == "b");
  CHECK(waiting.took == 1s);
}

TEST_CASE("requests that wait for a model which is unregistered do not wait any longer", "[route]") {
  RouterFixture f(0);
  f.add("a", oneAtATime).latency(9s, 9s);
  Ending holding;
  Ending waiting;
  f.start(holding);
  f.world.runFor(1s);
  f.start(waiting);
  f.world.runFor(1s);
  f.router->unregisterModel("a");
  f.world.run();
  CHECK(holding.model == "a");
  CHECK(waiting.error == RouteErrc::no_capable_model);
  CHECK(waiting.took == 1s);
}

TEST_CASE("a spent retry budget leaves one attempt for each request", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) {
    options.budget = {.capacity = 12, .perRetry = 5, .perTimeout = 10, .perSuccess = 1};
  });
  f.served("a").failNext(3, 503);
  CHECK(f.ask().model == "b");
  CHECK(f.ask().model == "b");
  CHECK(f.router->getMetrics().retryTokens == 4);
  const Ending spent = f.ask();
  CHECK(spent.error == RouteErrc::retry_budget_spent);
  CHECK(spent.failedAt() == std::vector<std::string>{"a"});
  CHECK(f.ask().model == "a");  // a success gives back
  f.served("a").failNext(1, 503);
  CHECK(f.ask().model == "b");
}

TEST_CASE("a further attempt after a time-out costs more", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) { options.budget.capacity = 9; });
  f.served("a").stall();
  CHECK(f.ask().error == RouteErrc::retry_budget_spent);
}

TEST_CASE("an answer at its bound is read and one byte more is refused", "[route]") {
  for (const std::size_t room : {std::size_t{0}, std::size_t{1}}) {
    const std::string empty = R"({"choices":[{"message":{"role":"assistant","content":""}}]})";
    const std::string words(2048 - empty.size() + room, 'x');
    json body = json::parse(empty);
    body["choices"][0]["message"]["content"] = words;
    RouterFixture f(1, [](ModelRouterOptions& options) { options.maxReplyBytes = 2048; });
    f.served("a").failNext(1, 200, {}, body.dump()).slow(0s, 100);
    REQUIRE(body.dump().size() == 2048 + room);
    const Ending ending = f.ask();
    CHECK(ending.text.empty() == (room == 1));
    if (room == 1) {
      CHECK(ending.error == RouteErrc::body_too_large);
    }
  }
}

TEST_CASE("of the body of an error only its beginning is read", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) { options.maxErrorBytes = 100; });
  f.served("a").failNext(1, 400, {}, std::string(1'000'000, 'x')).slow(1ms, 50);
  const Ending ending = f.ask();
  CHECK(ending.error == RouteErrc::model_refused);
  CHECK(ending.took == 2ms);
  CHECK(ending.details.dump().size() < 1000);
}
