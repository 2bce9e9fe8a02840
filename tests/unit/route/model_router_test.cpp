#include "lukhas/route/model_router.hpp"

#include <cstdlib>
#include <sstream>

#include "unit/route/router_world.hpp"

using namespace std::chrono_literals;
using lukhas::CircuitState;
using lukhas::Errc;
using lukhas::ModelDescription;
using lukhas::ModelRouterOptions;
using lukhas::RouteErrc;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;
using nlohmann::json;
using Names = std::vector<std::string>;

namespace {

std::error_code codeOf(const std::function<void()>& call, std::string* option = nullptr) {
  try {
    call();
  } catch (const lukhas::Error& error) {
    if (option != nullptr && error.details().contains("option")) *option = error.details().at("option");
    return error.code();
  }
  return {};
}

// Fails the requests to the model `a` with an error of its own, until it is told to let them pass.
class AbortingTransport : public lukhas::Transport {
 public:
  explicit AbortingTransport(std::shared_ptr<lukhas::Transport> network) : network_(std::move(network)) {}

  asio::awaitable<std::unique_ptr<lukhas::HttpExchange>> send(lukhas::HttpRequest request) override {
    if (!passes && request.url.starts_with(RouterFixture::urlOf("a"))) throw error;
    return network_->send(std::move(request));
  }

  lukhas::Error error = lukhas::cancelledError("cut off by the transport itself");
  bool passes = false;

 private:
  std::shared_ptr<lukhas::Transport> network_;
};

// The header that the last request to the model had; nothing when it had none.
std::string authorization(RouterFixture& f, const std::string& id) {
  return std::string(
      lukhas::findHeader(f.served(id).lastRequest().headers, "authorization").value_or("none"));
}

}  // namespace

TEST_CASE("the highest priority answers", "[route]") {
  RouterFixture f(3);
  const Ending ending = f.ask();
  CHECK(ending.model == "a");
  CHECK(ending.text == "from a");
  CHECK(ending.attempts == 1);
}

TEST_CASE("models of equal priority are asked in the order of their registration", "[route]") {
  RouterFixture f(0);
  for (const char* id : {"c", "a", "b"}) f.add(id, [](ModelDescription& model) { model.priority = 5; });
  CHECK(f.ask().model == "c");
  f.served("c").failNext(1, 503);
  CHECK(f.ask().model == "a");
}

TEST_CASE("a model that lacks a requirement is no candidate", "[route]") {
  RouterFixture f(1);
  f.add("b", [](ModelDescription& model) { model.capabilities = {"chat", "vision"}; });
  CHECK(f.ask({"vision", "chat"}).model == "b");
  const Ending refused = f.ask({"vision", "sound"});
  CHECK(refused.error == RouteErrc::no_capable_model);
  CHECK(refused.details.at("requirements") == json({"vision", "sound"}));
  CHECK(refused.details.at("attempts").empty());
  CHECK(f.served("a").requests() == 0);
}

TEST_CASE("a failure is answered by the next model without a pause", "[route]") {
  RouterFixture f(2);
  f.served("a").failNext(1, 503);
  const Ending ending = f.ask();
  CHECK(ending.model == "b");
  CHECK(ending.attempts == 2);
  CHECK(ending.took == 0ns);
}

TEST_CASE("a request makes at most three attempts over all models", "[route]") {
  RouterFixture f(5);
  for (const char* id : {"a", "b", "c", "d", "e"}) f.served(id).failNext(9, 500);
  const Ending ending = f.ask();
  CHECK(ending.error == RouteErrc::attempts_exhausted);
  CHECK(ending.failedAt() == Names{"a", "b", "c"});
  CHECK(ending.details.at("maxAttempts") == 3);
  CHECK(f.served("d").requests() == 0);
}

TEST_CASE("an error lists each attempt with model and outcome and status and time", "[route]") {
  RouterFixture f(2);
  f.served("a").failNext(9, 503).latency(20ms, 20ms);
  f.served("b").refuse();
  const json attempts = f.ask().details.at("attempts");
  REQUIRE(attempts.size() == 3);
  CHECK(attempts[0] == json{{"model", "a"},
                            {"outcome", "model_failed"},
                            {"status", 503},
                            {"ms", 20.0},
                            {"message", "the simulated model failed"}});
  CHECK(attempts[1].at("outcome") == "connect_failed");
  CHECK(attempts[1].at("status") == 0);
}

