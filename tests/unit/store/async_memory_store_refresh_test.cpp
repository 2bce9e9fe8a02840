#include "lukhas/store/async_memory_store.hpp"

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

namespace async_memory_store_refresh_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::Duration;

namespace {

// One key that lives for 10 s and takes 1 s to load; the loader gives the number of its run.
struct Test {
  explicit Test(lukhas::AsyncMemoryStoreOptions options = {.earlyRefresh = 1})
      : store(std::make_unique<AsyncMemoryStore>(world.environment(), options)) {}
  ~Test() {
    if (!store) return;
    CHECK(lukhas::detail::StoreAccess::checkInvariants(*store));
    CHECK(lukhas::detail::StoreAccess::loads(*store) == 0);
  }

  asio::awaitable<int> load() {
    const int run = ++loads;
    if (run > 1 && hangs) co_await world.environment().sleepFor(1h);
    co_await world.environment().sleepFor(1s);
    if (run > 1 && fails) throw std::runtime_error("no");
    co_return run;
  }
  asio::awaitable<void> ask() {
    auto loader = [this]() -> asio::awaitable<int> { return load(); };
    const auto asked = world.elapsed();
    const int value = co_await store->getOrCompute<int>("k", loader, 10s);
    got.push_back(value);
    longest = std::max(longest, Duration(world.elapsed() - asked));
  }
  // A caller each 10 ms.
  void askFor(Duration time) {
    for (Duration passed{}; passed < time; passed += 10ms) {
      world.spawn(ask());
      world.runFor(10ms);
    }
  }
  lukhas::StoreMetrics metrics() const { return store->getMetrics(); }

  lukhas::Simulation world;
  std::unique_ptr<AsyncMemoryStore> store;
  int loads = 0;
  bool fails = false;
  bool hangs = false;
  std::vector<int> got;
  Duration longest{};
};

// A loader of 2.
struct ThrowsWhenMoved {
  explicit ThrowsWhenMoved(const bool* when) : armed(when) {}
  ThrowsWhenMoved(const ThrowsWhenMoved&) = default;
  ThrowsWhenMoved(ThrowsWhenMoved&& other) : armed(other.armed) {
    if (*armed) throw std::runtime_error("moved");
  }
  ~ThrowsWhenMoved() = default;
  int operator()() const { return 2; }

  const bool* armed;
};

}  // namespace

TEST_CASE("a value that is asked for is loaded once before it expires and nobody waits", "[store]") {
  Test test;
  test.askFor(2s);
  CHECK(test.loads == 1);
  test.longest = {};
  test.askFor(28s);
  CHECK(test.longest == 0s);
  CHECK(test.loads >= 3);
  CHECK(test.loads <= 6);
  CHECK(test.metrics().earlyRefreshes == static_cast<std::uint64_t>(test.loads - 1));
  CHECK(test.metrics().failedRefreshes == 0);
  CHECK(test.metrics().expirations == 0);
  test.world.run();
}

TEST_CASE("without the option a value is loaded when it has expired", "[store]") {
  Test test(lukhas::AsyncMemoryStoreOptions{});
  test.askFor(2s);
  test.longest = {};
  test.askFor(20s);
  CHECK(test.longest == 1s);
  CHECK(test.metrics().earlyRefreshes == 0);
  test.world.run();
}

TEST_CASE("a refresh that fails is counted and not tried again", "[store]") {
  Test test;
  test.fails = true;
  test.askFor(9s);
  test.askFor(1s);
  CHECK(test.loads == 2);
  CHECK(test.metrics().failedRefreshes == 1);
  CHECK(test.got.back() == 1);
  test.world.run();
}

TEST_CASE("a refresh that hangs ends with the value and the next caller loads", "[store]") {
  Test test;
  test.hangs = true;
  test.askFor(10900ms);  // loaded at 1 s, so until 11 s
  CHECK(test.loads == 2);
  test.hangs = false;
  test.askFor(200ms);
  CHECK(test.loads == 3);
  CHECK(test.metrics().failedRefreshes == 1);
  test.world.runFor(2s);
  CHECK(test.got.back() == 3);
  test.world.run();
}

