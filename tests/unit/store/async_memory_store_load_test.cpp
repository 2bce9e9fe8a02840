#include "lukhas/store/async_memory_store.hpp"

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"
#include "support/failing_world.hpp"

namespace async_memory_store_load_test {
// More than an entry can hold, by its length: nobody reads the bytes, for there are none.
using Enormous = std::span<const std::byte, std::size_t{5} << 30U>;
}  // namespace async_memory_store_load_test

template <>
struct lukhas::Codec<async_memory_store_load_test::Enormous> {
  static Bytes encode(async_memory_store_load_test::Enormous) { throw std::logic_error("not copied"); }
  static async_memory_store_load_test::Enormous decode(ByteView) { throw std::logic_error("not stored"); }
};

namespace async_memory_store_load_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::ChildTask;
using lukhas::StoreErrc;
using nlohmann::json;

namespace {

// Has so many blocks left.
class RunningOut final : public std::pmr::memory_resource {
 public:
  int left = 1000;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (left-- <= 0) throw std::bad_alloc();
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(block, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }
};

struct Test {
  lukhas::Simulation world;
  std::unique_ptr<AsyncMemoryStore> store = std::make_unique<AsyncMemoryStore>(
      world.environment(), lukhas::AsyncMemoryStoreOptions{.maxBytes = 1 << 20});
  std::vector<std::string> log;  // "a=1": caller a got 1
  int loads = 0;

  // Loads `value` for "k" in one second, and notes what came of it.
  asio::awaitable<void> ask(std::string caller, int value) {
    auto load = [this, value]() -> asio::awaitable<int> { return slowly(value); };
    try {
      const int got = co_await store->getOrCompute<int>("k", load);
      log.push_back(caller + "=" + std::to_string(got));
    } catch (const std::exception& error) {
      log.push_back(caller + ": " + error.what());
    }
  }
  // Negative values fail.
  asio::awaitable<int> slowly(int value) {
    ++loads;
    co_await world.environment().sleepFor(1s);
    if (value < 0) throw std::runtime_error("failed " + std::to_string(value));
    co_return value;
  }
  // Started one after the other, a tenth of a second apart.
  void askLater(int tenth, std::string caller, int value) {
    world.spawn(askAt(100ms * tenth, std::move(caller), value));
  }
  asio::awaitable<void> askAt(lukhas::Duration when, std::string caller, int value) {
    co_await world.environment().sleepFor(when);
    co_await ask(std::move(caller), value);
  }
};

}  // namespace

TEST_CASE("one loader runs however many ask", "[store]") {
  Test test;
  for (int i = 0; i < 5; ++i) test.askLater(i, std::string(1, static_cast<char>('a' + i)), i + 1);
  test.world.run();
  CHECK(test.loads == 1);
  CHECK(test.log.size() == 5);
  for (const std::string& line : test.log) CHECK(line.ends_with("=1"));
  CHECK(test.world.elapsed() == 1s);
  CHECK(test.store->tryGet<int>("k") == 1);
  CHECK(test.store->getMetrics().misses == 5);
}

TEST_CASE("what is there is not loaded", "[store]") {
  Test test;
  test.store->trySet("k", 7);
  test.askLater(0, "a", 1);
  test.world.run();
  CHECK(test.loads == 0);
  CHECK(test.log == std::vector<std::string>{"a=7"});
}

TEST_CASE("a failing leader keeps its error and hands over in order", "[store]") {
  Test test;
  test.askLater(0, "a", -1);
  test.askLater(1, "b", -2);
  test.askLater(2, "c", 3);
  test.askLater(3, "d", 4);
  test.world.run();
  REQUIRE(test.log.size() == 4);
  CHECK(test.log[0] == "a: failed -1");
  CHECK(test.log[1] == "b: failed -2");
  CHECK(test.loads == 3);
  CHECK(test.world.elapsed() == 3s);
  CHECK(test.store->tryGet<int>("k") == 3);
  CHECK(std::count(test.log.begin(), test.log.end(), "d=3") == 1);
}