TEST_CASE("only retryable failures are retried and the others end as they should", "[route]") {
  struct Row {
    int status;
    std::string body;
    RouteErrc code;  // of a request that has this model alone
    bool failsOver;  // whether another model is asked
  };
  const std::string quota = R"({"error": {"message": "no credit", "code": "insufficient_quota"}})";
  const std::vector<Row> table{
      {500, "", RouteErrc::attempts_exhausted, true}, {529, "", RouteErrc::attempts_exhausted, true},
      {408, "", RouteErrc::attempts_exhausted, true}, {429, quota, RouteErrc::quota_spent, true},
      {402, "", RouteErrc::quota_spent, true},        {401, "", RouteErrc::access_refused, true},
      {404, "", RouteErrc::wrong_endpoint, true},     {302, "", RouteErrc::wrong_endpoint, true},
      {400, "", RouteErrc::model_refused, false},     {422, "", RouteErrc::model_refused, false},
  };
  for (const Row& row : table) {
    INFO(row.status);
    RouterFixture alone(1);
    alone.served("a").failNext(9, row.status, {}, row.body);
    const Ending ending = alone.ask();
    CHECK(ending.error == row.code);
    CHECK(alone.served("a").requests() == (row.code == RouteErrc::attempts_exhausted ? 3U : 1U));
    CHECK(ending.details.at("status") == row.status);
    RouterFixture two(2);
    two.served("a").failNext(9, row.status, {}, row.body);
    CHECK((two.ask().model == "b") == row.failsOver);
  }
}

TEST_CASE("the header x-should-retry wins over the status both ways", "[route]") {
  RouterFixture f(1);
  f.served("a").failNext(1, 400, {{"x-should-retry", "true"}});
  CHECK(f.ask().attempts == 2);
  f.served("a").failNext(1, 503, {{"x-should-retry", "false"}});
  CHECK(f.ask().error == RouteErrc::model_failed);
}

TEST_CASE("answers that are cut off or are none count as failures and fail over", "[route]") {
  RouterFixture f(2);
  f.served("a").resetNext(1);
  CHECK(f.ask().model == "b");
  f.served("a").failNext(1, 200, {}, "<html>");
  CHECK(f.ask().model == "b");
  f.served("a").failNext(1, 200, {}, R"({"error": {"type": "overloaded_error", "message": "busy"}})");
  CHECK(f.ask().model == "b");
  CHECK(f.ask().model == "a");
}

TEST_CASE("a circuit opens after its failures and its model is passed over", "[route]") {
  RouterFixture f(2);
  std::vector<std::string> seen;
  const auto listen = [&seen](const lukhas::CircuitEvent& event) {
    std::ostringstream text;
    text << event;
    seen.push_back(text.str());
  };
  f.router->onCircuitOpen.connect(listen).detach();
  f.router->onCircuitHalfOpen.connect(listen).detach();
  f.router->onCircuitClosed.connect(listen).detach();
  f.served("a").failNext(10, 500);
  for (int i = 0; i < 20; ++i) CHECK(f.ask().model == "b");
  CHECK(f.served("a").requests() == 10);
  CHECK(f.router->circuit("a") == CircuitState::open);
  f.world.runFor(60s);
  for (int i = 0; i < 3; ++i) CHECK(f.ask().model == "a");
  CHECK(f.router->circuit("a") == CircuitState::closed);
  CHECK(seen == Names{"circuit of \"a\": CLOSED -> OPEN", "circuit of \"a\": OPEN -> HALF_OPEN",
                      "circuit of \"a\": HALF_OPEN -> CLOSED"});
  CHECK(f.router->getMetrics().circuitOpens == 1);
}

TEST_CASE("with every circuit open a request fails at once and says for how long", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) { options.maxAttempts = 1; });
  f.served("a").failNext(10, 500);
  for (int i = 0; i < 10; ++i) (void)f.ask();
  f.world.runFor(20s);
  const Ending ending = f.ask();
  CHECK(ending.error == RouteErrc::all_circuits_open);
  CHECK(ending.details.at("retryAfterMs") == 40'000);
  CHECK(ending.took == 0ns);
  CHECK(f.served("a").requests() == 10);
}

