#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::StoreErrc;
using lukhas::detail::StoreAccess;

namespace {

constexpr std::size_t allShards = 1 << 20;

struct Sharded {
  explicit Sharded(std::size_t shards)
      : store(world.environment(), {.maxBytes = allShards, .shards = shards}) {}
  ~Sharded() { CHECK(StoreAccess::checkInvariants(store)); }

  lukhas::Simulation world;
  AsyncMemoryStore store;
};

std::string nameOf(int i) { return fmt::format("k{}", i); }

}  // namespace

TEST_CASE("whatever the number of shards, a store holds what was put in", "[store]") {
  for (const std::size_t shards : {1U, 2U, 4U, 16U}) {
    Sharded test(shards);
    for (int i = 0; i < 500; ++i) test.store.trySet(nameOf(i), i);
    for (int i = 0; i < 500; ++i) CHECK(test.store.tryGet<int>(nameOf(i)) == i);
    CHECK_FALSE(test.store.tryGet<int>("none").has_value());
    CHECK(test.store.keys().size() == 500);
    CHECK(test.store.keys("k49").size() == 11);
    CHECK(test.store.tryRemove("k7"));
    CHECK_FALSE(test.store.tryHas("k7"));
    const auto metrics = test.store.getMetrics();
    CHECK(metrics.entryCount == 499);
    CHECK(metrics.hits == 500);
    CHECK(metrics.misses == 1);
    CHECK(metrics.totalSize <= allShards);
    test.store.tryClear();
    CHECK(test.store.getMetrics().totalSize == 0);
  }
}

TEST_CASE("several shards together stay below the limit", "[store]") {
  Sharded test(8);
  for (int i = 0; i < 20'000; ++i) {
    test.store.trySet(nameOf(i), std::string(100, 'x'));
    if (i % 32 == 0) REQUIRE(test.store.getMetrics().totalSize <= allShards);
  }
  CHECK(test.store.getMetrics().totalSize > allShards * 8 / 10);
}

TEST_CASE("a batch over several shards is stored whole", "[store]") {
  Sharded test(8);
  std::vector<std::pair<std::string, int>> batch;
  for (int i = 0; i < 200; ++i) batch.emplace_back(nameOf(i), i);
  test.store.tryBatchSet(batch);
  lukhas::NameList keys;
  for (int i = 0; i < 200; ++i) CHECK(test.store.tryGet<int>(nameOf(i)) == i);
  const auto found = test.store.tryBatchGet<int>({"k3", "none", "k199"});
  CHECK(found == std::vector<std::optional<int>>{3, std::nullopt, 199});
  CHECK(test.store.tryBatchRemove({"k1", "k2", "k3", "none"}) == 3);
  CHECK(test.store.getMetrics().entryCount == 197);
}

TEST_CASE("a batch that is too large for one of its shards changes nothing", "[store]") {
  Sharded test(8);
  for (int i = 0; i < 50; ++i) test.store.trySet(nameOf(i), std::string("old"));
  std::vector<std::pair<std::string, std::string>> batch;
  for (int i = 0; i < 50; ++i) batch.emplace_back(nameOf(i), std::string(30'000, 'x'));
  try {
    test.store.tryBatchSet(batch);
    FAIL("it was taken");
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == StoreErrc::batch_too_large);
    CHECK(error.details()["maximum"] == allShards);
  }
  for (int i = 0; i < 50; ++i) CHECK(test.store.tryGet<std::string>(nameOf(i)) == "old");
  CHECK(test.store.getMetrics().evictions == 0);
}

TEST_CASE("the largest entry is a shard's share", "[store]") {
  Sharded test(4);
  test.store.trySet("k", std::string(allShards / 4 - 6'000, 'x'));
  try {
    test.store.trySet("k", std::string(allShards / 4, 'x'));
    FAIL("it was taken");
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == StoreErrc::value_too_large);
    CHECK(error.details()["maximum"] == allShards / 4);
  }
}

TEST_CASE("each shard sweeps what expired", "[store]") {
  Sharded test(4);
  test.store.start();
  std::size_t swept = 0;
  const auto watching = test.store.onSweep.connect([&](const lukhas::StoreSwept& e) { swept += e.evicted; });
  for (int i = 0; i < 100; ++i) test.store.trySet(nameOf(i), i, 10s);
  test.world.runFor(60s);
  CHECK(swept == 100);
  CHECK(test.store.getMetrics().expirations == 100);
  CHECK(test.store.getMetrics().entryCount == 0);
  test.store.stop();
}

TEST_CASE("a number of shards that is no power of two or too large is refused with its value", "[store]") {
  lukhas::Simulation world;
  for (const std::size_t shards : {0U, 3U, 65U, 128U}) {
    try {
      AsyncMemoryStore store(world.environment(), {.shards = shards});
      FAIL("it was taken");
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == lukhas::Errc::invalid_option);
      CHECK(error.details()["option"] == "shards");
    }
  }
  CHECK_THROWS_AS(AsyncMemoryStore(world.environment(), {.maxBytes = 128 << 10, .shards = 4}), lukhas::Error);
}
