#include "lukhas/route/route_balance.hpp"

#include <map>

#include "unit/route/stream_world.hpp"

namespace route_balance_test {
using namespace std::chrono_literals;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::orderEquals;
using lukhas::RankedModel;
using lukhas::RouteBalance;
using lukhas::SplitMix;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;

namespace {

// How often of 10,000 times each index came first.
std::vector<int> firsts(const std::vector<RankedModel>& models, RouteBalance balance) {
  SplitMix chance(7);
  std::vector<int> counts(models.size());
  for (int i = 0; i < 10'000; ++i) {
    std::vector<RankedModel> ordered = models;
    orderEquals(ordered, balance, chance);
    ++counts[ordered.front().index];
  }
  return counts;
}

Ending askInSession(RouterFixture& f, const std::string& session) {
  Ending ending;
  lukhas::RouteRequest request("req-1", lukhas::test::helloContext(), {"chat"});
  request.ofSession(session);
  f.world.spawn(lukhas::test::routeInto(f.world.environment(), *f.router, request, ending));
  f.world.run();
  return ending;
}

}  // namespace

TEST_CASE("models of unequal priority keep their order however they are balanced", "[route]") {
  SplitMix chance(3);
  for (const auto balance : {RouteBalance::in_order, RouteBalance::weighted, RouteBalance::least_outstanding,
                             RouteBalance::latency}) {
    std::vector<RankedModel> models{{0, 9, 1, 90, 90.0}, {1, 5, 1000, 0, 1.0}, {2, 1, 1000, 0, 1.0}};
    for (int i = 0; i < 100; ++i) {
      orderEquals(models, balance, chance);
      CHECK(models[0].index == 0);
      CHECK(models[2].index == 2);
    }
  }
}

TEST_CASE("by weight a model is asked first in proportion to it", "[route]") {
  const std::vector<int> counts = firsts({{0, 0, 6}, {1, 0, 3}, {2, 0, 1}}, RouteBalance::weighted);
  CHECK(std::abs(counts[0] - 6000) < 300);
  CHECK(std::abs(counts[1] - 3000) < 300);
  CHECK(std::abs(counts[2] - 1000) < 300);
}

TEST_CASE("by load the fewest requests for its weight come first and equals by chance", "[route]") {
  CHECK(firsts({{0, 0, 1, 2}, {1, 0, 1, 1}, {2, 0, 1, 3}}, RouteBalance::least_outstanding)[1] == 10'000);
  CHECK(firsts({{0, 0, 4, 3}, {1, 0, 1, 1}}, RouteBalance::least_outstanding)[0] == 10'000);
  const std::vector<int> equals = firsts({{0}, {1}}, RouteBalance::least_outstanding);
  CHECK(std::abs(equals[0] - 5000) < 300);
}

TEST_CASE("by latency the better of two is asked, so the worst never and the best not always", "[route]") {
  const std::vector<int> counts =
      firsts({{0, 0, 1, 0, 100}, {1, 0, 1, 0, 200}, {2, 0, 1, 0, 300}}, RouteBalance::latency);
  CHECK(counts[2] == 0);
  CHECK(std::abs(counts[0] - 6667) < 300);
  // Twice the requests weigh as much as twice the time.
  CHECK(firsts({{0, 0, 1, 3, 100}, {1, 0, 1, 0, 200}}, RouteBalance::latency)[1] == 10'000);
  // What cannot be asked takes no part in the choice; what is unknown is tried.
  CHECK(firsts({{0, 0, 1, 0, 1, false}, {1, 0, 1, 0, 200}}, RouteBalance::latency)[1] == 10'000);
  CHECK(firsts({{0, 0, 1, 9, 0}, {1, 0, 1, 0, 1}}, RouteBalance::latency)[0] == 10'000);
}

TEST_CASE("a latency estimate jumps up at once and comes down with time", "[route]") {
  lukhas::LatencyEstimate estimate;
  const lukhas::LatencyEstimate::Time start{1000s};
  estimate.record(100ns, start);
  CHECK(estimate.value() == 100);
  estimate.record(900ns, start + 1s);
  CHECK(estimate.value() == 900);
  estimate.record(100ns, start + 1s);
  CHECK(estimate.value() == 900);
  estimate.record(100ns, start + 11s);
  CHECK(estimate.value() == Approx(100 + 800 / 2.718281828));
}

TEST_CASE("a router that balances spreads requests over equals and still fails over", "[route]") {
  for (const auto balance :
       {RouteBalance::weighted, RouteBalance::least_outstanding, RouteBalance::latency}) {
    RouterFixture f(0, [balance](ModelRouterOptions& options) { options.balance = balance; });
    for (const char* id : {"a", "b", "c"}) f.add(id, [](ModelDescription& model) { model.priority = 1; });
    std::map<std::string, int> answers;
    for (int i = 0; i < 60; ++i) ++answers[f.ask().model];
    CHECK(answers.size() == 3);
    f.served("a").refuse();
    f.served("b").refuse();
    CHECK(f.ask().model == "c");
  }
}

TEST_CASE("a session stays with the model that answered it while that can be asked", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) { options.stickySessions = 2; });
  f.served("a").failNext(1, 503);
  CHECK(askInSession(f, "s").model == "b");
  CHECK(askInSession(f, "s").model == "b");
  CHECK(askInSession(f, "").model == "a");
  CHECK(askInSession(f, "t").model == "a");
  f.served("b").failNext(1, 503);
  CHECK(askInSession(f, "s").model == "a");
  CHECK(askInSession(f, "s").model == "a");
}

TEST_CASE("of sessions only so many are remembered, those that were used last", "[route]") {
  lukhas::detail::StickySessions sessions(2);
  sessions.stick("x", 1);
  sessions.stick("y", 2);
  CHECK(sessions.find("x") == 1);
  sessions.stick("z", 3);
  CHECK(sessions.find("y") == 0);
  CHECK(sessions.find("x") == 1);
  sessions.stick("x", 4);
  CHECK(sessions.find("x") == 4);
  CHECK(sessions.size() == 2);
}

TEST_CASE("each model has figures of its own", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) {
    options.breaker = {.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1, .successThreshold = 1};
  });
  f.served("a").latency(20ms, 20ms).reply("one two");
  (void)f.ask();
  CHECK(lukhas::test::stream(f).text == "one two");
  f.served("a").failNext(1, 503);
  (void)f.ask();
  f.world.runFor(60s);
  const nlohmann::json metrics = f.router->getMetrics().toJson();
  CHECK(metrics.at("modelAttempts") == nlohmann::json{{"a", 3}, {"b", 1}});
  CHECK(metrics.at("modelOutputTokens").at("a") == 4);
  CHECK(metrics.at("modelInputTokens").at("a") == 2);
  CHECK(metrics.at("modelP99LatencyMs").at("a") == Approx(20).epsilon(0.02));
  CHECK(metrics.at("modelP50FirstTokenMs").at("a") == Approx(20).epsilon(0.02));
  CHECK(metrics.at("modelOpenMs").at("a") == 60'000);
  CHECK(metrics.at("modelOpenMs").at("b") == 0);
  (void)f.ask();
  f.world.runFor(60s);
  CHECK(f.router->getMetrics().modelOpenMs.at("a") == 60'020);
  CHECK(lukhas::toPrometheus("router", f.router->getMetrics())
            .find("lukhas_router_model_attempts_total{id=\"a\"} 4") != std::string::npos);
}

}  // namespace route_balance_test
