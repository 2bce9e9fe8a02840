// Deadlock warnings, metrics and health.
#include "lukhas/lock/async_lock.hpp"

#include <optional>
#include <string>
#include <vector>

#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace async_lock_watch_test {

using namespace std::chrono_literals;
using lukhas::AsyncLock;

namespace {

using Task = asio::awaitable<void>;

struct Fixture {
  explicit Fixture(lukhas::AsyncLockOptions options = {}) : locks(std::in_place, env, options) {}

  // Waits for the key and holds it for a while; a time-out ends it.
  Task visit(std::string key, lukhas::Duration timeout, lukhas::Duration hold) {
    try {
      const AsyncLock::Guard guard = co_await locks->acquire(key, {.timeout = timeout, .label = "visitor"});
      co_await env.sleepFor(hold);
    } catch (const lukhas::Error&) {
    }
  }

  lukhas::Simulation world{{.seed = 5}};
  lukhas::Environment env = world.environment();
  std::optional<AsyncLock> locks;
  std::vector<lukhas::DeadlockWarning> warnings;
  lukhas::Subscription watching = locks->onDeadlock.connect(
      [this](const lukhas::DeadlockWarning& warning) { warnings.push_back(warning); });
};

}  // namespace

TEST_CASE("a lock held too long is reported once with all that is known of it", "[lock]") {
  Fixture f;
  const auto held = f.locks->tryAcquire("a", {.label = "importer"});
  f.world.runFor(9s);
  f.world.spawn(f.visit("a", 5s, 0s));
  f.world.runFor(1s - 1ns);
  CHECK(f.warnings.empty());
  f.world.runFor(1min);
  REQUIRE(f.warnings.size() == 1);
  CHECK(f.warnings[0].key == "a");
  CHECK(f.warnings[0].holder == "importer");
  CHECK(f.warnings[0].held == 10s);
  CHECK(f.warnings[0].waiters == 1);
  CHECK(f.warnings[0].token == held->token());
  CHECK(f.locks->getMetrics().deadlocksDetected == 1);
}

TEST_CASE("the time of a hold begins when it is handed over", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  f.world.runFor(6s);
  f.world.spawn(f.visit("a", 5s, 30s));
  f.world.runFor(1s);
  held.reset();
  f.world.runFor(9s);
  CHECK(f.warnings.empty());
  f.world.runFor(1s);
  REQUIRE(f.warnings.size() == 1);
  CHECK(f.warnings[0].holder == "visitor");
}

TEST_CASE("each hold of a key is reported anew", "[lock]") {
  Fixture f({.heldWarning = 1s});
  for (int i = 0; i < 3; ++i) {
    const auto held = f.locks->tryAcquire("a");
    f.world.runFor(2s);
  }
  CHECK(f.warnings.size() == 3);
}

TEST_CASE("a lock that is released in time is not reported", "[lock]") {
  Fixture f({.heldWarning = 1s});
  auto short1 = f.locks->tryAcquire("a");
  f.world.runFor(500ms);
  const auto held = f.locks->tryAcquire("b");
  short1.reset();
  f.world.runFor(1s);
  REQUIRE(f.warnings.size() == 1);
  CHECK(f.warnings[0].key == "b");
}

TEST_CASE("a held warning of zero reports nothing", "[lock]") {
  Fixture f({.heldWarning = 0s});
  const auto held = f.locks->tryAcquire("a");
  f.world.run();
  CHECK(f.world.elapsed() == 0s);
  f.world.runFor(24h);
  CHECK(f.warnings.empty());
  CHECK(f.locks->healthCheck().healthy);
}

TEST_CASE("very many locks held too long are all reported at their time", "[lock]") {
  Fixture f({.heldWarning = 1s});
  std::vector<AsyncLock::Guard> guards;
  for (int i = 0; i < 1000; ++i) guards.push_back(*f.locks->tryAcquire("key " + std::to_string(i)));
  f.world.runFor(1s);
  CHECK(f.warnings.size() == 1000);
}

TEST_CASE("a listener may release force and destroy", "[lock]") {
  Fixture f({.heldWarning = 1s});
  auto a = f.locks->tryAcquire("a");
  auto b = f.locks->tryAcquire("b");
  const lukhas::Subscription acting =
      f.locks->onDeadlock.connect([&](const lukhas::DeadlockWarning& warning) {
        CHECK(f.locks->forceRelease(warning.key));
        a.reset();
        f.locks.reset();
      });
  f.world.run();
  CHECK(f.warnings.size() == 1);
}

