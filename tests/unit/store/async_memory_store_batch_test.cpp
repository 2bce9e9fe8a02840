#include "lukhas/store/async_memory_store.hpp"

#include <array>
#include <map>
#include <ranges>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::StoreErrc;
using lukhas::detail::StoreAccess;
using nlohmann::json;

namespace {

using Batch = std::vector<std::pair<std::string, std::string>>;

struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment(), {.maxBytes = 1 << 20}};

  ~Test() { CHECK(StoreAccess::checkInvariants(store)); }

  std::error_code set(const Batch& batch, AsyncMemoryStore::Ttl ttl = std::nullopt) {
    std::error_code code;
    auto body = [&]() -> asio::awaitable<void> { co_await store.batchSet(batch, ttl); };
    try {
      world.spawn(body());
      world.run();
    } catch (const lukhas::Error& error) {
      code = error.code();
    }
    return code;
  }
  std::size_t remove(lukhas::NameList keys) {
    std::size_t removed = 0;
    auto body = [&]() -> asio::awaitable<void> { removed = co_await store.batchRemove(keys); };
    world.spawn(body());
    world.run();
    return removed;
  }
  std::string text(const std::string& key) { return store.tryGet<std::string>(key).value_or("-"); }
};

Batch manyOf(std::size_t count, std::size_t bytes) {
  Batch batch;
  for (std::size_t i = 0; i < count; ++i)
    batch.emplace_back("m" + std::to_string(i), std::string(bytes, 'm'));
  return batch;
}

}  // namespace