TEST_CASE("what is not the model's fault is not held against its circuit", "[route]") {
  for (const int status : {400, 401, 402, 404, 429}) {
    INFO(status);
    RouterFixture f(1, [](ModelRouterOptions& options) { options.maxAttempts = 1; });
    f.served("a").failNext(30, status, {{"Retry-After", "0"}});
    for (int i = 0; i < 30; ++i) (void)f.ask();
    CHECK(f.served("a").requests() == 30);
    CHECK(f.router->circuit("a") == CircuitState::closed);
  }
}

TEST_CASE("the key comes from the callback or the environment and is sent in the header alone", "[route]") {
  RouterFixture f(0);
  setenv("LUKHAS_TEST_KEY", "sk-environment", 1);
  f.add("a", [](ModelDescription& model) { model.apiKeyEnvironment = "LUKHAS_TEST_KEY"; });
  CHECK(f.ask().model == "a");
  CHECK(authorization(f, "a") == "Bearer sk-environment");
  f.router->unregisterModel("a");
  f.add("b", [](ModelDescription& model) {
    model.apiKeyEnvironment = "LUKHAS_TEST_KEY";
    model.apiKey = [] { return std::string("sk-callback"); };
  });
  CHECK(f.ask().model == "b");
  CHECK(authorization(f, "b") == "Bearer sk-callback");
  f.router->unregisterModel("b");
  f.add("c");
  CHECK(f.ask().model == "c");
  CHECK(authorization(f, "c") == "none");
}

TEST_CASE("without its key a model is not asked and another one is", "[route]") {
  const std::vector<std::function<void(ModelDescription&)>> ways{
      [](ModelDescription& model) { model.apiKeyEnvironment = "LUKHAS_TEST_NO_SUCH_KEY"; },
      [](ModelDescription& model) { model.apiKey = [] { return std::string(); }; },
      [](ModelDescription& model) { model.apiKey = [] { return std::string("sk-1\r\nX-Other: 1"); }; },
      [](ModelDescription& model) {
        model.apiKey = []() -> std::string { throw std::runtime_error("sk-secret"); };
      },
  };
  for (const auto& way : ways) {
    RouterFixture f(0);
    f.add("a", way);
    const Ending alone = f.ask();
    CHECK(alone.error == RouteErrc::api_key_unavailable);
    CHECK((alone.details.dump() + alone.message).find("sk-") == std::string::npos);
    f.add("b");
    CHECK(f.ask().model == "b");
    CHECK(f.served("a").requests() == 0);
    CHECK(f.router->circuit("a") == CircuitState::closed);
  }
}

TEST_CASE("a key that the model repeats stands in no error", "[route]") {
  RouterFixture f(0);
  f.add("a", [](ModelDescription& model) { model.apiKey = [] { return std::string("sk-secret"); }; });
  for (const char* body : {R"({"error": {"message": "wrong key sk-secret given"}})", "wrong key sk-secret"}) {
    f.served("a").failNext(1, 401, {}, body);
    const Ending ending = f.ask();
    CHECK((ending.details.dump() + ending.message).find("sk-secret") == std::string::npos);
    CHECK(ending.message.find("***") != std::string::npos);
  }
}

TEST_CASE("blanks around a key are no part of it and hide it from no error", "[route]") {
  RouterFixture f(0);
  f.add("a", [](ModelDescription& model) { model.apiKey = [] { return std::string(" sk-secret  "); }; });
  f.served("a").failNext(1, 401, {}, "wrong key sk-secret.");
  const Ending ending = f.ask();
  CHECK(authorization(f, "a") == "Bearer sk-secret");
  CHECK((ending.details.dump() + ending.message).find("sk-secret") == std::string::npos);
  f.router->unregisterModel("a");
  f.add("b", [](ModelDescription& model) { model.apiKey = [] { return std::string("  "); }; });
  CHECK(f.ask().error == RouteErrc::api_key_unavailable);
}

TEST_CASE("a transport that calls itself aborted fails over and counts as a failure", "[route]") {
  AbortingTransport* aborting = nullptr;
  RouterFixture f(0, [&aborting](ModelRouterOptions& options) {
    options.breaker = {.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1};
    const auto transport = std::make_shared<AbortingTransport>(options.transport);
    aborting = transport.get();
    options.transport = transport;
  });
  f.add("a");
  f.add("b");
  CHECK(f.ask().model == "b");
  CHECK(f.router->circuit("a") == CircuitState::open);
  f.router->unregisterModel("b");
  f.world.runFor(60s);
  const Ending alone = f.ask();
  CHECK(alone.error == RouteErrc::all_circuits_open);
  CHECK(alone.details.at("attempts")[0].at("outcome") == "transport_failed");
  CHECK(f.router->getMetrics().cancelledRequests == 0);
  aborting->passes = true;
  f.world.runFor(60s);
  CHECK(f.ask().model == "a");
}

