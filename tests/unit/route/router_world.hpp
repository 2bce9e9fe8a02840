// RouterWorld: a simulated life with a network, for tests of what sends requests.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>

#include "lukhas/route/model_router.hpp"
#include "lukhas/sim/simulated_network.hpp"
#include "support/catch.hpp"

namespace lukhas::test {

class RouterWorld {
 public:
  explicit RouterWorld(std::uint64_t seed = 1)
      : present_(std::make_shared<detail::Present>(seed)),
        network_(std::make_shared<SimulatedNetwork>(present_)),
        start_(present_->loop().now()) {}

  [[nodiscard]] Environment environment() const { return present_->environment(); }
  [[nodiscard]] std::shared_ptr<Transport> transport() const { return network_; }
  SimulatedModel& addModel(const std::string& url) { return network_->addModel(url); }
  SimulatedModel& model(const std::string& url) { return network_->model(url); }
  [[nodiscard]] std::size_t openConnections() const { return network_->openConnections(); }
  [[nodiscard]] Duration elapsed() const { return present_->loop().now() - start_; }
  [[nodiscard]] std::uint64_t fingerprint() const { return present_->fingerprint(); }

  void spawn(asio::awaitable<void> task) {
    asio::co_spawn(environment().executor(), std::move(task), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
  }
  // The signal cancels the task.
  void spawn(asio::awaitable<void> task, asio::cancellation_signal& signal) {
    asio::co_spawn(environment().executor(), std::move(task),
                   asio::bind_cancellation_slot(signal.slot(), [](std::exception_ptr error) {
                     if (error) std::rethrow_exception(error);
                   }));
  }
  void run() {
    constexpr std::uint64_t maxSteps = 10'000'000;
    for (std::uint64_t i = 0; present_->loop().step(TimePoint::max()); ++i) {
      if (i == maxSteps) FAIL("the world does not come to rest");
    }
  }
  void runFor(Duration duration) {
    const TimePoint end = present_->loop().now() + duration;
    while (present_->loop().step(end)) {
    }
    present_->loop().advanceTo(end);
  }
  // False when nothing is left to do.
  bool step() { return present_->loop().step(TimePoint::max()); }
  void crash() {
    present_->endLife();
    network_->crash();
  }

 private:
  std::shared_ptr<detail::Present> present_;
  std::shared_ptr<SimulatedNetwork> network_;
  TimePoint start_;
};

// How one request ended.
struct Ending {
  bool ended = false;
  std::string model;
  std::string text;
  unsigned attempts = 0;
  std::error_code error;
  nlohmann::json details;
  std::string message;
  Duration took{};

  // The models of the attempts that failed, in order.
  [[nodiscard]] std::vector<std::string> failedAt() const {
    std::vector<std::string> models;
    for (const nlohmann::json& attempt : details.at("attempts")) models.push_back(attempt.at("model"));
    return models;
  }
};

inline nlohmann::json helloContext() {
  nlohmann::json message;
  message["role"] = "user";
  message["content"] = "Hello";
  nlohmann::json context;
  context["messages"] = nlohmann::json::array({std::move(message)});
  return context;
}

inline asio::awaitable<void> routeInto(Environment environment, ModelRouter& router, RouteRequest request,
                                       Ending& ending) {
  const TimePoint began = environment.now();
  try {
    const ModelReply reply = co_await router.route(std::move(request));
    ending.model = reply.model;
    ending.text = reply.text();
    ending.attempts = reply.attempts;
  } catch (const Error& error) {
    ending.error = error.code();
    ending.details = error.details();
    ending.message = error.what();
  } catch (const std::system_error& error) {  // Asio's own: cancelled before route() began
    ending.error = error.code();
  }
  ending.took = environment.now() - began;
  ending.ended = true;
}

// A world with a router and the models `a`, `b`, …, of falling priority; latency is zero.
struct RouterFixture {
  explicit RouterFixture(std::size_t modelCount, const std::function<void(ModelRouterOptions&)>& change = {},
                         std::uint64_t seed = 1)
      : world(seed) {
    ModelRouterOptions options{.transport = world.transport()};
    if (change) change(options);
    router.emplace(world.environment(), options);
    for (std::size_t i = 0; i < modelCount; ++i) add(std::string(1, static_cast<char>('a' + i)));
  }

  // `change` sees the description before it is registered.
  SimulatedModel& add(const std::string& id, const std::function<void(ModelDescription&)>& change = {}) {
    SimulatedModel& served =
        world.addModel(urlOf(id)).reply("from " + id).latency(Duration::zero(), Duration::zero());
    ModelDescription description{.id = id, .url = urlOf(id), .priority = -id[0], .capabilities = {"chat"}};
    if (change) change(description);
    router->registerModel(description);
    return served;
  }
  static std::string urlOf(const std::string& id) { return "http://" + id + ".test/v1"; }
  SimulatedModel& served(const std::string& id) { return world.model(urlOf(id)); }

  // Routes one request, to its end.
  Ending ask(NameList requirements = {"chat"}) {
    Ending ending;
    start(ending, std::move(requirements));
    world.run();
    REQUIRE(ending.ended);
    CHECK(world.openConnections() == 0);
    return ending;
  }
  void start(Ending& ending, NameList requirements = {"chat"}) {
    world.spawn(routeInto(world.environment(), *router,
                          RouteRequest("req-1", helloContext(), std::move(requirements)), ending));
  }

  RouterWorld world;
  std::optional<ModelRouter> router;
};

}  // namespace lukhas::test
