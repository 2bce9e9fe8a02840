#include "lukhas/route/circuit_breaker.hpp"

#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::CircuitBreaker;
using lukhas::CircuitBreakerOptions;
using lukhas::CircuitEvent;
using lukhas::CircuitOutcome;
using lukhas::CircuitState;
using lukhas::Environment;
using lukhas::RouteErrc;

namespace {

constexpr CircuitBreakerOptions small{
    .failureThreshold = 2, .minimumRequests = 2, .windowSize = 4, .openFor = 10s, .successThreshold = 2};

void fail(CircuitBreaker& breaker, int times) {
  for (int i = 0; i < times; ++i) {
    if (auto permit = breaker.tryAcquire()) permit->record(CircuitOutcome::failure);
  }
}

// What a call through the breaker ended with; empty: it succeeded.
template <class Call>
std::string outcomeOf(lukhas::Simulation& world, CircuitBreaker& breaker, Call call) {
  std::string outcome;
  const auto runIt = [](CircuitBreaker& b, Call fn, std::string& result) -> asio::awaitable<void> {
    try {
      co_await b.call(fn);
    } catch (const lukhas::Error& error) {
      result = error.code().message();
    } catch (const std::exception& error) {
      result = error.what();
    }
  };
  world.spawn(runIt(breaker, call, outcome));
  world.run();
  return outcome;
}

}  // namespace

TEST_CASE("a breaker opens and tries and closes and tells each change", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "billing", small);
  std::vector<std::string> seen;
  const auto listen = [&seen](const CircuitEvent& event) {
    std::ostringstream text;
    text << event;
    seen.push_back(text.str());
  };
  breaker.onOpen.connect(listen).detach();
  breaker.onHalfOpen.connect(listen).detach();
  breaker.onClosed.connect(listen).detach();
  fail(breaker, 2);
  CHECK(breaker.state() == CircuitState::open);
  CHECK(breaker.retryAfter() == 10s);
  CHECK_FALSE(breaker.tryAcquire());
  world.runFor(10s);
  CHECK(breaker.retryAfter() == 0s);
  for (int i = 0; i < 2; ++i) breaker.tryAcquire()->record(CircuitOutcome::success);
  CHECK(seen == std::vector<std::string>{"circuit of \"billing\": CLOSED -> OPEN",
                                         "circuit of \"billing\": OPEN -> HALF_OPEN",
                                         "circuit of \"billing\": HALF_OPEN -> CLOSED"});
}

TEST_CASE("a call through a closed circuit gives its result", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  const auto calls = [](CircuitBreaker& b, Environment env) -> asio::awaitable<void> {
    const int seven = co_await b.call([] { return 7; });
    CHECK(seven == 7);
    const std::string word = co_await b.call([&env]() -> asio::awaitable<std::string> {
      co_await env.sleepFor(1s);
      co_return "slept";
    });
    CHECK(word == "slept");
    co_await b.call([] {});
    co_await b.call([&env]() -> asio::awaitable<void> { co_await env.sleepFor(1s); });
  };
  world.spawn(calls(breaker, world.environment()));
  world.run();
  CHECK(breaker.getMetrics().successes == 4);
}

TEST_CASE("what a call throws is a failure and reaches the caller", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  CHECK(outcomeOf(world, breaker, [] { throw std::runtime_error("broken"); }) == "broken");
  CHECK(outcomeOf(world, breaker, [] { throw lukhas::Error(lukhas::Errc::deadline_exceeded, "late"); }) ==
        make_error_code(lukhas::Errc::deadline_exceeded).message());
  CHECK(breaker.state() == CircuitState::open);
}