TEST_CASE("a cancelled leader hands over and a cancelled waiter leaves no trace", "[store]") {
  Test test;
  auto body = [&]() -> asio::awaitable<void> {
    const auto env = test.world.environment();
    ChildTask<void> leader(env, test.ask("leader", 1));
    co_await env.sleepFor(100ms);
    ChildTask<void> waiter(env, test.ask("waiter", 2));
    co_await env.sleepFor(100ms);
    ChildTask<void> next(env, test.ask("next", 3));
    co_await env.sleepFor(100ms);
    waiter.cancel();
    co_await env.sleepFor(100ms);
    leader.cancel();
    co_await next.join();
  };
  test.world.spawn(body());
  test.world.run();
  REQUIRE(test.log.size() == 3);
  CHECK(test.log[0].starts_with("waiter: "));
  CHECK(test.log[1].starts_with("leader: "));
  CHECK(test.log[2] == "next=3");
  CHECK(test.loads == 2);
  CHECK(test.world.elapsed() == 1400ms);
}

TEST_CASE("a result that was overtaken by a change is returned and not stored", "[store]") {
  for (const std::string change : {"set", "remove", "clear"}) {
    Test test;
    test.askLater(0, "a", 1);
    test.askLater(1, "b", 2);
    test.world.runFor(500ms);
    if (change == "set") test.store->trySet("k", 50);
    if (change == "remove") test.store->tryRemove("k");
    auto clearing = [&]() -> asio::awaitable<void> { co_await test.store->clear(); };
    if (change == "clear") test.world.spawn(clearing());
    test.world.run();
    INFO(change);
    CHECK(std::count(test.log.begin(), test.log.end(), "a=1") == 1);
    CHECK(std::count(test.log.begin(), test.log.end(), "b=1") == 1);
    CHECK(test.store->tryGet<int>("k").value_or(0) == (change == "set" ? 50 : 0));
  }
}

TEST_CASE("who asks after a removal does not get what was loaded before it", "[store]") {
  Test test;
  test.askLater(0, "a", 1);
  test.world.runFor(500ms);
  test.store->tryRemove("k");
  test.askLater(0, "b", 2);
  test.world.run();
  CHECK(test.log == std::vector<std::string>{"a=1", "b=2"});
  CHECK(test.store->tryGet<int>("k") == 2);
}

TEST_CASE("when an overtaken leader fails its waiters ask the store again", "[store]") {
  Test test;
  test.askLater(0, "a", -1);
  test.askLater(1, "b", 2);
  test.askLater(2, "c", 3);
  test.world.runFor(500ms);
  test.store->trySet("k", 50);
  test.world.run();
  CHECK(test.loads == 1);
  CHECK(test.log[0] == "a: failed -1");
  CHECK(std::count(test.log.begin(), test.log.end(), "b=50") == 1);
  CHECK(std::count(test.log.begin(), test.log.end(), "c=50") == 1);
}

TEST_CASE("a destroyed store tells those who wait and lets the loader end", "[store]") {
  Test test;
  test.askLater(0, "a", 1);
  test.askLater(1, "b", 2);
  test.world.runFor(500ms);
  test.store.reset();
  test.world.run();
  REQUIRE(test.log.size() == 2);
  CHECK(test.log[0] == "b: the store was destroyed");
  CHECK(test.log[1] == "a=1");
}

TEST_CASE("those who wait for an overtaken load are told too when the store is destroyed", "[store]") {
  Test test;
  test.askLater(0, "a", 1);
  test.askLater(1, "b", 2);
  test.world.runFor(500ms);
  test.store->tryRemove("k");
  test.store.reset();
  test.world.runFor(100ms);
  CHECK(test.log == std::vector<std::string>{"b: the store was destroyed"});
  test.world.run();
}

