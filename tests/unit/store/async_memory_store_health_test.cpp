#include "lukhas/store/async_memory_store.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

namespace async_memory_store_health_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::detail::StoreAccess;

namespace {

struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment(), {.maxBytes = 1 << 20}};
  std::vector<std::string> corrupted;
  lukhas::Subscription hearing = store.onCorruption.connect(
      [this](const lukhas::EntryCorrupted& event) { corrupted.push_back(event.key); });

  ~Test() { CHECK(StoreAccess::checkInvariants(store)); }

  std::vector<std::string> issues() {
    std::vector<std::string> codes;
    for (const auto& issue : store.healthCheck().issues) codes.push_back(issue.code);
    return codes;
  }
};

// Time goes on only when it is told, and no timer rings.
struct StandingWorld final : lukhas::World {
  struct Timer final : lukhas::WorldTimer {
    void arm(lukhas::TimePoint, lukhas::UniqueFunction<void()>) override {}
    void cancel() noexcept override {}
  };

  lukhas::TimePoint now() const noexcept override { return time; }
  lukhas::WallTime wallNow() const noexcept override { return {}; }
  std::uint64_t random() noexcept override { return 7; }
  std::unique_ptr<lukhas::WorldTimer> makeTimer(const asio::any_io_executor&) override {
    return std::make_unique<Timer>();
  }
  std::unique_ptr<lukhas::WorldLane> makeLane(const asio::any_io_executor&, std::string) override {
    return nullptr;
  }

  lukhas::TimePoint time{1h};
};

// Each look at the clock takes a microsecond.
struct SlowWorld final : lukhas::World {
  lukhas::TimePoint now() const noexcept override { return time += 1us; }
  lukhas::WallTime wallNow() const noexcept override { return {}; }
  std::uint64_t random() noexcept override { return 7; }
  std::unique_ptr<lukhas::WorldTimer> makeTimer(const asio::any_io_executor&) override {
    return std::make_unique<StandingWorld::Timer>();
  }
  std::unique_ptr<lukhas::WorldLane> makeLane(const asio::any_io_executor&, std::string) override {
    return nullptr;
  }

  mutable lukhas::TimePoint time{1h};
};

using Codes = std::vector<std::string>;

}  // namespace

TEST_CASE("a damaged value is removed and told and reads as a miss", "[store]") {
  const std::string text(100, 'x');
  for (const std::size_t bit : {0u, 7u, 400u, 799u}) {
    Test test;
    test.store.trySet("k", text);
    REQUIRE(StoreAccess::flipValueBit(test.store, "k", bit));
    CHECK_FALSE(test.store.tryGet<std::string>("k").has_value());
    CHECK(test.corrupted == Codes{"k"});
    CHECK_FALSE(test.store.info("k").has_value());
    const auto metrics = test.store.getMetrics();
    CHECK(metrics.corruptions == 1);
    CHECK(metrics.hits == 0);
    CHECK(metrics.misses == 1);
    CHECK(metrics.errorRate > 0);
    CHECK(metrics.totalSize == 0);
  }
}

