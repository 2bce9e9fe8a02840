#include "lukhas/store/detail/store_loading.hpp"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/split_mix.hpp"
#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"

namespace store_loads_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::ChildTask;
using lukhas::Simulation;
using lukhas::StoreErrc;
using lukhas::detail::StoreAccess;

TEST_CASE("a thousand callers of one key run one loader", "[store]") {
  for (std::uint64_t seed = 1; seed <= test::runs(20, 200); ++seed) {
    INFO("seed " << seed);
    Simulation world({.seed = seed});
    AsyncMemoryStore store(world.environment());
    int loads = 0;
    int answered = 0;
    const auto ask = [&](lukhas::Duration when) -> asio::awaitable<void> {
      co_await world.environment().sleepFor(when);
      auto load = [&]() -> asio::awaitable<int> {
        ++loads;
        co_await world.environment().sleepFor(100ms);
        co_return 7;
      };
      const int value = co_await store.getOrCompute<int>("k", load, 1h);
      answered += value == 7 ? 1 : 0;
    };
    for (int i = 0; i < 1000; ++i) world.spawn(ask(std::chrono::milliseconds(i % 150)));
    world.run();
    CHECK(loads == 1);
    CHECK(answered == 1000);
    CHECK(store.getMetrics().hits + store.getMetrics().misses == 1000);
  }
}

TEST_CASE("when every loader fails each of a thousand callers has run its own", "[store]") {
  Simulation world({.seed = 3});
  AsyncMemoryStore store(world.environment());
  int loads = 0;
  int failed = 0;
  const auto ask = [&]() -> asio::awaitable<void> {
    auto load = [&]() -> asio::awaitable<int> {
      ++loads;
      co_await world.environment().sleepFor(1ms);
      throw std::runtime_error("no");
    };
    try {
      (void)co_await store.getOrCompute<int>("k", load);
    } catch (const std::runtime_error&) {
      ++failed;
    }
  };
  for (int i = 0; i < 1000; ++i) world.spawn(ask());
  world.run();
  CHECK(loads == 1000);
  CHECK(failed == 1000);
  CHECK(world.elapsed() == 1s);
  CHECK(StoreAccess::loads(store) == 0);
}

TEST_CASE("a loader that hangs holds up nobody whose patience ends, nor who comes after a change",
          "[store]") {
  Simulation world;
  AsyncMemoryStore store(world.environment());
  std::vector<std::string> log;
  const auto ask = [&](std::string who, lukhas::Duration loadTime) -> asio::awaitable<void> {
    auto load = [&]() -> asio::awaitable<int> {
      co_await world.environment().sleepFor(loadTime);
      co_return 1;
    };
    const int value = co_await store.getOrCompute<int>("k", load);
    log.push_back(who + "=" + std::to_string(value));
  };
  const auto body = [&]() -> asio::awaitable<void> {
    const lukhas::Environment env = world.environment();
    ChildTask<void> hanging(env, ask("hanging", 24h));
    co_await env.sleepFor(1s);
    {
      ChildTask<void> impatient(env, ask("impatient", 1s));
      const bool answered = co_await impatient.joinUntil(env.after(5s));
      CHECK_FALSE(answered);
    }
    ChildTask<void> waiting(env, ask("waiting", 1s));
    co_await env.sleepFor(1s);
    store.tryRemove("k");
    co_await ask("later", 1s);
    hanging.cancel();
    co_await waiting.join();
  };
  world.spawn(body());
  world.run();
  CHECK(log == std::vector<std::string>{"later=1", "waiting=1"});
  CHECK(StoreAccess::loads(store) == 0);
  CHECK(world.elapsed() < 1min);
}

namespace {

// Keys whose loaders ask for others at random, in circles too, while some fail, callers lose their patience
// and keys are changed.
struct Tangle {
  explicit Tangle(std::uint64_t seed, lukhas::AsyncMemoryStoreOptions options)
      : world({.seed = seed}), chance(seed), store(world.environment(), options) {}

  asio::awaitable<int> get(std::size_t key) {
    auto load = [this, key]() -> asio::awaitable<int> { return make(key); };
    const int value = co_await store.getOrCompute<int>("k" + std::to_string(key), load, 50ms);
    co_return value;
  }
  asio::awaitable<int> make(std::size_t key) {
    ++running;
    struct Done {
      int& running;
      ~Done() { --running; }
    } done{running};
    co_await world.environment().sleepFor(std::chrono::milliseconds(chance.below(20)));
    if (chance.below(10) == 0) throw std::runtime_error("load");
    int sum = static_cast<int>(key);
    for (auto left = chance.below(3); left > 0; --left) sum += co_await get(chance.below(keys));
    co_return sum;
  }
  asio::awaitable<void> ask() {
    try {
      (void)co_await get(chance.below(keys));
      ++answered;
    } catch (const lukhas::Error& error) {
      error.code() == StoreErrc::load_cycle ? ++circles : ++cancelled;
    } catch (const std::runtime_error&) {
      ++failed;
    }
  }
  asio::awaitable<void> caller() {
    const lukhas::Environment env = world.environment();
    for (int i = 0; i < 8; ++i) {
      co_await env.sleepFor(std::chrono::milliseconds(chance.below(15)));
      ChildTask<void> asking(env, ask());
      if (chance.below(4) == 0) {
        (void)co_await asking.joinUntil(env.after(std::chrono::milliseconds(chance.below(15))));
      } else {
        co_await asking.join();
      }
    }
    ++finished;
  }
  asio::awaitable<void> changer() {
    for (int i = 0; i < 20; ++i) {
      co_await world.environment().sleepFor(std::chrono::milliseconds(chance.below(10)));
      const std::string key = "k" + std::to_string(chance.below(keys));
      if (chance.below(2) == 0) {
        store.trySet(key, 1, 20ms);
      } else {
        store.tryRemove(key);
      }
    }
  }

  static constexpr std::size_t keys = 5;
  static constexpr int callers = 8;
  Simulation world;
  lukhas::SplitMix chance;
  AsyncMemoryStore store;
  int running = 0;
  int answered = 0;
  int circles = 0;
  int cancelled = 0;
  int failed = 0;
  int finished = 0;
};

void tangle(lukhas::AsyncMemoryStoreOptions options) {
  std::uint64_t answered = 0;
  std::uint64_t circles = 0;
  const std::uint64_t seeds = test::runs(200, 10'000);
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    Tangle test(seed, options);
    for (int i = 0; i < Tangle::callers; ++i) test.world.spawn(test.caller());
    test.world.spawn(test.changer());
    test.world.runFor(10min);  // those who wait for each other hold no timer
    CHECK(test.finished == Tangle::callers);
    CHECK(test.running == 0);
    CHECK(StoreAccess::loads(test.store) == 0);
    CHECK(StoreAccess::checkInvariants(test.store));
    answered += static_cast<std::uint64_t>(test.answered);
    circles += static_cast<std::uint64_t>(test.circles);
  }
  CHECK(answered > 2 * seeds);
  CHECK(circles > seeds / 2);
}

}  // namespace

TEST_CASE("loaders that ask for each other in circles leave nobody waiting", "[store]") { tangle({}); }

TEST_CASE("so do loaders that also run in the background", "[store]") { tangle({.earlyRefresh = 1}); }

}  // namespace store_loads_test