TEST_CASE("a result that does not fit is returned and not stored", "[store]") {
  Test test;
  auto load = [&]() -> asio::awaitable<std::string> {
    co_await test.world.environment().sleepFor(1s);
    co_return std::string(2 << 20, 'x');
  };
  std::vector<std::size_t> sizes;
  auto body = [&]() -> asio::awaitable<void> {
    const std::string value = co_await test.store->getOrCompute<std::string>("big", load);
    sizes.push_back(value.size());
  };
  test.world.spawn(body());
  test.world.spawn(body());
  test.world.run();
  CHECK(sizes == std::vector<std::size_t>{2 << 20, 2 << 20});
  CHECK(test.store->getMetrics().entryCount == 0);
  CHECK(test.store->getMetrics().errorRate > 0);
}

TEST_CASE("a result that no entry can hold is returned and never made an entry", "[store]") {
  Test test;
  test.store = std::make_unique<AsyncMemoryStore>(
      test.world.environment(),
      lukhas::AsyncMemoryStoreOptions{.maxBytes = std::size_t{64} << 30U, .earlyRefresh = 1});
  const auto old = test.store->getMetrics();
  const std::byte first{};
  int loads = 0;
  auto load = [&]() -> asio::awaitable<Enormous> {
    ++loads;
    co_await test.world.environment().sleepFor(1s);
    co_return Enormous(&first, Enormous::extent);
  };
  std::vector<const std::byte*> got;
  auto body = [&]() -> asio::awaitable<void> {
    const Enormous value = co_await test.store->getOrCompute<Enormous>("k", load);
    got.push_back(value.data());
  };
  for (int i = 0; i < 3; ++i) test.world.spawn(body());
  test.world.run();
  CHECK(got == std::vector<const std::byte*>{&first, &first, &first});
  CHECK(loads == 3);
  CHECK(test.store->getMetrics().entryCount == 0);
  CHECK(test.store->getMetrics().totalSize == old.totalSize);
  CHECK(test.store->getMetrics().errorRate == 1);
  CHECK(lukhas::detail::StoreAccess::loads(*test.store) == 0);
}

TEST_CASE("a write that fails for want of memory leaves the load of its key alone", "[store]") {
  for (const bool isBatch : {false, true}) {
    RunningOut memory;
    Test test;
    test.store = std::make_unique<AsyncMemoryStore>(
        test.world.environment(), lukhas::AsyncMemoryStoreOptions{.maxBytes = 1 << 20, .memory = &memory});
    test.world.spawn(test.ask("a", 1));
    test.world.runFor(100ms);
    const std::vector<std::pair<std::string, int>> batch{{"k", 2}};
    memory.left = 1;  // for the entry, and none for the table
    if (isBatch) {
      CHECK_THROWS_AS(test.store->tryBatchSet(batch), std::bad_alloc);
    } else {
      CHECK_THROWS_AS(test.store->trySet("k", 2), std::bad_alloc);
    }
    memory.left = 1000;
    CHECK_FALSE(test.store->tryHas("k"));
    test.world.run();
    CHECK(test.log == std::vector<std::string>{"a=1"});
    CHECK(test.store->tryGet<int>("k") == 1);
    test.store.reset();
  }
}

