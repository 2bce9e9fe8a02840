// What a lock keeps in memory, and what it does without any.
#include "lukhas/lock/async_lock.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"
#include "support/failing_world.hpp"
#include "support/memory_in_use.hpp"

namespace async_lock_memory_test {

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using lukhas::test::memoryInUse;

namespace {

struct Fixture {
  asio::awaitable<void> waitInVain() {
    try {
      (void)co_await locks.acquire("a", {.timeout = 5s});
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == lukhas::LockErrc::timeout);
      timedOut.push_back(world.elapsed());
    }
  }

  lukhas::Simulation world{{.seed = 5}};
  std::shared_ptr<lukhas::test::Failures> failures = std::make_shared<lukhas::test::Failures>();
  lukhas::AsyncLock locks{lukhas::test::FailingWorld::over(world.environment(), failures),
                          {.heldWarning = 0s}};
  std::optional<lukhas::LockGuard> held = locks.tryAcquire("a");
  std::vector<lukhas::Duration> timedOut;
};

using Times = std::vector<lukhas::Duration>;

}  // namespace

TEST_CASE("a time-out survives an alarm that there was no memory for", "[lock]") {
  Fixture f;
  f.failures->alarms = 1;
  f.world.spawn(f.waitInVain());
  f.world.run();
  CHECK(f.timedOut == Times{5s});
}

TEST_CASE("time-outs come again with the next change after there was no memory at all", "[lock]") {
  Fixture f;
  *f.failures = {.alarms = 1, .posts = 1};
  f.world.spawn(f.waitInVain());
  f.world.run();
  CHECK(f.timedOut.empty());
  f.world.spawn(f.waitInVain());
  f.world.run();
  CHECK(f.timedOut == Times{5s, 5s});
}

TEST_CASE("a million keys that were held and given back leave no memory behind", "[lock]") {
  constexpr std::size_t keys = 1'000'000;
  lukhas::Simulation world;
  AsyncLock locks{world.environment(), {.heldWarning = 0s}};
  std::vector<std::optional<AsyncLock::Guard>> held(keys);
  (void)locks.tryAcquire("the first key brings the table's first chunk");
  world.run();

  const std::ptrdiff_t baseline = memoryInUse();
  for (const std::size_t count : {keys, keys / 100}) {
    for (std::size_t i = 0; i < count; ++i) held[i] = locks.tryAcquire("session:" + std::to_string(i));
    const std::ptrdiff_t full = memoryInUse();
    // Each second one first, so that the table shrinks among keys that stay.
    for (std::size_t i = 0; i < count; i += 2) held[i].reset();
    for (std::size_t i = 1; i < count; i += 2) held[i].reset();
    world.run();
    const std::ptrdiff_t afterwards = memoryInUse();
    CHECK(full > baseline + static_cast<std::ptrdiff_t>(count * 100));
    CHECK(afterwards == baseline);
  }
}

TEST_CASE("keys that come and go one after the other need no memory between them", "[lock]") {
  lukhas::Simulation world;
  AsyncLock locks{world.environment(), {.heldWarning = 0s}};
  (void)locks.tryAcquire("first");
  const std::ptrdiff_t baseline = memoryInUse();
  for (int i = 0; i < 100'000; ++i) (void)locks.tryAcquire("session:" + std::to_string(i));
  const std::ptrdiff_t afterwards = memoryInUse();
  CHECK(afterwards == baseline);
}

TEST_CASE("a very long queue is handed on and destroyed without recursion", "[lock]") {
  // One release inside another would take more than a hundred bytes of stack each: not to be had so often.
  const std::size_t waiters = test::runs(100'000, 1'000'000);
  lukhas::Simulation world;
  std::optional<AsyncLock> locks(std::in_place, world.environment(),
                                 lukhas::AsyncLockOptions{.timeout = 1h, .maxWaiters = 2'000'000});
  std::optional<AsyncLock::Guard> held = locks->tryAcquire("a");
  std::size_t served = 0;
  std::size_t closed = 0;
  const auto wait = [&]() -> asio::awaitable<void> {
    try {
      const AsyncLock::Guard guard = co_await locks->acquire("a");
      ++served;
    } catch (const lukhas::Error& error) {
      if (error.code() == lukhas::LockErrc::lock_closed) ++closed;
    }
  };
  const auto fill = [&] {
    for (std::size_t i = 0; i < waiters; ++i) world.spawn(wait());
    world.runFor(0s);
    CHECK(locks->waiters("a") == waiters);
  };
  fill();
  held.reset();
  world.runFor(0s);
  CHECK(served == waiters);

  held = locks->tryAcquire("a");
  fill();
  locks.reset();
  world.run();
  CHECK(closed == waiters);
}

}  // namespace async_lock_memory_test