TEST_CASE("an open circuit refuses without calling and says for how long", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  fail(breaker, 2);
  bool called = false;
  const auto ask = [](CircuitBreaker& b, bool& ran) -> asio::awaitable<void> {
    try {
      co_await b.call([&ran] { ran = true; });
      FAIL("permitted");
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == RouteErrc::circuit_open);
      CHECK(error.details() == nlohmann::json{{"name", "b"}, {"retryAfterMs", 10'000}});
    }
  };
  world.spawn(ask(breaker, called));
  world.run();
  CHECK_FALSE(called);
}

TEST_CASE("a cancelled call is neutral", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  const auto ask = [](CircuitBreaker& b, Environment env) -> asio::awaitable<void> {
    co_await b.call([&env]() -> asio::awaitable<void> { co_await env.sleepFor(1h); });
  };
  for (int i = 0; i < 10; ++i) {
    asio::cancellation_signal signal;
    std::exception_ptr failure;
    asio::co_spawn(world.environment().executor(), ask(breaker, world.environment()),
                   asio::bind_cancellation_slot(signal.slot(),
                                                [&failure](std::exception_ptr error) { failure = error; }));
    world.runFor(1s);
    signal.emit(asio::cancellation_type::terminal);
    world.run();
    CHECK(failure);
  }
  CHECK(breaker.state() == CircuitState::closed);
  CHECK(breaker.getMetrics().neutralOutcomes == 10);
}

TEST_CASE("a call that its own timer cuts off is a failure", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  const Environment env = world.environment();
  const auto cutOff = [&env]() -> asio::awaitable<void> {
    lukhas::ChildTask<void> work(env, env.sleepFor(1h));
    (void)co_await work.joinUntil(env.after(1s));
    work.cancel();
    co_await work.join();
  };
  for (int i = 0; i < 2; ++i) CHECK_FALSE(outcomeOf(world, breaker, cutOff).empty());
  CHECK(breaker.getMetrics().failures == 2);
  CHECK(breaker.state() == CircuitState::open);
}

TEST_CASE("a permission comes back however it is lost", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  fail(breaker, 2);
  world.runFor(10s);
  const auto held = [&breaker] {
    std::vector<CircuitBreaker::Permit> permits;
    while (auto permit = breaker.tryAcquire()) permits.push_back(std::move(*permit));
    return permits;
  };
  CHECK(held().size() == 3);  // destroyed at once
  std::vector<CircuitBreaker::Permit> permits = held();
  CHECK(permits.size() == 3);
  permits[0] = std::move(permits[1]);  // the overwritten one comes back
  CHECK(held().size() == 1);
  permits.clear();
  CHECK(held().size() == 3);
  CHECK(breaker.state() == CircuitState::half_open);
}

TEST_CASE("only the first outcome of a permission counts", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  for (int i = 0; i < 2; ++i) {
    auto permit = breaker.tryAcquire();
    permit->record(CircuitOutcome::success);
    permit->record(CircuitOutcome::failure);
  }
  CHECK(breaker.state() == CircuitState::closed);
  CHECK(breaker.getMetrics().failures == 0);
}

TEST_CASE("a permission may outlive its breaker", "[route]") {
  lukhas::Simulation world;
  std::optional<CircuitBreaker> breaker(std::in_place, world.environment(), "b", small);
  auto permit = breaker->tryAcquire();
  breaker.reset();
  permit->record(CircuitOutcome::failure);
}

TEST_CASE("a breaker is unhealthy until its circuit is closed", "[route]") {
  lukhas::Simulation world;
  CircuitBreaker breaker(world.environment(), "b", small);
  CHECK(breaker.healthCheck().healthy);
  fail(breaker, 2);
  const lukhas::HealthReport health = breaker.healthCheck();
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "circuit_open");
  CHECK(health.issues[0].value == 10);
  CHECK(breaker.getMetrics().toJson().at("circuits") == nlohmann::json{{"b", "OPEN"}});
}

TEST_CASE("several threads that leave OPEN together get no more trials than permitted", "[route]") {
  for (int round = 0; round < 50; ++round) {
    lukhas::Simulation world;
    CircuitBreaker breaker(world.environment(), "b", small);
    fail(breaker, 2);
    world.runFor(10s);
    std::vector<std::vector<CircuitBreaker::Permit>> permits(4);
    std::vector<std::thread> threads;
    for (auto& mine : permits) {
      threads.emplace_back([&breaker, &mine] {
        for (int i = 0; i < 5; ++i) {
          if (auto permit = breaker.tryAcquire()) mine.push_back(std::move(*permit));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    std::size_t total = 0;
    for (const auto& mine : permits) total += mine.size();
    CHECK(total == 3);
  }
}
