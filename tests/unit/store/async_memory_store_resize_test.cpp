#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include <asio/co_spawn.hpp>
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

constexpr std::size_t quarter = 1 << 20;

struct Resized {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment(), {.maxBytes = 4 * quarter, .sweepSlice = 100}};
  std::vector<std::string> evicted;
  lukhas::Subscription watching = store.onEvicted.connect([this](const lukhas::EntryEvicted& event) {
    if (event.cause == lukhas::EvictionCause::size) evicted.push_back(event.key);
  });

  ~Resized() { CHECK(StoreAccess::checkInvariants(store)); }
  void fill(int count) {
    for (int i = 0; i < count; ++i) store.trySet(fmt::format("k{}", i), std::string(1000, 'x'));
  }
  [[nodiscard]] std::size_t bytes() const { return store.getMetrics().totalSize; }
};

}  // namespace

TEST_CASE("a smaller limit is reached in slices that let others run", "[store]") {
  Resized test;
  test.fill(3000);
  int between = 0;
  bool done = false;
  auto shrink = [&]() -> asio::awaitable<void> {
    co_await test.store.resize(quarter);
    CHECK(test.bytes() <= quarter);
    done = true;
  };
  auto other = [&]() -> asio::awaitable<void> {
    std::size_t last = test.bytes();
    while (!done) {
      ++between;
      CHECK(test.bytes() <= last);  // it only falls
      last = test.bytes();
      CHECK(StoreAccess::checkInvariants(test.store));
      co_await test.world.environment().sleepFor(0s);
    }
  };
  asio::co_spawn(test.world.environment().executor(), shrink(), [](std::exception_ptr e) { CHECK_FALSE(e); });
  asio::co_spawn(test.world.environment().executor(), other(), [](std::exception_ptr e) { CHECK_FALSE(e); });
  test.world.runFor(1s);
  CHECK(done);
  CHECK(between > 10);
  CHECK(test.evicted.size() > 1900);
  CHECK(test.evicted[0] == "k0");
  CHECK(test.bytes() > quarter * 9 / 10);
}

TEST_CASE("the new limit holds at once for what comes in", "[store]") {
  Resized test;
  test.fill(3000);
  const std::size_t before = test.bytes();
  test.store.tryResize(quarter);
  CHECK(test.bytes() == before);
  CHECK_THROWS_AS(test.store.trySet("large", std::string(2 * quarter, 'x')), lukhas::Error);
  std::size_t last = before;
  for (int i = 0; i < 300; ++i) {  // each write lets some go
    test.store.trySet(fmt::format("new{}", i), std::string(1000, 'x'));
    CHECK(test.bytes() <= last);
    last = test.bytes();
  }
  CHECK(test.bytes() <= quarter);
  CHECK(test.store.tryHas("new299"));
}

TEST_CASE("a larger limit lets more in", "[store]") {
  Resized test;
  test.fill(3000);
  test.store.tryResize(16 * quarter);
  test.store.trySet("large", std::string(8 * quarter, 'x'));
  CHECK(test.evicted.empty());
  CHECK(test.bytes() > 8 * quarter);
}

TEST_CASE("a limit that the option could not have is refused, and nothing changes", "[store]") {
  Resized test;
  test.fill(100);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1000}, std::size_t{1} << 40U}) {
    try {
      test.store.tryResize(bytes);
      FAIL("it was taken");
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == lukhas::Errc::invalid_option);
      CHECK(error.details()["option"] == "maxBytes");
    }
    CHECK_THROWS_AS(test.store.resize(bytes), lukhas::Error);
  }
  test.store.trySet("large", std::string(3 * quarter, 'x'));
}

TEST_CASE("a resize ends although the policy lets nobody go", "[store]") {
  // Lets nobody go.
  class Stubborn final : public lukhas::EvictionPolicy {
   public:
    void added(lukhas::EvictionEntry&) noexcept override {}
    void used(lukhas::EvictionEntry&) noexcept override {}
    void removed(lukhas::EvictionEntry&) noexcept override {}
    lukhas::EvictionEntry* victim(std::size_t) noexcept override { return nullptr; }
    void clear() noexcept override {}
  };
  const auto make = [](std::size_t, std::uint64_t) { return std::make_unique<Stubborn>(); };
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment(),
                         {.maxBytes = 4 * quarter, .eviction = lukhas::Eviction::own(make)}};
  store.trySet("k", std::string(2 * quarter, 'x'), 10s);
  bool done = false;
  auto shrink = [&]() -> asio::awaitable<void> {
    co_await store.resize(quarter);
    done = true;
  };
  world.spawn(shrink());
  world.runFor(1s);
  CHECK(done);
  CHECK(store.tryHas("k"));
  world.runFor(10s);
  CHECK_FALSE(store.tryHas("k"));
  store.trySet("small", std::string("fits"));
  CHECK(store.getMetrics().totalSize <= quarter);
}