TEST_CASE("a view of what no entry can hold is refused", "[store]") {
  Test test;
  const char first = 'x';
  auto load = [&] { return std::string_view(&first, std::size_t{5} << 30U); };
  std::error_code code;
  auto body = [&]() -> asio::awaitable<void> {
    try {
      (void)co_await test.store->getOrCompute<lukhas::View>("k", load);
    } catch (const lukhas::Error& error) {
      code = error.code();
      CHECK(error.details()["key"] == "k");
    }
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(code == StoreErrc::value_too_large);
  CHECK_FALSE(test.store->tryHas("k"));
  CHECK(lukhas::detail::StoreAccess::loads(*test.store) == 0);
}

TEST_CASE("a loader may be a plain function and a temporary one", "[store]") {
  Test test;
  int outside = 5;
  auto body = [&]() -> asio::awaitable<void> {
    const int plain = co_await test.store->getOrCompute<int>("plain", [&] { return outside; });
    CHECK(plain == 5);
    const json read = co_await test.store->getOrCompute<json>(
        "natural",
        [&]() -> asio::awaitable<json> {
          co_await test.world.environment().sleepFor(1s);
          json value{{"n", outside}};
          co_return value;
        },
        5min);
    CHECK(read["n"] == 5);
    CHECK_THROWS_AS(test.store->getOrCompute<int>("", [] { return 1; }), lukhas::Error);
    CHECK_THROWS_AS(test.store->getOrCompute<int>(
                        "k", [] { return 1; }, 0s),
                    lukhas::Error);
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(test.store->info("natural")->remainingTtl == 5min);
  CHECK(lukhas::detail::StoreAccess::checkInvariants(*test.store));
}

TEST_CASE("a load does not overwrite a newer value that there was no memory to set an alarm for", "[store]") {
  lukhas::Simulation world;
  const auto failures = std::make_shared<lukhas::test::Failures>();
  AsyncMemoryStore store(lukhas::test::FailingWorld::over(world.environment(), failures));
  store.start();
  auto load = [&]() -> asio::awaitable<int> {
    co_await world.environment().sleepFor(1s);
    co_return 1;
  };
  auto body = [&]() -> asio::awaitable<void> { (void)co_await store.getOrCompute<int>("k", load); };
  world.spawn(body());
  world.runFor(500ms);
  *failures = {.alarms = 1, .posts = 1};
  try {
    store.trySet("k", 2);
  } catch (const std::bad_alloc&) {
  }
  world.runFor(1s);
  CHECK(store.tryGet<int>("k") == 2);
  store.stop();
}

TEST_CASE("as many callers wait for loaders as maxWaiters says and one more is refused", "[store]") {
  Test test;
  test.store = std::make_unique<AsyncMemoryStore>(test.world.environment(),
                                                  lukhas::AsyncMemoryStoreOptions{.maxWaiters = 2});
  const char* const names[] = {"a", "b", "c", "d"};
  for (int i = 0; i < 4; ++i) test.askLater(i, names[i], i == 0 ? -1 : i + 1);
  test.world.runFor(950ms);
  CHECK(test.log ==
        std::vector<std::string>{"d: \"k\" is being loaded, and 2 callers wait for loaders already"});
  CHECK(test.store->getMetrics().errorRate == 0.25);
  test.world.runFor(100ms);  // b leads: there is room for one
  test.askLater(0, "e", 5);
  test.askLater(1, "f", 6);
  test.world.run();
  REQUIRE(test.log.size() == 6);
  CHECK(test.log[1] == "a: failed -1");
  CHECK(test.log[2].starts_with("f: "));
  CHECK(std::count(test.log.begin(), test.log.end(), "e=2") == 1);
}

TEST_CASE("a waiter that is cancelled makes room for another", "[store]") {
  Test test;
  test.store = std::make_unique<AsyncMemoryStore>(test.world.environment(),
                                                  lukhas::AsyncMemoryStoreOptions{.maxWaiters = 1});
  auto body = [&]() -> asio::awaitable<void> {
    const auto env = test.world.environment();
    ChildTask<void> leader(env, test.ask("leader", 1));
    co_await env.sleepFor(100ms);
    ChildTask<void> waiter(env, test.ask("waiter", 2));
    co_await env.sleepFor(100ms);
    waiter.cancel();
    co_await waiter.join();
    co_await test.ask("next", 3);
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(std::count(test.log.begin(), test.log.end(), "next=1") == 1);
}

}  // namespace async_memory_store_load_test
