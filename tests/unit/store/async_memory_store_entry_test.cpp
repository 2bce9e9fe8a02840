#include "lukhas/store/async_memory_store.hpp"

#include <memory>
#include <string>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

namespace async_memory_store_entry_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::StoreErrc;
using lukhas::Version;
using nlohmann::json;

namespace {

struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store;

  explicit Test(lukhas::AsyncMemoryStoreOptions options = {}) : store(world.environment(), options) {}
  ~Test() { CHECK(lukhas::detail::StoreAccess::checkInvariants(store)); }
  lukhas::Duration left(const char* key) { return store.info(key)->remainingTtl; }
};

template <class Call>
std::error_code refusal(Call call) {
  try {
    call();
  } catch (const lukhas::Error& error) {
    return error.code();
  }
  return {};
}

}  // namespace

TEST_CASE("touch begins a new TTL and changes nothing else", "[store]") {
  Test test;
  test.store.trySet("k", 1, 10s);
  test.world.runFor(4s);
  const Version before = test.store.info("k")->version;
  CHECK(test.store.tryTouch("k", 1min));
  CHECK(test.left("k") == 1min);
  CHECK(test.store.tryTouch("k"));
  CHECK(test.left("k") == 5min);
  CHECK(test.store.tryTouch("k", 1s));
  CHECK(test.left("k") == 1s);
  CHECK(test.store.info("k")->version == before);
  CHECK(test.store.info("k")->age == 4s);
  CHECK(test.store.tryGet<int>("k") == 1);
}

TEST_CASE("touch of what is not there or has expired does nothing", "[store]") {
  Test test;
  CHECK_FALSE(test.store.tryTouch("k"));
  test.store.trySet("k", 1, 1s);
  test.world.runFor(1s);
  CHECK_FALSE(test.store.tryTouch("k", 1min));
  CHECK_FALSE(test.store.tryHas("k"));
  CHECK(test.store.getMetrics().expirations == 1);
}

