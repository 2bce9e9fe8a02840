// Time in the router: deadlines, backoff, Retry-After, aborts, cancellation and its own end.
#include "lukhas/route/model_router.hpp"

#include <set>

#include "unit/route/router_world.hpp"

using namespace std::chrono_literals;
using lukhas::CircuitState;
using lukhas::Errc;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;
using Names = std::vector<std::string>;

TEST_CASE("a model that hangs is left after its own time-out", "[route]") {
  RouterFixture f(2);
  f.served("a").stall();
  const Ending ending = f.ask();
  CHECK(ending.model == "b");
  CHECK(ending.took == 10s);
}

TEST_CASE("the deadline ends everything with its connection closed", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) { options.deadline = 5s; });
  f.served("a").stall();
  const Ending ending = f.ask();
  CHECK(ending.error == RouteErrc::deadline_exceeded);
  CHECK(ending.took == 5s);
  CHECK(ending.details.at("deadlineMs") == 5000);
  CHECK(ending.details.at("attempts")[0].at("outcome") == "deadline_exceeded");
  CHECK(f.router->getMetrics().timeoutRequests == 1);
  CHECK(f.world.elapsed() == 5s);
}

TEST_CASE("the connection of an attempt is closed before the next one begins", "[route]") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    RouterFixture f(2, {}, seed);
    f.served("a").stall();
    bool closed = false;
    f.router->onFailover
        .connect([&](const lukhas::FailoverEvent&) { closed = f.world.openConnections() == 0; })
        .detach();
    CHECK(f.ask().model == "b");
    CHECK(closed);
  }
}

TEST_CASE("an answer that trickles is bounded like one that hangs", "[route]") {
  RouterFixture f(2);
  f.served("a").slow(3s, 1);
  const Ending ending = f.ask();
  CHECK(ending.model == "b");
  CHECK(ending.took == 10s);
}

TEST_CASE("models that hang open their circuits", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) { options.deadline = 5s; });
  f.served("a").stall();
  for (int i = 0; i < 10; ++i) (void)f.ask();
  CHECK(f.router->circuit("a") == CircuitState::open);
}

TEST_CASE("an attempt that had less than half of its time is not held against the model", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) {
    options.deadline = 14s;
    options.breaker = {.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1};
  });
  f.served("a").stall();
  f.served("b").stall();
  const Ending ending = f.ask();
  CHECK(ending.failedAt() == Names{"a", "b"});
  CHECK(f.router->circuit("a") == CircuitState::open);
  CHECK(f.router->circuit("b") == CircuitState::closed);
}

TEST_CASE("attempts at the same model have a backoff with jitter between them", "[route]") {
  std::set<lukhas::Duration> waits;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    RouterFixture f(1, {}, seed);
    f.served("a").failNext(2, 503);
    const Ending ending = f.ask();
    CHECK(ending.attempts == 3);
    CHECK(ending.took <= 1500ms);
    waits.insert(ending.took);
  }
  CHECK(waits.size() > 15);
  CHECK(*waits.rbegin() > 500ms);
}

TEST_CASE("Retry-After is honoured when nobody else can answer", "[route]") {
  for (const int status : {429, 503}) {
    RouterFixture f(1);
    f.served("a").failNext(1, status, {{"Retry-After", "7"}});
    const Ending ending = f.ask();
    CHECK(ending.model == "a");
    CHECK(ending.took == 7s);
  }
}

