// The router among models that fail, hang, cut off and come back: what has to hold in every run.
#include "lukhas/route/model_router.hpp"

#include <deque>

#include "support/deep.hpp"
#include "unit/route/router_world.hpp"

using namespace std::chrono_literals;
using lukhas::CircuitState;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::SplitMix;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;

namespace {

constexpr auto deadline = 12s;
const std::vector<std::string> ids{"a", "b", "c"};

std::uint64_t runs(std::uint64_t usual) { return test::deep() ? usual * 20 : usual; }

// Outlives the world: what runs there refers to it.
struct Callers {
  static constexpr std::size_t callers = 120;
  std::deque<Ending> endings = std::deque<Ending>(callers);
  std::deque<asio::cancellation_signal> signals = std::deque<asio::cancellation_signal>(callers);
};

// Three models with random faults, and callers who come over a minute; some of them leave early.
struct Turmoil : Callers, RouterFixture {
  explicit Turmoil(std::uint64_t seed)
      : RouterFixture(
            0,
            [](ModelRouterOptions& options) {
              options.deadline = deadline;
              options.breaker.openFor = 10s;
            },
            seed),
        chance(seed * 7919) {
    for (const std::string& id : ids) {
      add(id,
          [this](ModelDescription& model) {
            model.maxConcurrent = 1 + chance.below(4);
            model.timeout = 1s * (1 + chance.below(8));
            model.capabilities = {"chat", model.id};
            limits.push_back(model.maxConcurrent);
          })
          .latency(1ms, 2s)
          .slow(chance.below(2) * 20ms, 64)
          .faults({.refused = fault(),
                   .failed = fault(),
                   .reset = fault(),
                   .stalled = fault(),
                   .garbled = fault()});
    }
    for (std::size_t i = 0; i < callers; ++i) world.spawn(call(i));
    world.spawn(weather());
  }
  unsigned fault() { return static_cast<unsigned>(chance.below(120)); }

  asio::awaitable<void> call(std::size_t number) {
    const lukhas::Environment environment = world.environment();
    co_await environment.sleepFor(1ms * chance.below(60'000));
    asio::cancellation_signal& signal = signals[number];
    lukhas::RouteRequest request("req-" + std::to_string(number), lukhas::test::helloContext(), {"chat"});
    world.spawn(lukhas::test::routeInto(environment, *router, request, endings[number]), signal);
    if (chance.below(10) > 0) co_return;
    co_await environment.sleepFor(1ms * chance.below(5000));
    signal.emit(asio::cancellation_type::terminal);
  }

  // Outages that come and go, and throttling.
  asio::awaitable<void> weather() {
    const lukhas::Environment environment = world.environment();
    for (int i = 0; i < 30; ++i) {
      co_await environment.sleepFor(1ms * chance.below(4000));
      lukhas::SimulatedModel& model = served(ids[chance.below(ids.size())]);
      switch (chance.below(5)) {
        case 0: model.stall(); break;
        case 1: model.refuse(); break;
        case 2: model.failNext(3, 429, {{"Retry-After", std::to_string(chance.below(9))}}); break;
        case 3: model.failNext(5, 500); break;
        default: model.recover(); break;
      }
    }
    for (const std::string& id : ids) served(id).recover();
  }

  SplitMix chance;
  std::vector<std::size_t> limits;
};

void checkEndings(Turmoil& turmoil) {
  for (const Ending& ending : turmoil.endings) {
    REQUIRE(ending.ended);
    REQUIRE(ending.took <= deadline);
    REQUIRE(ending.attempts <= 3);
    if (!ending.error || ending.error == asio::error::operation_aborted) continue;
    REQUIRE(ending.details.at("attempts").size() <= 3);
  }
  for (std::size_t i = 0; i < ids.size(); ++i)
    REQUIRE(turmoil.served(ids[i]).mostAtOnce() <= turmoil.limits[i]);
  REQUIRE(turmoil.world.openConnections() == 0);
}

void checkAccounts(Turmoil& turmoil) {
  const lukhas::RouterMetrics metrics = turmoil.router->getMetrics();
  REQUIRE(metrics.activeRequests == 0);
  REQUIRE(metrics.queuedRequests == 0);
  REQUIRE(metrics.totalRequests ==
          metrics.successfulRequests + metrics.failedRequests + metrics.cancelledRequests);
  REQUIRE(metrics.attempts <= 3 * metrics.totalRequests);
}

}  // namespace

TEST_CASE("among failing models every request ends in time and leaves nothing behind", "[route]") {
  std::uint64_t answered = 0;
  std::uint64_t opened = 0;
  for (std::uint64_t seed = 1; seed <= runs(60); ++seed) {
    INFO("seed " << seed);
    Turmoil turmoil(seed);
    turmoil.world.run();
    checkEndings(turmoil);
    checkAccounts(turmoil);
    answered += turmoil.router->getMetrics().successfulRequests;
    opened += turmoil.router->getMetrics().circuitOpens;
  }
  CHECK(answered > 1000);  // the runs are not all outage
  CHECK(opened > 20);      // and not all fair
}

TEST_CASE("no circuit is stuck once the models are well again", "[route]") {
  for (std::uint64_t seed = 1; seed <= runs(30); ++seed) {
    INFO("seed " << seed);
    Turmoil turmoil(seed);
    turmoil.world.run();
    for (const std::string& id : ids) turmoil.served(id).recover().latency(0s, 0s).slow(0s, 64);
    turmoil.world.runFor(30s);
    for (const std::string& id : ids) {
      for (int i = 0; i < 3; ++i) REQUIRE(turmoil.ask({id}).model == id);
      REQUIRE(turmoil.router->circuit(id) == CircuitState::closed);
    }
  }
}

TEST_CASE("equal seeds give equal runs of the router", "[route]") {
  const auto fingerprint = [](std::uint64_t seed) {
    Turmoil turmoil(seed);
    turmoil.world.run();
    return turmoil.world.fingerprint();
  };
  CHECK(fingerprint(5) == fingerprint(5));
  CHECK(fingerprint(5) != fingerprint(6));
}

TEST_CASE("a crash at any step leaves no connection and no memory", "[route]") {
  for (std::uint64_t run = 0; run < runs(150); ++run) {
    INFO("run " << run);
    Turmoil turmoil(run % 10 + 1);
    for (std::uint64_t steps = run * 37; steps > 0 && turmoil.world.step(); --steps) {
    }
    turmoil.world.crash();
    REQUIRE(turmoil.world.openConnections() == 0);
    turmoil.router.reset();
    // The next life routes to the same models.
    for (const std::string& id : ids) turmoil.served(id).recover();
    turmoil.router.emplace(turmoil.world.environment(),
                           ModelRouterOptions{.transport = turmoil.world.transport()});
    turmoil.router->registerModel({.id = "a", .url = RouterFixture::urlOf("a"), .capabilities = {"chat"}});
    REQUIRE(turmoil.ask().model == "a");
  }
}

TEST_CASE("a world that is destroyed with requests under way leaves no memory", "[route]") {
  for (std::uint64_t run = 1; run <= runs(50); ++run) {
    Turmoil turmoil(run);
    for (const std::string& id : ids) turmoil.served(id).stall();
    turmoil.world.runFor(1s * run);
  }
}