TEST_CASE("a batch is read in the order of its keys", "[store]") {
  Test test;
  CHECK(test.set({{"a", "1"}, {"b", "2"}}, 10s) == std::error_code());
  auto body = [&]() -> asio::awaitable<void> {
    const auto values = co_await test.store.batchGet<std::string>({"b", "missing", "a"});
    const std::vector<std::optional<std::string>> expected{"2", std::nullopt, "1"};
    CHECK(values == expected);
    const auto none = co_await test.store.batchGet<std::string>({});
    CHECK(none.empty());
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(test.store.info("a")->remainingTtl == 10s);
  CHECK(test.store.getMetrics().hits == 2);
  CHECK(test.store.getMetrics().misses == 1);
}

TEST_CASE("any range of pairs is a batch", "[store]") {
  Test test;
  const std::map<std::string, json> batch{{"a", 1}, {"b", "two"}};
  auto body = [&]() -> asio::awaitable<void> { co_await test.store.batchSet(batch); };
  test.world.spawn(body());
  test.world.run();
  CHECK(test.store.tryGet<json>("b") == json("two"));
}

TEST_CASE("a view that can only be read as it is no constant is a batch", "[store]") {
  Test test;
  const Batch all{{"a", "1"}, {"b", ""}, {"c", "3"}};
  const auto holdsSomething = [](const auto& entry) { return !entry.second.empty(); };
  auto some = all | std::views::filter(holdsSomething);
  auto body = [&]() -> asio::awaitable<void> { co_await test.store.batchSet(some); };
  test.world.spawn(body());
  test.world.run();
  CHECK(test.store.keys() == std::vector<std::string>{"a", "c"});
  test.store.tryBatchSet(Batch{{"d", "4"}, {"e", ""}} | std::views::filter(holdsSomething));
  CHECK(test.store.keys() == std::vector<std::string>{"a", "c", "d"});
  std::array<std::pair<std::string, std::string>, 2> named{{{"f", "6"}, {"g", "7"}}};
  test.store.tryBatchSet(named);
  CHECK(test.text("g") == "7");
}

TEST_CASE("a batch with one bad key or value changes nothing", "[store]") {
  Test test;
  test.set({{"a", "old"}});
  CHECK(test.set({{"a", "new"}, {"b", "new"}, {"", "new"}}) == StoreErrc::empty_key);
  CHECK(test.set({{"a", "new"}, {std::string(257, 'k'), "new"}}) == StoreErrc::key_too_long);
  CHECK(test.set({{"a", "new"}, {"b", std::string(2 << 20, 'x')}}) == StoreErrc::value_too_large);
  CHECK(test.set({{"a", "new"}}, 0s) == StoreErrc::invalid_ttl);
  CHECK(test.text("a") == "old");
  CHECK(test.text("b") == "-");
}

TEST_CASE("a batch that cannot fit is refused whole", "[store]") {
  Test test;
  test.set({{"a", "old"}, {"other", "kept"}});
  Batch batch = manyOf(12, 100'000);
  batch.emplace_back("a", "new");
  CHECK(test.set(batch) == StoreErrc::batch_too_large);
  CHECK(test.text("a") == "old");
  CHECK(test.text("other") == "kept");
  CHECK(test.store.getMetrics().entryCount == 2);
  CHECK(test.store.getMetrics().evictions == 0);
}

TEST_CASE("a batch that fits pushes others out but never its own", "[store]") {
  Test test;
  for (int i = 0; i < 100; ++i) test.store.trySet("k" + std::to_string(i), std::string(10'000, 'x'));
  Batch batch = manyOf(9, 100'000);
  batch.emplace_back("k0", std::string(50'000, 'y'));  // the oldest: replaced, not evicted
  CHECK(test.set(batch) == std::error_code());
  for (const auto& [key, value] : batch) CHECK(test.store.tryGet<std::string>(key) == value);
  CHECK(test.store.getMetrics().totalSize <= 1 << 20);
  CHECK(test.store.getMetrics().evictions > 80);
}

TEST_CASE("a large batch of tiny entries replaces itself", "[store]") {
  Test test;
  const Batch batch = manyOf(2500, 8);
  CHECK(test.set(batch) == std::error_code());
  for (int round = 0; round < 3; ++round) {
    CHECK(test.set(batch) == std::error_code());
    CHECK(test.store.getMetrics().entryCount == 2500);
    CHECK(StoreAccess::checkInvariants(test.store));
  }
  CHECK(test.store.getMetrics().evictions == 0);
}

TEST_CASE("a batch with a key twice is refused and changes nothing", "[store]") {
  Test test;
  test.set({{"a", "old"}});
  CHECK(test.set({{"a", "1"}, {"b", "2"}, {"a", "3"}}) == StoreErrc::duplicate_key);
  CHECK(test.text("a") == "old");
  CHECK(test.text("b") == "-");
  CHECK(test.store.getMetrics().entryCount == 1);
  CHECK_THROWS_AS(test.store.tryBatchSet(Batch{{"c", "1"}, {"c", "1"}}), lukhas::Error);
  CHECK(test.text("c") == "-");
}

TEST_CASE("a batch to read or to remove with a key twice is refused too", "[store]") {
  Test test;
  test.set({{"a", "1"}, {"b", "2"}});
  const lukhas::NameList twice{"a", "b", "a"};
  const auto refuses = [&](const auto& call) {
    try {
      call();
    } catch (const lukhas::Error& error) {
      return error.code() == StoreErrc::duplicate_key && error.details()["key"] == "a";
    }
    return false;
  };
  CHECK(refuses([&] { (void)test.store.tryBatchGet<std::string>(twice); }));
  CHECK(refuses([&] { (void)test.store.tryBatchRemove(twice); }));
  CHECK(refuses([&] { (void)test.remove(twice); }));
  auto read = [&]() -> asio::awaitable<void> { (void)co_await test.store.batchGet<std::string>(twice); };
  CHECK(refuses([&] {
    test.world.spawn(read());
    test.world.run();
  }));
  CHECK(test.text("a") == "1");
  CHECK(test.store.getMetrics().hits == 1);
  CHECK(test.store.getMetrics().entryCount == 2);
}

TEST_CASE("the entries of a batch are used in their order", "[store]") {
  Test test;
  test.set(manyOf(10, 100'000));
  test.store.trySet("large", std::string(250'000, 'x'));
  CHECK(test.text("m0") == "-");
  CHECK(test.text("m2") == "-");
  CHECK(test.text("m3") != "-");
}

TEST_CASE("a batch is removed at once and says how many there were", "[store]") {
  Test test;
  test.set({{"a", "1"}, {"b", "2"}, {"c", "3"}});
  CHECK(test.remove({"a", "missing", "c"}) == 2);
  CHECK(test.store.keys() == std::vector<std::string>{"b"});
  CHECK_THROWS_AS(test.remove({"b", std::string(257, 'k')}), lukhas::Error);
  CHECK(test.text("b") == "2");
}

TEST_CASE("an empty batch does nothing", "[store]") {
  Test test;
  CHECK(test.set({}) == std::error_code());
  CHECK(test.set({}, 0s) == StoreErrc::invalid_ttl);
  CHECK(test.set({}, -1s) == StoreErrc::invalid_ttl);
  CHECK(test.remove({}) == 0);
  CHECK(test.store.getMetrics().entryCount == 0);
}