TEST_CASE("every way of reading verifies the checksum", "[store]") {
  Test test;
  auto body = [&]() -> asio::awaitable<void> {
    for (const char* key : {"a", "b", "c", "d"}) {
      test.store.trySet(key, 1);
      StoreAccess::flipValueBit(test.store, key);
    }
    const std::optional<int> a = co_await test.store.get<int>("a");
    CHECK_FALSE(a.has_value());
    const auto b = co_await test.store.batchGet<int>({"b"});
    CHECK_FALSE(b[0].has_value());
    const int c = co_await test.store.getOrCompute<int>("c", [] { return 7; });
    CHECK(c == 7);
    bool refused = false;
    try {
      (void)co_await test.store.update<int>("d", [](int&) {});
    } catch (const lukhas::Error& error) {
      refused = error.code() == lukhas::StoreErrc::not_found;
    }
    CHECK(refused);
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(test.corrupted == Codes{"a", "b", "c", "d"});
  CHECK(test.store.getMetrics().corruptions == 4);
}

TEST_CASE("a listener to damage may store the value anew", "[store]") {
  Test test;
  const auto mending = test.store.onCorruption.connect(
      [&](const lukhas::EntryCorrupted& event) { test.store.trySet(event.key, 2); });
  test.store.trySet("k", 1);
  StoreAccess::flipValueBit(test.store, "k");
  CHECK_FALSE(test.store.tryGet<int>("k").has_value());
  CHECK(test.store.tryGet<int>("k") == 2);
}

TEST_CASE("hits and misses and sizes are counted", "[store]") {
  Test test;
  test.store.trySet("k", 1);
  for (int i = 0; i < 3; ++i) (void)test.store.tryGet<int>("k");
  (void)test.store.tryGet<int>("none");
  const auto metrics = test.store.getMetrics();
  CHECK(metrics.hits == 3);
  CHECK(metrics.misses == 1);
  CHECK(metrics.entryCount == 1);
  CHECK(metrics.totalSize > 0);
  CHECK(metrics.errorRate == 0);
}

TEST_CASE("the time of calls is measured in the real world", "[store]") {
  asio::io_context io;
  AsyncMemoryStore store{lukhas::Environment(io.get_executor())};
  const std::string value(100'000, 'x');
  for (int i = 0; i < 64; ++i) {
    store.trySet("k", value);
    (void)store.tryGet<std::string>("k");
  }
  const auto metrics = store.getMetrics();
  CHECK(metrics.avgLatencyMs > 0);
  CHECK(metrics.p99LatencyMs >= metrics.avgLatencyMs / 10);
  CHECK(metrics.avgLatencyMs < 100);
}

TEST_CASE("damage is a reason to worry for one to two minutes", "[store]") {
  Test test;
  CHECK(test.issues().empty());
  test.store.trySet("k", 1);
  StoreAccess::flipValueBit(test.store, "k");
  (void)test.store.tryGet<int>("k");
  const auto health = test.store.healthCheck();
  CHECK_FALSE(health.healthy);
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "corruption");
  CHECK(health.issues[0].value == 1);
  test.world.runFor(59s);
  CHECK(test.issues() == Codes{"corruption"});
  test.world.runFor(2min);
  CHECK(test.issues().empty());
}

TEST_CASE("many refused calls are a reason to worry and few are not", "[store]") {
  Test test;
  const auto refused = [&] { CHECK_THROWS(test.store.trySet("v", std::string(2 << 20, 'x'))); };
  refused();
  CHECK(test.issues().empty());
  for (int i = 0; i < 120; ++i) test.store.trySet("k", 1);
  CHECK(test.issues().empty());
  refused();
  CHECK(test.issues() == Codes{"high_error_rate"});
  CHECK(test.store.healthCheck().issues[0].message.find("1.6 %") != std::string::npos);
}

TEST_CASE("a full store that serves is well and one that only evicts is not", "[store]") {
  Test test;
  for (int i = 0; i < 3000; ++i) {
    test.store.trySet("k" + std::to_string(i), std::string(1000, 'x'));
    (void)test.store.tryGet<std::string>("k" + std::to_string(i));
  }
  CHECK(test.store.getMetrics().evictions > 1000);
  CHECK(test.issues().empty());
  test.world.runFor(3min);
  for (int i = 0; i < 3000; ++i) {
    test.store.trySet("k" + std::to_string(i), std::string(1000, 'x'));
    (void)test.store.tryGet<std::string>("k" + std::to_string((i + 1000) % 3000));
  }
  CHECK(test.issues() == Codes{"eviction_pressure"});
}

TEST_CASE("a sweep that does not come is a reason to worry", "[store]") {
  asio::io_context io;  // that nobody runs
  const auto world = std::make_shared<StandingWorld>();
  AsyncMemoryStore store{lukhas::Environment(io.get_executor(), world)};
  store.start();
  store.trySet("k", 1, 10s);
  world->time += 10s + 2min;
  CHECK(store.healthCheck().healthy);
  world->time += 1s;
  const auto health = store.healthCheck();
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "sweep_overdue");
  CHECK(health.issues[0].value == 121);
  CHECK(health.issues[0].limit == 120);
  store.stop();
  CHECK(store.healthCheck().healthy);
}

