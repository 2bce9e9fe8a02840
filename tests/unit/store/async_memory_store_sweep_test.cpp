#include "lukhas/store/async_memory_store.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"
#include "support/failing_world.hpp"

namespace async_memory_store_sweep_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::EvictionCause;

namespace {

struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store;
  std::vector<std::string> expired;
  std::vector<std::size_t> sweeps;
  lukhas::Subscription hearing = store.onExpired.connect(
      [this](const lukhas::StoredEntryExpired& event) { expired.push_back(event.key); });
  lukhas::Subscription sweeping =
      store.onSweep.connect([this](const lukhas::StoreSwept& event) { sweeps.push_back(event.evicted); });

  explicit Test(lukhas::AsyncMemoryStoreOptions options = {}) : store(world.environment(), options) {}
  ~Test() { CHECK(lukhas::detail::StoreAccess::checkInvariants(store)); }
  std::uint64_t count() const { return store.getMetrics().entryCount; }
};

}  // namespace

TEST_CASE("an entry is there until its time and not at it", "[store]") {
  Test test;
  test.store.trySet("k", 1, 10s);
  test.store.trySet("default", 1);
  test.world.runFor(10s - 1ns);
  CHECK(test.store.tryGet<int>("k") == 1);
  test.world.runFor(1ns);
  CHECK_FALSE(test.store.tryGet<int>("k").has_value());
  CHECK(test.expired == std::vector<std::string>{"k"});
  CHECK(test.count() == 1);
  test.world.runFor(5min - 10s);
  CHECK_FALSE(test.store.tryRemove("default"));
  CHECK(test.store.getMetrics().expirations == 2);
}

TEST_CASE("a new value brings a new time and reading does not", "[store]") {
  Test test;
  test.store.trySet("k", 1, 10s);
  test.world.runFor(9s);
  (void)test.store.tryGet<int>("k");
  CHECK(test.store.info("k")->remainingTtl == 1s);
  test.store.trySet("k", 2, 10s);
  test.world.runFor(9s);
  CHECK(test.store.tryGet<int>("k") == 2);
}

TEST_CASE("an entry that lives for ever does", "[store]") {
  Test test;
  test.store.start();
  test.store.trySet("k", 1, lukhas::Duration::max());
  test.world.run();  // and holds no timer
  test.world.runFor(24h * 365);
  CHECK(test.store.tryGet<int>("k") == 1);
}

TEST_CASE("the sweep removes what expired at each multiple of its interval", "[store]") {
  Test test;
  test.store.start();
  test.store.trySet("a", 1, 10s);
  test.store.trySet("b", 1, 60s);
  test.store.trySet("c", 1, 61s);
  test.world.runFor(60s - 1ns);
  CHECK(test.count() == 3);
  test.world.runFor(1ns);
  CHECK(test.count() == 1);
  CHECK(test.sweeps == std::vector<std::size_t>{2});
  CHECK(test.expired == std::vector<std::string>{"a", "b"});
  test.world.runFor(60s);
  CHECK(test.count() == 0);
  CHECK(test.sweeps == std::vector<std::size_t>{2, 1});
}

TEST_CASE("without a start nothing is swept and no timer is held", "[store]") {
  Test test;
  test.store.trySet("a", 1, 10s);
  test.world.run();
  CHECK(test.world.elapsed() == 0s);
  test.world.runFor(10min);
  CHECK(test.count() == 1);
  test.store.start();
  test.world.runFor(1min);
  CHECK(test.count() == 0);
}

TEST_CASE("stopped or empty the store holds no timer", "[store]") {
  Test test;
  test.store.start();
  test.world.run();
  CHECK(test.world.elapsed() == 0s);
  test.store.trySet("a", 1);
  test.store.tryRemove("a");
  test.world.run();
  CHECK(test.world.elapsed() == 0s);
  test.store.trySet("a", 1);
  test.store.stop();
  test.world.run();
  CHECK(test.world.elapsed() == 0s);
  test.store.start();
  test.store.start();
  test.world.run();
  CHECK(test.world.elapsed() == 5min);
  CHECK(test.sweeps == std::vector<std::size_t>{1});
}

TEST_CASE("a backlog is worked off in slices that let others run", "[store]") {
  Test test({.sweepSlice = 10});
  for (int i = 0; i < 1005; ++i) test.store.trySet(std::to_string(i), i, 30s);
  test.store.start();
  std::vector<std::uint64_t> seen;
  auto other = [&]() -> asio::awaitable<void> {
    co_await test.world.environment().sleepFor(60s);
    for (int i = 0; i < 400; ++i) {
      seen.push_back(test.count());
      co_await asio::post(test.world.environment().executor(), asio::use_awaitable);
    }
  };
  test.world.spawn(other());
  test.world.run();
  CHECK(test.count() == 0);
  CHECK(test.world.elapsed() == 60s);
  CHECK(test.sweeps == std::vector<std::size_t>{1005});
  CHECK(test.expired.size() == 1005);
  std::size_t between = 0;
  for (std::size_t i = 1; i < seen.size(); ++i) between += seen[i] != seen[i - 1] ? 1 : 0;
  CHECK(between > 20);
}