TEST_CASE("a request that fails as its last attempt did has that attempt's details", "[route]") {
  RouterFixture f(0, [](ModelRouterOptions& options) { options.maxReplyBytes = 1024; });
  f.add("a", [](ModelDescription& model) { model.apiKeyEnvironment = "LUKHAS_TEST_NO_SUCH_KEY"; });
  const Ending keyless = f.ask();
  CHECK(keyless.error == RouteErrc::api_key_unavailable);
  CHECK(keyless.details.at("modelId") == "a");
  f.router->unregisterModel("a");
  f.add("b").reply(std::string(2000, 'x'));
  const Ending large = f.ask();
  CHECK(large.error == RouteErrc::body_too_large);
  CHECK(large.details.at("modelId") == "b");
  CHECK(large.details.at("maximum") == 1024);
  CHECK(large.details.at("attempts")[0].at("maximum") == 1024);
  f.router->unregisterModel("b");
  f.add("c", [](ModelDescription& model) { model.timeout = 2s; }).stall();
  const Ending slow = f.ask();
  CHECK(slow.error == RouteErrc::attempts_exhausted);
  CHECK_FALSE(slow.details.contains("modelId"));
  for (const json& attempt : slow.details.at("attempts")) CHECK(attempt.at("limitMs") == 2000);
}

TEST_CASE("of the facts of a transport's error only the documented ones are told without the key",
          "[route]") {
  RouterFixture f(0, [](ModelRouterOptions& options) {
    options.maxAttempts = 1;
    auto transport = std::make_shared<AbortingTransport>(options.transport);
    transport->error = lukhas::Error(RouteErrc::tls_failed, "sent Bearer sk-secret",
                                     {{"headers", "sk-secret"}, {"cause", "with sk-secret"}});
    options.transport = transport;
  });
  f.add("a", [](ModelDescription& model) { model.apiKey = [] { return std::string("sk-secret"); }; });
  const json attempt = f.ask().details.at("attempts").at(0);
  CHECK(attempt.at("cause") == "with ***");
  CHECK(attempt.at("message") == "sent Bearer ***");
  CHECK_FALSE(attempt.contains("headers"));
}

TEST_CASE("a transport whose queue is full ends the request and is not held against the model", "[route]") {
  RouterFixture f(0, [](ModelRouterOptions& options) {
    options.breaker = {.failureThreshold = 1, .minimumRequests = 1, .windowSize = 1};
    auto transport = std::make_shared<AbortingTransport>(options.transport);
    transport->error = lukhas::Error(RouteErrc::overloaded, "too many requests wait", {{"maximum", 7}});
    options.transport = transport;
  });
  f.add("a");
  const Ending ending = f.ask();
  CHECK(ending.error == RouteErrc::overloaded);
  CHECK(ending.details.at("maximum") == 7);
  CHECK(f.router->circuit("a") == CircuitState::closed);
}

TEST_CASE("a request that breaks its rules asks nobody and counts nowhere", "[route]") {
  RouterFixture f(1);
  Ending ending;
  f.world.spawn(lukhas::test::routeInto(f.world.environment(), *f.router,
                                        lukhas::RouteRequest("", json::object()), ending));
  f.world.run();
  CHECK(ending.error == Errc::invalid_argument);
  CHECK(f.router->getMetrics().totalRequests == 0);
}

TEST_CASE("models are registered and unregistered by their ids", "[route]") {
  RouterFixture f(2, [](ModelRouterOptions& options) { options.maxModels = 2; });
  const auto add = [&f](const char* id) {
    return codeOf([&] { f.router->registerModel({.id = id, .url = "http://x.test"}); });
  };
  CHECK(add("a") == RouteErrc::duplicate_model);
  CHECK(add("c") == RouteErrc::too_many_models);
  CHECK(add("") == Errc::invalid_option);
  f.router->unregisterModel("a");
  CHECK(f.ask().model == "b");
  CHECK(codeOf([&] { f.router->unregisterModel("a"); }) == RouteErrc::unknown_model);
  CHECK(codeOf([&] { (void)f.router->circuit("a"); }) == RouteErrc::unknown_model);
  CHECK_FALSE(f.router->getMetrics().circuits.contains("a"));
  CHECK_FALSE(add("c"));
}

