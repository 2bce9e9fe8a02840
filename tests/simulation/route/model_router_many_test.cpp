// Ten thousand requests, half of them as streams, to models of which three in ten answers fail.
#include "lukhas/route/model_router.hpp"

#include <vector>

#include "support/deep.hpp"
#include "unit/route/stream_world.hpp"

namespace model_router_many_test {
using namespace std::chrono_literals;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::SplitMix;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;
using lukhas::test::StreamEnding;

namespace {

constexpr std::size_t requests = 10'000;
const std::vector<std::string> ids{"a", "b", "c", "d"};
const std::string words = "one two three four five";

// What became of each request. It outlives the world.
struct Outcomes {
  std::vector<unsigned> ends = std::vector<unsigned>(requests);
  std::size_t answered = 0;
  std::size_t interrupted = 0;
  std::size_t failed = 0;
};

struct Crowd : Outcomes, RouterFixture {
  Crowd(std::uint64_t seed, lukhas::RouteBalance balance, bool hedges)
      : RouterFixture(
            0,
            [balance, hedges](ModelRouterOptions& options) {
              options.balance = balance;
              if (hedges) options.hedgeDelay = 300ms;
              options.breaker.failureThreshold = 8;  // three failures in ten are usual here
              options.breaker.openFor = 5s;
              options.budget.capacity = 200;
            },
            seed),
        chance(seed),
        hedged(hedges) {
    for (const std::string& id : ids) {
      const auto protocol = id < "c" ? lukhas::ModelProtocol::openai : lukhas::ModelProtocol::anthropic;
      add(id, [protocol](ModelDescription& model) {
        model.protocol = protocol;
        model.priority = 1;
        model.maxConcurrent = 50;
      });
      served(id)
          .speaks(protocol)
          .reply(words)
          .latency(1ms, 500ms)
          .slow(1ms, 150)
          .faults({.refused = 50, .failed = 100, .reset = 80, .stalled = 20, .garbled = 50});
    }
    for (std::size_t i = 0; i < requests; ++i) world.spawn(ask(i, 1ms * chance.below(300'000)));
  }

  asio::awaitable<void> ask(std::size_t number, lukhas::Duration at) {
    const lukhas::Environment environment = world.environment();
    co_await environment.sleepFor(at);
    lukhas::RouteRequest request("req-" + std::to_string(number), lukhas::test::helloContext(), {"chat"});
    if (hedged) request.idempotent();
    if (number % 2 == 0) {
      Ending ending;
      co_await lukhas::test::routeInto(environment, *router, request, ending);
      REQUIRE((ending.error || ending.text == words));
      count(number, ending.error);
    } else {
      StreamEnding ending;
      co_await lukhas::test::streamInto(environment, *router, request, ending);
      REQUIRE((ending.error || ending.text == words));
      REQUIRE(words.starts_with(ending.text));  // nothing of another model is mixed in
      count(number, ending.error);
    }
  }
  void count(std::size_t number, std::error_code error) {
    ++ends[number];
    ++(!error ? answered : error == RouteErrc::stream_interrupted ? interrupted : failed);
  }

  SplitMix chance;
  bool hedged;
};

}  // namespace

TEST_CASE("of ten thousand requests to failing models none is lost and none answered twice", "[route]") {
  for (const bool hedges : {false, true}) {
    const auto balance = hedges ? lukhas::RouteBalance::latency : lukhas::RouteBalance::in_order;
    for (std::uint64_t seed = 1; seed <= (test::deep() ? 10U : 1U); ++seed) {
      INFO("seed " << seed);
      Crowd crowd(seed, balance, hedges);
      crowd.world.run();
      REQUIRE(crowd.ends == std::vector<unsigned>(requests, 1));
      REQUIRE(crowd.world.openConnections() == 0);

      const lukhas::RouterMetrics metrics = crowd.router->getMetrics();
      REQUIRE(metrics.totalRequests == requests);
      REQUIRE(metrics.successfulRequests == crowd.answered);
      REQUIRE(metrics.failedRequests == crowd.interrupted + crowd.failed);
      REQUIRE(metrics.activeRequests == 0);
      REQUIRE(metrics.queuedRequests == 0);
      // What was paid for: five tokens each, two hundred at the start, one for each answer that began.
      const std::uint64_t began = metrics.successfulRequests + crowd.interrupted;
      const std::uint64_t further = metrics.retries + metrics.failovers + metrics.hedges;
      REQUIRE(5 * further <= 200 + began);
      REQUIRE(metrics.attempts <= requests + further);
      REQUIRE((metrics.hedges > 10) == hedges);
      REQUIRE(metrics.hedgeWins <= metrics.hedges);
      std::uint64_t attempts = 0;
      for (const std::string& id : ids) {
        REQUIRE(crowd.served(id).mostAtOnce() <= 50);
        attempts += metrics.modelAttempts.at(id);
      }
      REQUIRE(attempts == metrics.attempts);
      CHECK(crowd.answered > requests / 2);
      CHECK(crowd.interrupted > 10);  // the runs are not all fair
      CHECK(crowd.failed > 10);
    }
  }
}

}  // namespace model_router_many_test