TEST_CASE("a value that is set during its refresh stays", "[store]") {
  Test test;
  test.askFor(2s);
  while (test.loads == 1) test.askFor(10ms);
  test.store->trySet("k", 50, 1min);
  test.world.run();
  CHECK(test.store->tryGet<int>("k") == 50);
  CHECK(test.metrics().earlyRefreshes == 1);
}

TEST_CASE("a store may be destroyed during a refresh", "[store]") {
  Test test;
  test.askFor(2s);
  while (test.loads == 1) test.askFor(10ms);
  test.store.reset();
  test.world.run();
  CHECK(test.loads == 2);
}

TEST_CASE("a refresh replaces the entry and begins its TTL at the end of the load", "[store]") {
  Test test;
  int replaced = 0;
  const auto hearing = test.store->onEvicted.connect([&](const lukhas::EntryEvicted& event) {
    if (event.cause == lukhas::EvictionCause::replaced) ++replaced;
  });
  test.askFor(2s);
  while (test.loads == 1) test.askFor(10ms);
  const lukhas::Version before = test.store->info("k")->version;
  test.world.runFor(1s);
  CHECK(replaced == 1);
  CHECK(test.store->info("k")->version > before);
  CHECK(test.store->info("k")->remainingTtl == 10s - test.store->info("k")->age);
}

TEST_CASE("a refresh asks for its own key no more than a load", "[store]") {
  Test test;
  std::optional<std::error_code> code;
  auto again = [&]() -> asio::awaitable<int> {
    test.store->tryRemove("k");
    auto never = []() -> asio::awaitable<int> { co_return 0; };
    try {
      co_return co_await test.store->getOrCompute<int>("k", never);
    } catch (const lukhas::Error& error) {
      code = error.code();
      throw;
    }
  };
  test.askFor(2s);
  auto body = [&]() -> asio::awaitable<void> {
    (void)co_await test.store->getOrCompute<int>("k", again, 10s);
  };
  while (!code) {
    test.world.spawn(body());
    test.world.runFor(10ms);
    REQUIRE(test.world.elapsed() < 1min);
  }
  CHECK(*code == lukhas::StoreErrc::load_cycle);
  test.world.run();
}

TEST_CASE("a hit whose loader throws when it is moved is a hit and its refresh failed", "[store]") {
  Test test;
  test.askFor(2s);
  bool armed = false;
  const ThrowsWhenMoved loader(&armed);
  std::vector<int> got;
  auto body = [&]() -> asio::awaitable<void> {
    asio::awaitable<int> call = test.store->getOrCompute<int>("k", loader, 10s);
    armed = true;
    const int value = co_await std::move(call);
    armed = false;
    got.push_back(value);
  };
  while (test.metrics().failedRefreshes == 0 && test.world.elapsed() < 10900ms) {
    test.world.spawn(body());
    test.world.runFor(10ms);
  }
  CHECK(test.metrics().failedRefreshes == 1);
  CHECK(test.metrics().earlyRefreshes == 1);
  CHECK(got == std::vector<int>(got.size(), 1));
  CHECK_FALSE(got.empty());
  CHECK(lukhas::detail::StoreAccess::loads(*test.store) == 0);
  test.world.run();
}

TEST_CASE("with jitter entries that are set together expire apart and never late", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment(), {.ttlJitter = 0.2});
  for (int i = 0; i < 1000; ++i) store.trySet("k" + std::to_string(i), i, 100s);
  store.trySet("ever", 1, Duration::max());
  Duration least = 1h;
  Duration most{};
  Duration sum{};
  for (int i = 0; i < 1000; ++i) {
    const Duration left = store.info("k" + std::to_string(i))->remainingTtl;
    least = std::min(least, left);
    most = std::max(most, left);
    sum += left;
  }
  CHECK(most <= 100s);
  CHECK(most > 99s);
  CHECK(least > 80s);
  CHECK(least < 81s);
  CHECK(sum > 89s * 1000);
  CHECK(sum < 91s * 1000);
  CHECK(store.info("ever")->remainingTtl == Duration::max());
  store.trySet("short", 1, 1ns);
  CHECK(store.info("short")->remainingTtl == 1ns);
}

}  // namespace async_memory_store_refresh_test
