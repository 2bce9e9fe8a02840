// The store with other eviction policies than LRU.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/adaptive_policy.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

using lukhas::AsyncMemoryStore;
using lukhas::Eviction;
using lukhas::EvictionEntry;
using lukhas::EvictionPolicy;
using lukhas::detail::StoreAccess;

namespace {

constexpr std::size_t smallStore = 1 << 20;

// The first that came goes first.
class FirstInFirstOut final : public EvictionPolicy {
 public:
  void added(EvictionEntry& entry) noexcept override { order_.addNewest(entry); }
  void used(EvictionEntry&) noexcept override {}
  void removed(EvictionEntry& entry) noexcept override { order_.remove(entry); }
  EvictionEntry* victim(std::size_t) noexcept override { return order_.oldest(); }
  void clear() noexcept override { order_.clear(); }

 private:
  lukhas::EvictionOrder order_;
};

// Lets nobody go.
class Stubborn final : public EvictionPolicy {
 public:
  void added(EvictionEntry&) noexcept override {}
  void used(EvictionEntry&) noexcept override {}
  void removed(EvictionEntry&) noexcept override {}
  EvictionEntry* victim(std::size_t) noexcept override { return nullptr; }
  void clear() noexcept override {}
};

template <class Policy>
Eviction ownPolicy() {
  return Eviction::own([](std::size_t, std::uint64_t) { return std::make_unique<Policy>(); });
}

void use(AsyncMemoryStore& store, int i) {
  const std::string key = fmt::format("k{}", i);
  if (!store.tryGet<std::string>(key)) store.trySet(key, std::string(1000, 'x'));
}

}  // namespace

TEST_CASE("an own policy says who goes", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment(),
                         {.maxBytes = smallStore, .eviction = ownPolicy<FirstInFirstOut>()});
  std::vector<std::string> evicted;
  const auto watching =
      store.onEvicted.connect([&](const lukhas::EntryEvicted& event) { evicted.push_back(event.key); });
  for (int i = 0; i < 800; ++i) use(store, i);
  REQUIRE(evicted.empty());
  use(store, 0);  // a use, which this policy does not care for
  for (int i = 800; i < 1200; ++i) use(store, i);
  REQUIRE(evicted.size() > 100);
  for (std::size_t i = 0; i < evicted.size(); ++i) CHECK(evicted[i] == fmt::format("k{}", i));
  CHECK(StoreAccess::checkInvariants(store));
}

TEST_CASE("a batch may replace what the policy lets go for it", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment(),
                         {.maxBytes = smallStore, .eviction = ownPolicy<FirstInFirstOut>()});
  for (int i = 0; i < 900; ++i) use(store, i);
  std::vector<std::pair<std::string, std::string>> batch;
  for (int i = 0; i < 50; ++i) batch.emplace_back(fmt::format("k{}", i), std::string(15'000, 'y'));
  store.tryBatchSet(batch);
  for (const auto& [key, value] : batch) CHECK(store.tryGet<std::string>(key) == value);
  CHECK(StoreAccess::checkInvariants(store));
}

TEST_CASE("a policy that lets nobody go makes the store refuse, and nothing changes", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment(), {.maxBytes = smallStore, .eviction = ownPolicy<Stubborn>()});
  store.trySet("k", std::string(900'000, 'x'));
  CHECK_THROWS_AS(store.trySet("k2", std::string(900'000, 'x')), lukhas::Error);
  const std::vector<std::pair<std::string, std::string>> batch{{"a", "1"}, {"b", std::string(900'000, 'x')}};
  CHECK_THROWS_AS(store.tryBatchSet(batch), lukhas::Error);
  CHECK(store.tryHas("k"));
  CHECK_FALSE(store.tryHas("a"));
  store.trySet("small", std::string("fits"));
  CHECK(store.getMetrics().evictions == 0);
}

TEST_CASE("with the adaptive policy a scan does not wash out what is used often", "[store]") {
  const auto hitsOf = [](const Eviction& eviction, std::size_t shards) {
    lukhas::Simulation world;
    AsyncMemoryStore store(world.environment(),
                           {.maxBytes = smallStore, .eviction = eviction, .shards = shards});
    for (int round = 0; round < 40; ++round) {
      for (int i = 0; i < 300; ++i) use(store, i);
      for (int i = 0; i < 1000; ++i) use(store, 1000 + 1000 * round + i);
      REQUIRE(store.getMetrics().totalSize <= smallStore);
    }
    CHECK(StoreAccess::checkInvariants(store));
    const auto hits = store.getMetrics().hits;
    store.tryClear();
    CHECK(store.getMetrics().totalSize == 0);
    return hits;
  };
  CHECK(hitsOf(Eviction::lru(), 1) == 0);
  CHECK(hitsOf(Eviction::adaptive(), 1) > 3000);
  CHECK(hitsOf(Eviction::adaptive(), 2) > 0);
}