TEST_CASE("a sweep can be stopped and started again between its slices", "[store]") {
  Test test({.sweepSlice = 10});
  for (int i = 0; i < 100; ++i) test.store.trySet(std::to_string(i), i, 30s);
  test.store.start();
  while (test.count() > 70) test.world.runSteps(1);
  test.store.stop();
  test.world.run();
  CHECK(test.count() == 70);
  CHECK(test.sweeps == std::vector<std::size_t>{30});
  test.store.start();
  test.world.run();
  CHECK(test.count() == 0);
  CHECK(test.sweeps == std::vector<std::size_t>{30, 70});
}

TEST_CASE("each departure is told once and with its cause", "[store]") {
  Test test({.maxBytes = 64 << 10});
  std::vector<std::pair<std::string, EvictionCause>> gone;
  const auto watching = test.store.onEvicted.connect(
      [&](const lukhas::EntryEvicted& event) { gone.emplace_back(event.key, event.cause); });
  test.store.trySet("old", 1, 1s);
  test.world.runFor(1s);
  (void)test.store.tryGet<int>("old");
  test.store.trySet("removed", 1);
  test.store.tryRemove("removed");
  test.store.trySet("damaged", 1);
  lukhas::detail::StoreAccess::flipValueBit(test.store, "damaged");
  (void)test.store.tryGet<int>("damaged");
  test.store.trySet("first", std::string(30'000, 'x'));
  test.store.trySet("second", std::string(40'000, 'x'));

  using Gone = std::vector<std::pair<std::string, EvictionCause>>;
  CHECK(gone == Gone{{"old", EvictionCause::expired},
                     {"removed", EvictionCause::removed},
                     {"damaged", EvictionCause::corrupt},
                     {"first", EvictionCause::size}});
}

TEST_CASE("a store that is destroyed calls nobody and leaves no timer", "[store]") {
  lukhas::Simulation world;
  auto store = std::make_unique<AsyncMemoryStore>(world.environment());
  int heard = 0;
  const auto watching = store->onEvicted.connect([&](const lukhas::EntryEvicted&) { ++heard; });
  store->start();
  store->trySet("a", 1, 10s);
  store.reset();
  world.run();
  CHECK(world.elapsed() == 0s);
  CHECK(heard == 0);
}

TEST_CASE("a sweep goes on after a slice that there was no memory to post for", "[store]") {
  lukhas::Simulation world;
  const auto failures = std::make_shared<lukhas::test::Failures>();
  AsyncMemoryStore store(lukhas::test::FailingWorld::over(world.environment(), failures), {.sweepSlice = 10});
  for (int i = 0; i < 100; ++i) store.trySet(std::to_string(i), i, 30s);
  store.start();
  world.runFor(60s - 1ns);
  failures->posts = 1;
  world.run();
  CHECK(failures->posts == 0);
  CHECK(store.getMetrics().entryCount == 0);
  CHECK(world.elapsed() == 60s);
}

TEST_CASE("a value is stored and swept although there was no memory for the alarm", "[store]") {
  lukhas::Simulation world;
  const auto failures = std::make_shared<lukhas::test::Failures>();
  AsyncMemoryStore store(lukhas::test::FailingWorld::over(world.environment(), failures));
  store.start();
  failures->alarms = 1;
  store.trySet("k", 1, 30s);
  world.run();
  CHECK(store.getMetrics().expirations == 1);
  CHECK(world.elapsed() == 60s);
}

TEST_CASE("a listener may destroy the store in the middle of any call", "[store]") {
  const auto destroyedBy = [](auto&& call) {
    lukhas::Simulation world;
    auto store = std::make_unique<AsyncMemoryStore>(world.environment());
    const auto destroying =
        store->onExpired.connect([&](const lukhas::StoredEntryExpired&) { store.reset(); });
    int heard = 0;
    const auto watching = store->onEvicted.connect([&](const lukhas::EntryEvicted& event) {
      if (event.cause == EvictionCause::expired) ++heard;
    });
    for (int i = 0; i < 40; ++i) store->trySet("measured", i);
    store->trySet("k", 1, 1s);
    world.runFor(1s);
    call(*store);
    CHECK(store == nullptr);
    CHECK(heard == 1);
  };
  destroyedBy([](AsyncMemoryStore& store) { store.trySet("k", 2); });
  destroyedBy([](AsyncMemoryStore& store) { (void)store.tryGet<int>("k"); });
  destroyedBy([](AsyncMemoryStore& store) { (void)store.tryRemove("k"); });
  destroyedBy([](AsyncMemoryStore& store) { (void)store.info("k"); });
}

}  // namespace async_memory_store_sweep_test