TEST_CASE("router options out of range are refused by name", "[route]") {
  const auto refused = [](const std::function<void(ModelRouterOptions&)>& change) {
    std::string option = "accepted";
    CHECK(codeOf([&] { RouterFixture f(0, change); }, &option) == Errc::invalid_option);
    return option;
  };
  CHECK(refused([](ModelRouterOptions& options) { options.transport = nullptr; }) == "transport");
  CHECK(refused([](ModelRouterOptions& options) { options.deadline = 0s; }) == "deadline");
  CHECK(refused([](ModelRouterOptions& options) { options.maxAttempts = 0; }) == "maxAttempts");
  CHECK(refused([](ModelRouterOptions& options) { options.breaker.windowSize = 0; }) == "windowSize");
  CHECK(refused([](ModelRouterOptions& options) { options.retry.firstDelay = -1s; }) == "firstDelay");
  CHECK(refused([](ModelRouterOptions& options) { options.maxModels = 0; }) == "maxModels");
  CHECK(refused([](ModelRouterOptions& options) { options.maxReplyBytes = 1; }) == "maxReplyBytes");
}

TEST_CASE("failovers and retries are told when they begin", "[route]") {
  RouterFixture f(2);
  std::ostringstream seen;
  f.router->onFailover.connect([&](const lukhas::FailoverEvent& event) { seen << event << '\n'; }).detach();
  f.router->onRetry.connect([&](const lukhas::RetryEvent& event) { seen << event << '\n'; }).detach();
  f.served("a").failNext(2, 503);
  f.served("b").failNext(1, 401);
  CHECK(f.ask().attempts == 0);
  CHECK(
      seen.str() ==
      "request \"req-1\" fails over from \"a\" to \"b\" (attempt 2): the model failed\n"
      "request \"req-1\" fails over from \"b\" to \"a\" (attempt 3): the model's endpoint refused the key\n");
  seen.str("");
  f.router->unregisterModel("b");
  f.served("a").failNext(1, 503);
  CHECK(f.ask().attempts == 2);
  CHECK(seen.str() == "request \"req-1\" asks \"a\" again (attempt 2): the model failed\n");
  CHECK(f.router->getMetrics().failovers == 2);
  CHECK(f.router->getMetrics().retries == 1);
}

TEST_CASE("metrics add up and have the promised names", "[route]") {
  RouterFixture f(2);
  f.served("a").failNext(1, 503);
  (void)f.ask();
  f.served("a").failNext(1, 400);
  (void)f.ask();
  const json metrics = f.router->getMetrics().toJson();
  CHECK(metrics.at("totalRequests") == 2);
  CHECK(metrics.at("successfulRequests") == 1);
  CHECK(metrics.at("failedRequests") == 1);
  CHECK(metrics.at("timeoutRequests") == 0);
  CHECK(metrics.at("attempts") == 3);
  CHECK(metrics.at("activeRequests") == 0);
  CHECK(metrics.at("queuedRequests") == 0);
  CHECK(metrics.at("circuits") == json{{"a", "CLOSED"}, {"b", "CLOSED"}});
  for (const char* name : {"circuitOpens", "avgLatencyMs", "p99LatencyMs"}) CHECK(metrics.contains(name));
  const std::string prometheus = toPrometheus("router", f.router->getMetrics());
  CHECK(prometheus.find("lukhas_router_circuits{id=\"a\",state=\"CLOSED\"} 1") != std::string::npos);
}

TEST_CASE("health names what is wrong with its figure", "[route]") {
  RouterFixture f(1, [](ModelRouterOptions& options) { options.maxAttempts = 1; });
  CHECK(f.router->healthCheck().healthy);
  f.served("a").failNext(10, 500);
  for (int i = 0; i < 20; ++i) (void)f.ask();
  const lukhas::HealthReport health = f.router->healthCheck();
  REQUIRE(health.issues.size() == 2);
  CHECK(health.issues[0].code == "circuit_open");
  CHECK(health.issues[0].message.find("\"a\"") != std::string::npos);
  CHECK(health.issues[1].code == "high_failure_rate");
  CHECK(health.issues[1].value == 100);
}
