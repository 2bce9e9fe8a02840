#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/route/stream_world.hpp"

namespace model_router_hedge_test {

using lukhas::CircuitState;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::RouteRequest;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;
using lukhas::test::StreamEnding;
using namespace std::chrono_literals;

void hedgeAfter200ms(ModelRouterOptions& options) { options.hedgeDelay = 200ms; }

RouteRequest idempotent() {
  return std::move(RouteRequest("req-1", lukhas::test::helloContext(), {"chat"}).idempotent());
}
void start(RouterFixture& f, Ending& ending, RouteRequest request = idempotent()) {
  f.world.spawn(routeInto(f.world.environment(), *f.router, std::move(request), ending));
}
Ending ask(RouterFixture& f, RouteRequest request = idempotent()) {
  Ending ending;
  start(f, ending, std::move(request));
  f.world.run();
  REQUIRE(ending.ended);
  CHECK(f.world.openConnections() == 0);
  CHECK(f.router->getMetrics().activeRequests == 0);
  return ending;
}

TEST_CASE("a slow model is hedged, the first answer counts, and the other attempt is ended", "[route]") {
  RouterFixture f(2, hedgeAfter200ms);
  f.served("a").latency(5s, 5s);
  std::vector<std::string> told;
  const auto subscription = f.router->onHedge.connect([&](const lukhas::HedgeEvent& event) {
    told.push_back(event.slow + event.modelId + std::to_string(event.attempt));
  });
  const Ending ending = ask(f);
  CHECK(ending.model == "b");
  CHECK(ending.took == 200ms);
  CHECK(ending.attempts == 2);
  CHECK(told == std::vector<std::string>{"ab2"});
  const auto metrics = f.router->getMetrics();
  CHECK(metrics.attempts == 2);
  CHECK(metrics.hedges == 1);
  CHECK(metrics.hedgeWins == 1);
  CHECK(metrics.modelAttempts.at("a") == 1);
  CHECK(metrics.retryTokens < f.router->getMetrics().retryTokens + 1);
  CHECK(f.router->circuit("a") == CircuitState::closed);
}

TEST_CASE("the hedged model may still be the first to answer", "[route]") {
  RouterFixture f(2, hedgeAfter200ms);
  f.served("a").latency(300ms, 300ms);
  f.served("b").latency(5s, 5s);
  const Ending ending = ask(f);
  CHECK(ending.model == "a");
  CHECK(ending.took == 300ms);
  CHECK(f.router->getMetrics().hedges == 1);
  CHECK(f.router->getMetrics().hedgeWins == 0);
}

TEST_CASE("nothing is hedged that answers in time, is not idempotent, or has nobody beside it", "[route]") {
  RouterFixture f(2, hedgeAfter200ms);
  CHECK(ask(f).model == "a");
  f.served("a").latency(1s, 1s);
  CHECK(ask(f, RouteRequest("req-1", lukhas::test::helloContext(), {"chat"})).took == 1s);
  RouterFixture alone(1, hedgeAfter200ms);
  alone.served("a").latency(1s, 1s);
  CHECK(ask(alone).took == 1s);
  RouterFixture once(2, [](ModelRouterOptions& options) {
    options.hedgeDelay = 200ms;
    options.maxAttempts = 1;
  });
  once.served("a").latency(1s, 1s);
  CHECK(ask(once).took == 1s);
  RouterFixture broke(2, [](ModelRouterOptions& options) {
    options.hedgeDelay = 200ms;
    options.budget.capacity = 1;
  });
  broke.served("a").latency(1s, 1s);
  CHECK(ask(broke).took == 1s);
  RouterFixture open(2, hedgeAfter200ms);
  open.served("a").latency(1s, 1s);
  open.router->breaker("b")->forceOpen();
  CHECK(ask(open).took == 1s);
  for (RouterFixture* const fixture : {&f, &alone, &once, &broke, &open})
    CHECK(fixture->router->getMetrics().hedges == 0);
}

TEST_CASE("when one of two fails the other one is waited for", "[route]") {
  RouterFixture f(2, hedgeAfter200ms);
  f.served("a").latency(1s, 1s);
  f.served("b").failNext(1, 503);
  const Ending slow = ask(f);
  CHECK(slow.model == "a");
  CHECK(slow.took == 1s);
  CHECK(slow.attempts == 2);
  f.served("a").failNext(1, 503);
  f.served("b").latency(2s, 2s);
  const Ending other = ask(f);
  CHECK(other.model == "b");
  CHECK(other.took == 2200ms);
}

TEST_CASE("when both fail the request goes on to the third", "[route]") {
  RouterFixture f(3, hedgeAfter200ms);
  f.served("a").latency(1s, 1s).failNext(1, 503);
  f.served("b").latency(1s, 1s).failNext(1, 503);
  const Ending ending = ask(f);
  CHECK(ending.model == "c");
  CHECK(ending.attempts == 3);
}

TEST_CASE("when both stall the request ends in time", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) {
    options.hedgeDelay = 200ms;
    options.maxAttempts = 2;
  });
  f.served("a").stall();
  f.served("b").stall();
  const Ending ending = ask(f);
  CHECK(ending.error == RouteErrc::attempts_exhausted);
  CHECK(ending.took <= 10'500ms);
  CHECK(ending.failedAt() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("streams are hedged until their first content", "[route]") {
  RouterFixture f(2, hedgeAfter200ms);
  f.served("a").latency(5s, 5s);
  f.served("b").reply("one two");
  StreamEnding ending;
  f.world.spawn(streamInto(f.world.environment(), *f.router, idempotent(), ending));
  f.world.run();
  CHECK(ending.text == "one two");
  CHECK(ending.model == "b");
  CHECK(ending.firstAfter == 200ms);
  CHECK(f.world.openConnections() == 0);
}

TEST_CASE("a caller who leaves ends both, and a router that is destroyed too", "[route]") {
  for (const bool destroyed : {true, false}) {
    RouterFixture f(2, hedgeAfter200ms);
    f.served("a").stall();
    f.served("b").stall();
    Ending ending;
    asio::cancellation_signal signal;
    f.world.spawn(routeInto(f.world.environment(), *f.router, idempotent(), ending), signal);
    f.world.runFor(1s);
    CHECK(f.world.openConnections() == 2);
    if (destroyed) {
      f.router.reset();
    } else {
      signal.emit(asio::cancellation_type::terminal);
    }
    f.world.run();
    CHECK(f.world.openConnections() == 0);
    if (destroyed) CHECK(ending.error == lukhas::Errc::closed);
  }
}

}  // namespace model_router_hedge_test
