#include "lukhas/store/store_events.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

namespace store_events_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::EntryEvicted;
using lukhas::EvictionCause;

namespace {

using Told = std::vector<std::pair<std::string, EvictionCause>>;

struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment(), {.maxBytes = 64 << 10}};
  Told told;
  std::vector<std::string> values;  // "-": damaged
  lukhas::Subscription hearing = store.onEvicted.connect([this](const EntryEvicted& event) {
    told.emplace_back(event.key, event.cause);
    const std::optional<lukhas::View> value = event.value();
    values.push_back(value ? std::string(value->text()) : "-");
  });
  ~Test() { CHECK(lukhas::detail::StoreAccess::checkInvariants(store)); }
};

}  // namespace

TEST_CASE("what is written again was replaced, by each way to write", "[store]") {
  Test test;
  test.store.trySet("k", "1");
  test.store.trySet("k", "2");
  const std::vector<std::pair<std::string, std::string>> batch{{"k", "3"}, {"new", "1"}};
  test.store.tryBatchSet(batch);
  CHECK(test.store.tryCompareAndSet("k", test.store.info("k")->version, "4"));
  auto body = [&]() -> asio::awaitable<void> {
    auto change = [](std::string& value) { value = "5"; };
    (void)co_await test.store.update<std::string>("k", change);
  };
  test.world.spawn(body());
  test.world.run();
  const std::pair<std::string, EvictionCause> replaced{"k", EvictionCause::replaced};
  CHECK(test.told == Told{replaced, replaced, replaced, replaced});
  CHECK(test.values == std::vector<std::string>{"1", "2", "3", "4"});
}

TEST_CASE("what is removed is told of, by each way to remove", "[store]") {
  Test test;
  for (const char* key : {"a", "b", "c", "d"}) test.store.trySet(key, key);
  test.store.trySet("expired", "e", 1s);
  test.world.runFor(1s);
  test.store.tryRemove("a");
  test.store.tryBatchRemove({"b", "nobody"});
  test.store.tryClear();
  CHECK(test.told == Told{{"a", EvictionCause::removed},
                          {"b", EvictionCause::removed},
                          {"expired", EvictionCause::expired},
                          {"c", EvictionCause::removed},
                          {"d", EvictionCause::removed}});
  CHECK(test.values == std::vector<std::string>{"a", "b", "e", "c", "d"});
  CHECK(test.store.getMetrics().evictions == 0);
  CHECK(test.store.getMetrics().expirations == 1);
}

TEST_CASE("what is expired and in the way is reported as expired", "[store]") {
  Test test;
  test.store.trySet("old", std::string(30'000, 'o'), 1s);
  test.store.trySet("k", "1", 1s);
  test.store.trySet("live", "l", 1h);
  test.world.runFor(1s);
  test.store.trySet("k", "2");
  test.store.trySet("large", std::string(50'000, 'x'));
  CHECK(test.told == Told{{"k", EvictionCause::expired}, {"old", EvictionCause::expired}});
  CHECK(test.store.tryHas("live"));
}

TEST_CASE("the bytes of an evicted entry can be kept, but not damaged ones", "[store]") {
  Test test;
  test.store.trySet("first", std::string(30'000, 'f'));
  test.store.trySet("damaged", std::string(30'000, 'd'));
  lukhas::detail::StoreAccess::flipValueBit(test.store, "damaged", 77);
  test.store.trySet("large", std::string(60'000, 'x'));
  test.store.trySet("bad", "b");
  lukhas::detail::StoreAccess::flipValueBit(test.store, "bad");
  CHECK_FALSE(test.store.tryHas("first"));
  CHECK_FALSE(test.store.tryGet<std::string>("bad").has_value());
  REQUIRE(test.told.size() >= 3);
  CHECK(test.values[0] == std::string(30'000, 'f'));
  CHECK(test.values[1] == "-");
  CHECK(test.told.back() == std::pair<std::string, EvictionCause>{"bad", EvictionCause::corrupt});
  CHECK(test.values.back() == "-");
}

TEST_CASE("a second level that is written by the events and read by a loader loses nothing", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment(), {.maxBytes = 64 << 10});
  std::map<std::string, std::string> disk;
  const auto spilling = store.onEvicted.connect([&](const EntryEvicted& event) {
    if (event.cause != EvictionCause::size) return;
    if (const auto value = event.value()) disk[event.key] = value->text();
  });
  for (int i = 0; i < 200; ++i)
    store.trySet("k" + std::to_string(i), std::string(1000, 'x') + std::to_string(i));
  CHECK(disk.size() > 100);
  auto body = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 200; ++i) {
      const std::string key = "k" + std::to_string(i);
      auto load = [&] { return disk.at(key); };
      const std::string value = co_await store.getOrCompute<std::string>(key, load);
      CHECK(value == std::string(1000, 'x') + std::to_string(i));
    }
  };
  world.spawn(body());
  world.run();
}

TEST_CASE("a listener of one kind is told of its own only", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment());
  std::vector<std::string> expired;
  const auto hearing =
      store.onExpired.connect([&](const lukhas::StoredEntryExpired& event) { expired.push_back(event.key); });
  store.trySet("a", 1, 1s);
  store.trySet("b", 1);
  store.trySet("b", 2);
  store.tryRemove("b");
  world.runFor(1s);
  CHECK_FALSE(store.tryHas("a"));
  CHECK(expired == std::vector<std::string>{"a"});
}

}  // namespace store_events_test