TEST_CASE("nothing keeps the context running once nothing is held", "[lock]") {
  Fixture f;
  const auto body = [&]() -> Task {
    const AsyncLock::Guard guard = co_await f.locks->acquire("a");
    co_await f.env.sleepFor(1s);
  };
  f.world.spawn(body());
  f.world.spawn(f.visit("a", 5s, 1s));
  f.world.run();
  CHECK(f.world.elapsed() == 2s);
}

TEST_CASE("nothing keeps a real context running once nothing is held", "[lock]") {
  asio::io_context io;
  const lukhas::Environment env{io.get_executor()};
  AsyncLock locks{env};
  const auto before = env.now();
  const auto body = [&]() -> Task {
    const AsyncLock::Guard guard = co_await locks.acquire("a");
    for (int i = 0; i < 3; ++i) co_await asio::post(asio::use_awaitable);
  };
  asio::co_spawn(io, body(), asio::detached);
  io.run();
  CHECK(env.now() - before < 4s);
}

TEST_CASE("an alarm for a late deadline does not delay an earlier one", "[lock]") {
  Fixture f({.heldWarning = 1h});
  const auto held = f.locks->tryAcquire("a");
  f.world.spawn(f.visit("a", 30min, 0s));
  f.world.runFor(1s);
  f.world.spawn(f.visit("a", 1s, 0s));
  f.world.runFor(1s);
  CHECK(f.locks->waiters("a") == 1);
}

TEST_CASE("metrics count grants and time-outs and measure waits", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  f.world.spawn(f.visit("a", 5s, 1s));
  f.world.spawn(f.visit("a", 1s, 1s));
  f.world.runFor(3s);
  CHECK(f.locks->getMetrics().waiting == 1);
  CHECK(f.locks->getMetrics().totalTimeouts == 1);
  held.reset();
  f.world.runFor(0s);
  const lukhas::LockMetrics metrics = f.locks->getMetrics();
  CHECK(metrics.activeLocks == 1);
  CHECK(metrics.waiting == 0);
  CHECK(metrics.totalAcquired == 2);
  CHECK(metrics.avgWaitMs == 1500);
  CHECK(metrics.maxWaitMs == 3000);
  (void)f.locks->tryAcquire("b");
  CHECK(f.locks->getMetrics().maxWaitMs == 3000);
  CHECK(f.locks->getMetrics().avgWaitMs == 1000);
}

TEST_CASE("a lock at rest is healthy and one held too long is not", "[lock]") {
  Fixture f;
  CHECK(f.locks->healthCheck().healthy);
  auto held = f.locks->tryAcquire("a");
  f.world.runFor(10s - 1ns);
  CHECK(f.locks->healthCheck().healthy);
  f.world.runFor(2s);
  const lukhas::HealthReport health = f.locks->healthCheck();
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "held_too_long");
  CHECK(health.issues[0].limit == 10);
  CHECK(health.issues[0].message == "1 locks are held for more than 10 s; the longest is \"a\", for 12.0 s");
  held.reset();
  CHECK(f.locks->healthCheck().healthy);
}

TEST_CASE("many time-outs are unhealthy until a minute later", "[lock]") {
  Fixture f({.timeout = 0s, .heldWarning = 0s});
  const auto held = f.locks->tryAcquire("a");
  for (int i = 0; i < 4; ++i) f.world.spawn(f.visit("a", 0s, 0s));
  f.world.runFor(0s);
  CHECK(f.locks->healthCheck().healthy);  // four are no evidence
  f.world.spawn(f.visit("a", 0s, 0s));
  f.world.runFor(0s);
  const lukhas::HealthReport health = f.locks->healthCheck();
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "high_timeout_rate");
  CHECK(health.issues[0].message == "83.3 % of the lock requests of the last minute timed out (5 of 6)");
  f.world.runFor(1min);
  CHECK(f.locks->healthCheck().healthy);
}

TEST_CASE("a timeout rate at its limit is healthy and above it is not", "[lock]") {
  Fixture f({.heldWarning = 0s});
  const auto held = f.locks->tryAcquire("a");
  for (int i = 0; i < 94; ++i) (void)f.locks->tryAcquire("b");
  for (int i = 0; i < 5; ++i) f.world.spawn(f.visit("a", 0s, 0s));
  f.world.runFor(0s);
  CHECK(f.locks->healthCheck().healthy);
  f.world.spawn(f.visit("a", 0s, 0s));
  f.world.runFor(0s);
  CHECK_FALSE(f.locks->healthCheck().healthy);
}

}  // namespace async_lock_watch_test