TEST_CASE("the time of calls is measured in every rhythm of them", "[store]") {
  for (const int between : {0, 1, 7, 15}) {
    asio::io_context io;
    AsyncMemoryStore store{lukhas::Environment(io.get_executor(), std::make_shared<SlowWorld>())};
    auto body = [&]() -> asio::awaitable<void> {
      for (int i = 0; i < 500; ++i) {
        const int value = co_await store.getOrCompute<int>("k", [] { return 1; });
        CHECK(value == 1);
        const std::string other = "k" + std::to_string(i);
        if (between == 0) continue;
        store.trySet("k", 1);
        for (int n = 1; n < between; ++n)
          (void)co_await store.getOrCompute<int>(other + std::to_string(n), [] { return 1; });
      }
    };
    asio::co_spawn(io, body(), asio::detached);
    io.run();
    CHECK(store.getMetrics().avgLatencyMs > 0);
  }
}

TEST_CASE("one damaged value is counted and told once however often it is asked for", "[store]") {
  Test test;
  int evicted = 0;
  const auto watching = test.store.onEvicted.connect([&](const lukhas::EntryEvicted&) { ++evicted; });
  test.store.trySet("k", 1);
  StoreAccess::flipValueBit(test.store, "k");
  auto body = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < 3; ++i) {
      const auto values = co_await test.store.batchGet<int>({"k"});
      CHECK_FALSE(values[0].has_value());
    }
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(test.corrupted == Codes{"k"});
  CHECK(evicted == 1);
  CHECK(test.store.getMetrics().corruptions == 1);
  CHECK(test.store.getMetrics().misses == 3);
  CHECK(test.store.getMetrics().errorRate == 0.25);
}

TEST_CASE("a call that meets two damaged values is one error", "[store]") {
  Test test;
  for (const char* key : {"a", "b"}) {
    test.store.trySet(key, 1);
    StoreAccess::flipValueBit(test.store, key);
  }
  auto body = [&]() -> asio::awaitable<void> { (void)co_await test.store.batchGet<int>({"a", "b"}); };
  test.world.spawn(body());
  test.world.run();
  CHECK(test.store.getMetrics().corruptions == 2);
  CHECK(test.store.getMetrics().errorRate == Approx(1.0 / 3));
}

TEST_CASE("a key whose fresh value lives is not reported as evicted", "[store]") {
  Test test;
  int evicted = 0;
  const auto watching = test.store.onEvicted.connect([&](const lukhas::EntryEvicted&) { ++evicted; });
  const auto mending = test.store.onCorruption.connect(
      [&](const lukhas::EntryCorrupted& event) { test.store.trySet(event.key, 2); });
  test.store.trySet("k", 1);
  StoreAccess::flipValueBit(test.store, "k");
  auto body = [&]() -> asio::awaitable<void> { (void)co_await test.store.batchGet<int>({"k"}); };
  test.world.spawn(body());
  test.world.run();
  CHECK(evicted == 1);
  CHECK(test.corrupted == Codes{"k"});
  CHECK(test.store.tryGet<int>("k") == 2);
}

TEST_CASE("the number of hits never goes back", "[store]") {
  Test test;
  test.store.trySet("damaged", 1);
  StoreAccess::flipValueBit(test.store, "damaged");
  test.store.trySet("expired", 1, 1s);
  test.world.runFor(1s);
  std::vector<std::uint64_t> hits;
  const auto watching = test.store.onExpired.connect(
      [&](const lukhas::StoredEntryExpired&) { hits.push_back(test.store.getMetrics().hits); });
  auto body = [&]() -> asio::awaitable<void> {
    (void)co_await test.store.batchGet<int>({"damaged", "expired"});
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(hits == std::vector<std::uint64_t>{0});
  CHECK(test.store.getMetrics().hits == 0);
}

}  // namespace async_memory_store_health_test