TEST_CASE("touch is a use and not a read", "[store]") {
  Test test({.maxBytes = 64 << 10});
  test.store.trySet("a", std::string(25'000, 'a'));
  test.store.trySet("b", std::string(25'000, 'b'));
  CHECK(test.store.tryTouch("a"));
  test.store.trySet("c", std::string(25'000, 'c'));
  CHECK(test.store.tryHas("a"));
  CHECK_FALSE(test.store.tryHas("b"));
  CHECK(test.store.getMetrics().hits + test.store.getMetrics().misses == 0);
}

TEST_CASE("a shorter TTL arms the timer anew at once", "[store]") {
  for (const bool bySet : {true, false}) {
    Test test({.sweepInterval = 1s});
    std::vector<lukhas::Duration> sweeps;
    const auto sweeping = test.store.onSweep.connect(
        [&](const lukhas::StoreSwept&) { sweeps.push_back(test.world.elapsed()); });
    test.store.start();
    test.store.trySet("k", 1, 1h);
    test.world.runFor(5s);
    if (bySet) {
      test.store.trySet("k", 1, 2s);
    } else {
      test.store.tryTouch("k", 2s);
    }
    test.world.run();
    CHECK(sweeps == std::vector<lukhas::Duration>{7s});
  }
}

TEST_CASE("TTLs saturate and never wrap round", "[store]") {
  Test test;
  test.world.runFor(24h);
  test.store.trySet("hours", 1, std::chrono::hours::max());
  test.store.trySet("centuries", 1, std::chrono::years(400));
  test.store.trySet("nearly", 1, lukhas::Duration::max() - 1ns);
  test.store.trySet("k", 1);
  test.store.tryTouch("k", std::chrono::hours::max());
  for (const char* key : {"hours", "centuries", "nearly", "k"}) {
    CHECK(test.left(key) == lukhas::Duration::max());
  }
  test.world.runFor(24h * 3650);
  for (const char* key : {"hours", "centuries", "nearly", "k"}) CHECK(test.store.tryHas(key));
}

TEST_CASE("a TTL of zero or less is refused by every call that takes one", "[store]") {
  Test test;
  test.store.trySet("k", 1, 1min);
  const std::vector<std::pair<std::string, int>> batch{{"k", 2}, {"l", 2}};
  const auto add = [](int& value) { ++value; };
  const auto load = [] { return 1; };
  for (const lukhas::StoreTtl ttl : {lukhas::StoreTtl(0s), lukhas::StoreTtl(-1ns), lukhas::StoreTtl(-1h),
                                     lukhas::StoreTtl(std::chrono::hours::min()),
                                     lukhas::StoreTtl(std::chrono::duration<double, std::nano>(0.5))}) {
    CHECK(refusal([&] { test.store.trySet("k", 2, ttl); }) == StoreErrc::invalid_ttl);
    CHECK(refusal([&] { (void)test.store.set("k", 2, ttl); }) == StoreErrc::invalid_ttl);
    CHECK(refusal([&] { (void)test.store.tryTouch("k", ttl); }) == StoreErrc::invalid_ttl);
    CHECK(refusal([&] { (void)test.store.touch("k", ttl); }) == StoreErrc::invalid_ttl);
    CHECK(refusal([&] { test.store.tryBatchSet(batch, ttl); }) == StoreErrc::invalid_ttl);
    CHECK(refusal([&] { (void)test.store.batchSet(batch, ttl); }) == StoreErrc::invalid_ttl);
    CHECK(refusal([&] { (void)test.store.tryCompareAndSet("k", Version{1}, 2, ttl); }) ==
          StoreErrc::invalid_ttl);
    CHECK(refusal([&] { (void)test.store.update<int>("k", add, ttl); }) == StoreErrc::invalid_ttl);
    CHECK(refusal([&] { (void)test.store.getOrCompute<int>("k", load, ttl); }) == StoreErrc::invalid_ttl);
  }
  CHECK(test.store.tryGet<int>("k") == 1);
  CHECK(test.left("k") == 1min);
}

TEST_CASE("a value comes with version, age, remaining TTL and sizes", "[store]") {
  Test test;
  test.store.trySet("k", json{{"n", 1}}, 10s);
  test.world.runFor(4s);
  const auto found = test.store.tryGetWithMeta<json>("k").value();
  CHECK(found.value["n"] == 1);
  CHECK(found.age == 4s);
  CHECK(found.remainingTtl == 6s);
  CHECK(found.valueBytes == 7);
  CHECK(found.sizeBytes > 7);
  CHECK(found.version == test.store.info("k")->version);
  CHECK(test.store.tryCompareAndSet("k", found.version, json(2)));
  CHECK(test.store.info("k")->age == 0s);
  CHECK_FALSE(test.store.tryGetWithMeta<json>("nobody").has_value());
  CHECK(test.store.getMetrics().hits == 1);
  CHECK(test.store.getMetrics().misses == 1);
}

TEST_CASE("a damaged value is read with its version no more than without", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  lukhas::detail::StoreAccess::flipValueBit(test.store, "k");
  CHECK_FALSE(test.store.tryGetWithMeta<int>("k").has_value());
  CHECK(test.store.getMetrics().corruptions == 1);
  CHECK_FALSE(test.store.info("k").has_value());
}

TEST_CASE("versions grow with every write and age begins with each", "[store]") {
  Test test;
  Version last{};
  for (int i = 0; i < 100; ++i) {
    const std::string key = "k" + std::to_string(i % 3);
    test.store.trySet(key, i);
    const auto info = test.store.info(key).value();
    CHECK(info.version > last);
    CHECK(info.age <= 100ns);
    last = info.version;
    if (i % 7 == 0) test.store.tryRemove(key);
    if (i % 10 == 0) test.store.tryClear();
    if (i % 5 == 0) test.world.runFor(1s);
  }
}

TEST_CASE("the end of an entry moves only when it is told to", "[store]") {
  Test test;
  test.store.trySet("k", 1, 10s);
  test.world.runFor(4s);
  (void)test.store.tryGet<int>("k");
  (void)test.store.tryGetWithMeta<int>("k");
  (void)test.store.tryBatchGet<int>({"k"});
  (void)test.store.tryHas("k");
  CHECK(test.left("k") == 6s);
  CHECK(test.store.tryCompareAndSet("k", test.store.info("k")->version, 2));
  CHECK(test.left("k") == 6s);
  CHECK(test.store.tryCompareAndSet("k", test.store.info("k")->version, 3, 1min));
  CHECK(test.left("k") == 1min);
  CHECK(test.store.tryCompareAndSet("new", Version{}, 1));
  CHECK(test.left("new") == 5min);
  test.store.trySet("k", 4);
  CHECK(test.left("k") == 5min);
}

TEST_CASE("an entry is expired for every operation alike at its end", "[store]") {
  const auto atTheEnd = [](auto&& call) {
    Test test;
    int told = 0;
    const auto hearing = test.store.onEvicted.connect([&](const lukhas::EntryEvicted& event) {
      CHECK(event.cause == lukhas::EvictionCause::expired);
      ++told;
    });
    test.store.trySet("k", 1, 10s);
    const Version version = test.store.info("k")->version;
    test.world.runFor(10s - 1ns);
    CHECK(test.store.tryHas("k"));
    test.world.runFor(1ns);
    call(test.store, version);
    CHECK(told == 1);
    CHECK(test.store.getMetrics().expirations == 1);
  };
  const std::vector<std::pair<std::string, int>> batch{{"k", 2}};
  atTheEnd([](AsyncMemoryStore& store, Version) { CHECK_FALSE(store.tryGet<int>("k").has_value()); });
  atTheEnd([](AsyncMemoryStore& store, Version) { CHECK_FALSE(store.tryGetWithMeta<int>("k").has_value()); });
  atTheEnd(
      [](AsyncMemoryStore& store, Version) { CHECK_FALSE(store.tryBatchGet<int>({"k"})[0].has_value()); });
  atTheEnd([](AsyncMemoryStore& store, Version) { CHECK_FALSE(store.tryHas("k")); });
  atTheEnd([](AsyncMemoryStore& store, Version) { CHECK_FALSE(store.tryTouch("k")); });
  atTheEnd([](AsyncMemoryStore& store, Version) { CHECK_FALSE(store.info("k").has_value()); });
  atTheEnd([](AsyncMemoryStore& store, Version) {
    CHECK(store.keys().empty());
    CHECK_FALSE(store.tryRemove("k"));
  });
  atTheEnd([](AsyncMemoryStore& store, Version) { CHECK(store.tryBatchRemove({"k"}) == 0); });
  atTheEnd([](AsyncMemoryStore& store, Version) { store.trySet("k", 2); });
  atTheEnd([&](AsyncMemoryStore& store, Version) { store.tryBatchSet(batch); });
  atTheEnd([](AsyncMemoryStore& store, Version old) { CHECK_FALSE(store.tryCompareAndSet("k", old, 2)); });
  atTheEnd([](AsyncMemoryStore& store, Version) { CHECK(store.tryCompareAndSet("k", Version{}, 2)); });
  atTheEnd([](AsyncMemoryStore& store, Version) { store.tryClear(); });
}

TEST_CASE("each twin does what is awaited elsewhere", "[store]") {
  Test test;
  auto body = [&]() -> asio::awaitable<void> {
    const std::vector<std::pair<std::string, int>> batch{{"a", 1}, {"b", 2}};
    co_await test.store.batchSet(batch);
    const bool touched = co_await test.store.touch("a", 1min);
    CHECK(touched);
    const auto found = co_await test.store.getWithMeta<int>("a");
    CHECK(found->value == 1);
    CHECK(found->remainingTtl == 1min);
    const bool swapped = co_await test.store.compareAndSet("a", found->version, 5);
    CHECK(swapped);
  };
  test.world.spawn(body());
  test.world.run();
  const std::vector<std::optional<int>> both = test.store.tryBatchGet<int>({"a", "missing", "b"});
  CHECK(both == std::vector<std::optional<int>>{5, std::nullopt, 2});
  CHECK(test.store.tryHas("a"));
  CHECK(test.store.tryBatchRemove({"a", "missing"}) == 1);
  test.store.tryClear();
  CHECK(test.store.keys().empty());
}

TEST_CASE("keys with NUL bytes and empty values are entries like others", "[store]") {
  Test test;
  const std::string nul("\0", 1);
  const std::string longer("\0\0", 2);
  const std::string middle("a\0b", 3);
  const std::string other("a\0c", 3);
  for (const std::string& key : {nul, longer, middle, other, std::string("a")}) test.store.trySet(key, key);
  for (const std::string& key : {nul, longer, middle, other, std::string("a")}) {
    CHECK(test.store.tryGet<std::string>(key) == key);
  }
  CHECK(test.store.keys(std::string_view("a\0", 2)) == std::vector<std::string>{middle, other});
  CHECK(test.store.tryRemove(nul));
  CHECK(test.store.tryHas(longer));
  test.store.trySet("empty", "");
  CHECK(test.store.tryGet<std::string>("empty") == "");
  CHECK(test.store.tryGet<lukhas::Bytes>("empty")->empty());
  CHECK(test.store.info("empty")->valueBytes == 0);
  CHECK(refusal([&] { (void)test.store.tryGet<json>("empty"); }) == lukhas::Errc::decode_failed);
}

}  // namespace async_memory_store_entry_test
