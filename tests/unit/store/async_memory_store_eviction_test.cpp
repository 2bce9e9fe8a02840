#include "lukhas/store/async_memory_store.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"
#include "support/fifo_policy.hpp"

using lukhas::AsyncMemoryStore;
using lukhas::Eviction;
using lukhas::EvictionEntry;
using lukhas::EvictionPolicy;
using lukhas::detail::StoreAccess;
using lukhas::test::FifoPolicy;

namespace {

constexpr std::size_t policyStoreBytes = 1 << 20;

struct Evicting {
  lukhas::Simulation world;
  AsyncMemoryStore store;
  std::vector<std::string> evicted;
  lukhas::Subscription watching = store.onEvicted.connect([this](const lukhas::EntryEvicted& event) {
    if (event.cause == lukhas::EvictionCause::size) evicted.push_back(event.key);
  });

  explicit Evicting(Eviction eviction, std::size_t shards = 1)
      : store(world.environment(),
              {.maxBytes = policyStoreBytes, .eviction = std::move(eviction), .shards = shards}) {}
  ~Evicting() { CHECK(StoreAccess::checkInvariants(store)); }

  // As a cache is used: what is not there is put in.
  bool access(std::size_t key, std::size_t bytes) {
    const std::string name = fmt::format("k{}", key);
    if (store.tryGet<std::string>(name)) return true;
    store.trySet(name, std::string(bytes, 'x'));
    REQUIRE(store.getMetrics().totalSize <= policyStoreBytes);
    return false;
  }
  // The share of hits in the second half of the rounds over a loop.
  double loop(std::size_t keys, std::size_t rounds, std::size_t bytes) {
    std::size_t hits = 0;
    for (std::size_t i = 0; i < keys * rounds; ++i) {
      const bool hit = access(i % keys, bytes);
      hits += hit && i >= keys * rounds / 2 ? 1 : 0;
    }
    return static_cast<double>(2 * hits) / static_cast<double>(keys * rounds);
  }
};

// Keeps whatever it has.
class Never final : public EvictionPolicy {
 public:
  void added(EvictionEntry&) noexcept override {}
  void used(EvictionEntry&) noexcept override {}
  void removed(EvictionEntry&) noexcept override {}
  EvictionEntry* victim(std::size_t) noexcept override { return nullptr; }
  void clear() noexcept override {}
};

template <class Policy>
Eviction evictionBy() {
  return Eviction::own([](std::size_t, std::uint64_t) { return std::make_unique<Policy>(); });
}

}  // namespace

TEST_CASE("a store with the adaptive policy withstands a loop that is longer than it", "[store][eviction]") {
  Evicting lru(Eviction::lru());
  CHECK(lru.loop(3000, 8, 700) == 0);
  Evicting adaptive(Eviction::adaptive());
  CHECK(adaptive.loop(3000, 8, 700) > 0.35);  // 43 % of the loop fit at most
}

TEST_CASE("a store with the adaptive policy keeps to its limit with values of any size",
          "[store][eviction]") {
  Evicting adaptive(Eviction::adaptive());
  std::uint64_t state = 1;
  for (int i = 0; i < 20000; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const auto key = static_cast<std::size_t>((state >> 40U) % 4000);
    if (state >> 60U == 0) adaptive.store.tryRemove(fmt::format("k{}", key));
    adaptive.access(key, (state >> 50U) % 64 == 0 ? 20000 : (state >> 33U) % 600);
  }
  CHECK_FALSE(adaptive.evicted.empty());
  adaptive.store.trySet("large", std::string(policyStoreBytes * 3 / 4, 'x'));  // most others go for it
  CHECK(adaptive.store.getMetrics().totalSize <= policyStoreBytes);
  CHECK(StoreAccess::checkInvariants(adaptive.store));
  adaptive.store.tryClear();
  CHECK(adaptive.store.getMetrics().totalSize == 0);
}

TEST_CASE("a new value of a key does not make the adaptive policy forget it", "[store][eviction]") {
  Evicting adaptive(Eviction::adaptive());
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 100; ++i) {
      adaptive.store.trySet(fmt::format("often{}", i), std::string(100, static_cast<char>('a' + round % 26)));
    }
    for (std::size_t i = 0; i < 200; ++i) {
      adaptive.access(static_cast<std::size_t>(round) * 200 + i, 1000);  // once and never again
    }
  }
  std::size_t held = 0;
  for (int i = 0; i < 100; ++i) held += adaptive.store.info(fmt::format("often{}", i)) ? 1U : 0U;
  CHECK(held == 100);
}

