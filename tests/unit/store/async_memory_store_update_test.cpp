#include "lukhas/store/async_memory_store.hpp"

#include <stdexcept>
#include <string>
#include <utility>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

namespace async_memory_store_update_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::StoreErrc;
using lukhas::Version;
using nlohmann::json;

namespace {

struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment()};

  ~Test() { CHECK(lukhas::detail::StoreAccess::checkInvariants(store)); }

  template <class Change>
  int update(Change change, AsyncMemoryStore::Ttl ttl = std::nullopt) {
    int result = 0;
    auto body = [&]() -> asio::awaitable<void> { result = co_await store.update<int>("k", change, ttl); };
    world.spawn(body());
    world.run();
    return result;
  }
  bool compareAndSet(const std::string& key, Version expected, int value) {
    bool set = false;
    auto body = [&]() -> asio::awaitable<void> { set = co_await store.compareAndSet(key, expected, value); };
    world.spawn(body());
    world.run();
    return set;
  }
};

}  // namespace

TEST_CASE("an update gives the new value and keeps the end of the entry", "[store]") {
  Test test;
  test.store.trySet("k", 1, 10s);
  test.world.runFor(4s);
  CHECK(test.update([](int& value) { value += 5; }) == 6);
  CHECK(test.store.tryGet<int>("k") == 6);
  CHECK(test.store.info("k")->remainingTtl == 6s);
  CHECK(test.update([](int& value) { ++value; }, 1min) == 7);
  CHECK(test.store.info("k")->remainingTtl == 1min);
}

TEST_CASE("an update of nothing is refused", "[store]") {
  Test test;
  try {
    test.update([](int&) { FAIL("called without a value"); });
    FAIL("it was not refused");
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == StoreErrc::not_found);
    CHECK(error.details()["key"] == "k");
  }
  test.store.trySet("k", 1, 1s);
  test.world.runFor(1s);
  CHECK_THROWS_AS(test.update([](int&) {}), lukhas::Error);
}

TEST_CASE("an update that throws changes nothing", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  const Version before = test.store.info("k")->version;
  CHECK_THROWS_AS(test.update([](int& value) {
    value = 9;
    throw std::runtime_error("no");
  }),
                  std::runtime_error);
  CHECK(test.store.tryGet<int>("k") == 1);
  CHECK(test.store.info("k")->version == before);
}

TEST_CASE("an update that meets another write starts again from it", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  int calls = 0;
  const int result = test.update([&](int& value) {
    if (++calls == 1) test.store.trySet("k", 100);
    ++value;
  });
  CHECK(calls == 2);
  CHECK(result == 101);
}

TEST_CASE("an update does not bring back what was removed meanwhile", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  CHECK_THROWS_AS(test.update([&](int&) { test.store.tryRemove("k"); }), lukhas::Error);
  CHECK_FALSE(test.store.tryGet<int>("k").has_value());
}

TEST_CASE("an update that always writes its own key ends with a conflict", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  int calls = 0;
  try {
    test.update([&](int& value) {
      ++calls;
      test.store.trySet("k", value);
    });
    FAIL("it came to an end");
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == StoreErrc::conflict);
  }
  CHECK(calls == 1000);
}

TEST_CASE("the right version wins and an old one does not", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  const Version first = test.store.info("k")->version;
  CHECK(test.compareAndSet("k", first, 2));
  CHECK_FALSE(test.compareAndSet("k", first, 3));
  CHECK(test.store.tryGet<int>("k") == 2);
  CHECK(test.store.info("k")->version > first);
}

TEST_CASE("the empty version expects that the key holds nothing", "[store]") {
  Test test;
  CHECK(test.compareAndSet("k", Version{}, 1));
  CHECK_FALSE(test.compareAndSet("k", Version{}, 2));
  CHECK_FALSE(test.compareAndSet("other", Version{7}, 2));
  CHECK(test.store.tryGet<int>("k") == 1);
  CHECK_FALSE(test.store.tryGet<int>("other").has_value());
}

TEST_CASE("a version never comes back", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  const Version first = test.store.info("k")->version;
  test.store.tryRemove("k");
  test.store.trySet("k", 1);
  CHECK(test.store.info("k")->version > first);
  CHECK_FALSE(test.compareAndSet("k", first, 2));
}

}  // namespace async_memory_store_update_test