TEST_CASE("a wait that would outlast the request is not begun", "[route]") {
  RouterFixture f(1);
  f.served("a").failNext(1, 429, {{"Retry-After", "60"}});
  const Ending throttled = f.ask();
  CHECK(throttled.error == RouteErrc::throttled);
  CHECK(throttled.details.at("retryAfterMs") == 60'000);
  CHECK(throttled.took == 0ns);
  f.world.runFor(60s);
  f.served("a").failNext(1, 503, {{"retry-after-ms", "29901"}});
  const Ending late = f.ask();
  CHECK(late.error == RouteErrc::deadline_exceeded);
  CHECK(late.details.at("waitMs") == 29'901);
  CHECK(late.took == 0ns);
}

TEST_CASE("a throttled model is left alone by all requests until its time has come", "[route]") {
  RouterFixture f(2);
  f.served("a").failNext(1, 429, {{"Retry-After", "20"}});
  CHECK(f.ask().model == "b");
  f.world.runFor(19s);
  CHECK(f.ask().model == "b");
  CHECK(f.served("a").requests() == 1);
  f.world.runFor(1s);
  CHECK(f.ask().model == "a");
}

TEST_CASE("an error answer whose body stalls is judged by its status and headers", "[route]") {
  for (const int status : {401, 402, 429, 503}) {
    INFO(status);
    RouterFixture f(2, [](ModelRouterOptions& options) {
      options.breaker = {.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1};
    });
    f.served("a").failNext(1, status, {{"Retry-After", "20"}}).slow(1h, 1);
    const Ending ending = f.ask();
    CHECK(ending.model == "b");
    CHECK(ending.took == 1s);
    CHECK(f.world.elapsed() == 1s);
    CHECK(f.router->circuit("a") == (status == 503 ? CircuitState::open : CircuitState::closed));
    CHECK(f.router->getMetrics().throttledMs.at("a") == (status == 429 ? 20'000 : 0));
  }
}

TEST_CASE("the body of an error has no more time than its attempt", "[route]") {
  RouterFixture f(0);
  f.add("a", [](ModelDescription& model) { model.timeout = 300ms; }).failNext(1, 404).slow(1h, 1);
  const Ending ending = f.ask();
  CHECK(ending.error == RouteErrc::wrong_endpoint);
  CHECK(ending.details.at("status") == 404);
  CHECK(ending.took == 300ms);
}

TEST_CASE("a caller who cancels while the body of an error stalls leaves nothing behind", "[route]") {
  RouterFixture f(1);
  f.served("a").failNext(1, 503).slow(1h, 1);
  Ending ending;
  asio::cancellation_signal signal;
  lukhas::RouteRequest request("req-1", lukhas::test::helloContext(), {"chat"});
  f.world.spawn(lukhas::test::routeInto(f.world.environment(), *f.router, request, ending), signal);
  f.world.runFor(500ms);
  CHECK(f.world.openConnections() == 1);
  signal.emit(asio::cancellation_type::terminal);
  f.world.run();
  CHECK(ending.error == asio::error::operation_aborted);
  CHECK(f.world.openConnections() == 0);
  CHECK(f.world.elapsed() == 500ms);
}

TEST_CASE("a router destroyed while the body of an error stalls ends the request", "[route]") {
  RouterFixture f(1);
  f.served("a").failNext(1, 503).slow(1h, 1);
  Ending ending;
  f.start(ending);
  f.world.runFor(500ms);
  f.router.reset();
  f.world.run();
  CHECK(ending.error == Errc::closed);
  CHECK(ending.took == 500ms);
  CHECK(f.world.openConnections() == 0);
}

TEST_CASE("a model that asks for a day is asked again after maxRetryAfter and health says so", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) { options.retry.maxRetryAfter = 2min; });
  f.served("a").failNext(1, 429, {{"Retry-After", "86400"}});
  CHECK(f.ask().model == "b");
  f.world.runFor(30s);
  const lukhas::HealthReport health = f.router->healthCheck();
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "model_throttled");
  CHECK(health.issues[0].message == "the model \"a\" asked to be left alone; it is asked again in 90.0 s");
  CHECK(health.issues[0].value == 90);
  CHECK(health.issues[0].limit == 30);
  const nlohmann::json waits = f.router->getMetrics().toJson().at("throttledMs");
  CHECK(waits == nlohmann::json{{"a", 90'000.0}, {"b", 0.0}});
  f.world.runFor(60s);
  CHECK(f.router->healthCheck().healthy);  // a request would wait for it now
  f.world.runFor(30s - 1ns);
  CHECK(f.ask().model == "b");
  f.world.runFor(1ns);
  CHECK(f.ask().model == "a");
}

TEST_CASE("requests that wait for a throttled model share its time", "[route]") {
  RouterFixture f(1);
  f.served("a").failNext(1, 429, {{"Retry-After", "7"}});
  Ending first;
  Ending second;
  f.start(first);
  f.world.runFor(2s);
  f.start(second);
  f.world.run();
  CHECK(first.took == 7s);
  CHECK(second.took == 5s);
  CHECK(f.served("a").requests() == 3);
}

TEST_CASE("a caller who cancels leaves nothing behind", "[route]") {
  struct Row {
    std::string what;
    std::function<void(RouterFixture&)> prepare;
  };
  const std::vector<Row> table{
      {"while the model thinks", [](RouterFixture& f) { f.served("a").stall(); }},
      {"while the body trickles", [](RouterFixture& f) { f.served("a").slow(4s, 1); }},
      {"in a backoff",
       [](RouterFixture& f) {
         f.served("a").failNext(1, 503, {{"Retry-After", "9"}});
       }},
  };
  for (const Row& row : table) {
    INFO(row.what);
    RouterFixture f(1);
    row.prepare(f);
    Ending ending;
    asio::cancellation_signal signal;
    lukhas::RouteRequest request("req-1", lukhas::test::helloContext(), {"chat"});
    f.world.spawn(lukhas::test::routeInto(f.world.environment(), *f.router, request, ending), signal);
    f.world.runFor(3s);
    CHECK_FALSE(ending.ended);
    signal.emit(asio::cancellation_type::terminal);
    f.world.run();
    CHECK(ending.error == asio::error::operation_aborted);
    CHECK(ending.took == 3s);
    CHECK(f.world.openConnections() == 0);
    CHECK(f.world.elapsed() == 3s);
    const lukhas::RouterMetrics metrics = f.router->getMetrics();
    CHECK(metrics.cancelledRequests == 1);
    CHECK(metrics.failedRequests + metrics.activeRequests + metrics.queuedRequests == 0);
  }
}

TEST_CASE("a cancelled trial gives its permission back", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) {
    options.maxAttempts = 1;
    options.breaker = {.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1, .maxTrials = 1};
  });
  f.served("a").failNext(1, 500);
  (void)f.ask();
  f.world.runFor(60s);
  f.served("a").stall();
  Ending trial;
  asio::cancellation_signal signal;
  lukhas::RouteRequest request("trial", lukhas::test::helloContext(), {"chat"});
  f.world.spawn(lukhas::test::routeInto(f.world.environment(), *f.router, request, trial), signal);
  f.world.runFor(1s);
  Ending refused;
  f.start(refused);
  f.world.runFor(1s);
  CHECK(refused.error == RouteErrc::all_circuits_open);
  signal.emit(asio::cancellation_type::terminal);
  f.served("a").recover();
  f.world.run();
  CHECK(f.router->circuit("a") == CircuitState::half_open);
  CHECK(f.ask().model == "a");
}

TEST_CASE("destroying the router ends what is under way with its closed error", "[route]") {
  RouterFixture f(2);
  f.served("a").stall();
  f.add("c", [](ModelDescription& model) {
    model.capabilities = {"slow"};
    model.maxConcurrent = 1;
  });
  f.served("c").stall();
  Ending asking;
  Ending holding;
  Ending queued;
  f.start(asking);
  f.start(holding, {"slow"});
  f.start(queued, {"slow"});
  f.world.runFor(3s);
  f.router.reset();
  f.world.run();
  for (const Ending* ending : {&asking, &holding, &queued}) {
    CHECK(ending->error == Errc::closed);
    CHECK(ending->took == 3s);
  }
  CHECK(f.world.openConnections() == 0);
}