TEST_CASE("a store evicts by a user's own policy", "[store][eviction]") {
  Evicting fifo(evictionBy<FifoPolicy>());
  for (std::size_t i = 0; i < 1500; ++i) {
    fifo.access(i, 1000);
    if (i < 900) fifo.access(0, 1000);  // of no use to it
  }
  REQUIRE(fifo.evicted.size() > 100);
  for (std::size_t i = 0; i < fifo.evicted.size(); ++i) {
    REQUIRE(fifo.evicted[i] == fmt::format("k{}", i));
  }
}

TEST_CASE("each shard has a policy of its own", "[store][eviction]") {
  std::vector<std::size_t> capacities;
  std::vector<std::uint64_t> seeds;
  const Evicting sharded(Eviction::own([&](std::size_t capacityBytes, std::uint64_t seed) {
                           capacities.push_back(capacityBytes);
                           seeds.push_back(seed);
                           return std::make_unique<FifoPolicy>();
                         }),
                         4);
  CHECK(capacities == std::vector<std::size_t>(4, policyStoreBytes / 4));
  REQUIRE(seeds.size() == 4);
  for (std::size_t i = 1; i < 4; ++i) CHECK(seeds[i] != seeds[0]);
}

TEST_CASE("a store whose policy lets nobody go refuses what comes in and keeps what it has",
          "[store][eviction]") {
  Evicting never(evictionBy<Never>());
  std::size_t stored = 0;
  const auto fill = [&] {
    for (; stored < 2000; ++stored) never.store.trySet(fmt::format("k{}", stored), std::string(1000, 'x'));
  };
  CHECK_THROWS_AS(fill(), lukhas::Error);
  CHECK(stored > 500);
  CHECK(never.store.getMetrics().entryCount == stored);
  CHECK(never.evicted.empty());
  CHECK(never.store.tryGet<std::string>("k0"));
}

TEST_CASE("a batch may replace what the policy lets go for it", "[store][eviction]") {
  Evicting fifo(evictionBy<FifoPolicy>());
  for (std::size_t i = 0; i < 900; ++i) fifo.access(i, 1000);
  std::vector<std::pair<std::string, std::string>> batch;
  for (int i = 0; i < 50; ++i) batch.emplace_back(fmt::format("k{}", i), std::string(15'000, 'y'));
  fifo.store.tryBatchSet(batch);
  for (const auto& [key, value] : batch) CHECK(fifo.store.tryGet<std::string>(key) == value);
}

TEST_CASE("a batch for which the policy lets nobody go changes nothing", "[store][eviction]") {
  Evicting never(evictionBy<Never>());
  never.store.trySet("k", std::string(900'000, 'x'));
  const std::vector<std::pair<std::string, std::string>> batch{{"a", "1"}, {"b", std::string(900'000, 'x')}};
  CHECK_THROWS_AS(never.store.tryBatchSet(batch), lukhas::Error);
  CHECK(never.store.tryHas("k"));
  CHECK_FALSE(never.store.tryHas("a"));
  never.store.trySet("small", std::string("fits"));
  CHECK(never.store.getMetrics().evictions == 0);
}

TEST_CASE("with the adaptive policy a scan does not wash out what is used often", "[store][eviction]") {
  const auto hitsOf = [](const Eviction& eviction, std::size_t shards) {
    Evicting cache(eviction, shards);
    for (std::size_t round = 0; round < 40; ++round) {
      for (std::size_t i = 0; i < 300; ++i) cache.access(i, 1000);
      for (std::size_t i = 0; i < 1000; ++i) cache.access(1000 + 1000 * round + i, 1000);
    }
    return cache.store.getMetrics().hits;
  };
  CHECK(hitsOf(Eviction::lru(), 1) == 0);
  CHECK(hitsOf(Eviction::adaptive(), 1) > 3000);
  CHECK(hitsOf(Eviction::adaptive(), 2) > 0);
}

TEST_CASE("a batch that evicts as many as it has takes no longer for each of them than a small one",
          "[store][eviction]") {
  constexpr int count = 20'000;
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment(), {.maxBytes = count * 200}};
  for (int round = 0; round < 2; ++round) {
    std::vector<std::pair<std::string, std::string>> batch;
    for (int i = 0; i < count; ++i) {
      batch.emplace_back(fmt::format("{}:{}", round, i), std::string(64, 'x'));
    }
    store.tryBatchSet(batch);  // a walk through the batch for each victim would be 400 million steps
    CHECK(store.tryHas("1:0") == (round == 1));
  }
  CHECK(StoreAccess::checkInvariants(store));
}
