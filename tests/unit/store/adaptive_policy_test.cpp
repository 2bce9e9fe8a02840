#include "lukhas/store/adaptive_policy.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>

#include "lukhas/store/eviction.hpp"
#include "lukhas/store/lru_policy.hpp"
#include "support/catch.hpp"
#include "support/eviction_entries.hpp"

using lukhas::AdaptivePolicy;
using lukhas::LruPolicy;
using lukhas::test::PlainEntry;

namespace {

constexpr std::size_t charge = 128;

std::uint32_t hashOf(std::size_t key) {
  return static_cast<std::uint32_t>((key + 1) * 0xd6e8feb86659fd93U >> 32U);
}

// A cache that holds so many entries of one charge under a policy.
template <class Policy>
class Cache {
 public:
  template <class... Arguments>
  explicit Cache(std::size_t room, Arguments... arguments) : policy(arguments...), room_(room) {}

  bool access(std::size_t key) {
    while (entries_.size() <= key) entries_.emplace_back(hashOf(entries_.size()), charge);
    PlainEntry& entry = entries_[key];
    ++accesses_;
    if (entry.present) {
      policy.used(entry);
      ++hits_;
      return true;
    }
    if (held_ == room_) {
      auto& victim = static_cast<PlainEntry&>(*policy.victim(charge));
      victim.present = false;
      policy.removed(victim);
      --held_;
    }
    policy.reserve(++held_);
    policy.added(entry);
    entry.present = true;
    return false;
  }
  [[nodiscard]] double hitRatio() const {
    return 100.0 * static_cast<double>(hits_) / static_cast<double>(accesses_);
  }

  Policy policy;

 private:
  std::size_t room_;
  std::size_t held_ = 0;
  std::size_t hits_ = 0;
  std::size_t accesses_ = 0;
  std::deque<PlainEntry> entries_;
};

// Each key twice, `gap` accesses of its kind apart, and never again.
template <class AnyCache>
void accessTwice(AnyCache& cache, std::size_t keys, std::size_t gap, std::size_t first = 0) {
  for (std::size_t i = 0; i < keys; ++i) {
    cache.access(first + i);
    if (i >= gap) cache.access(first + i - gap);
  }
}

}  // namespace

TEST_CASE("in a loop longer than the cache it hits nearly what the best possible policy hits",
          "[store][eviction]") {
  // OPT keeps one part of the loop: size / 1011 of the accesses, once all was read the first time
  for (const std::size_t size : {256U, 512U, 768U}) {
    Cache<AdaptivePolicy> cache(size, std::uint64_t{42});
    for (std::size_t i = 0; i < 200U * 1011U; ++i) cache.access(i % 1011);
    const double best = 100.0 * static_cast<double>(size) / 1011.0;
    CAPTURE(size, cache.hitRatio(), best);
    CHECK(cache.hitRatio() > best - 1.7);
    CHECK(cache.policy.window() < 1);
    CHECK(cache.policy.checkInvariants());
  }
}

TEST_CASE("a loop that just fits hits always, whatever keys the sample takes", "[store][eviction]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Cache<AdaptivePolicy> cache(700, seed);
    for (std::size_t i = 0; i < 700; ++i) cache.access(i);
    for (std::size_t i = 0; i < 20000; ++i) REQUIRE(cache.access(i % 700));
  }
}

TEST_CASE("where each key comes twice and never again it hits every second access as LRU does",
          "[store][eviction]") {
  for (const std::size_t size : {100U, 1000U, 5000U}) {
    Cache<AdaptivePolicy> adaptive(size, std::uint64_t{42});
    Cache<LruPolicy> lru(size);
    accessTwice(adaptive, 40000, 80);
    accessTwice(lru, 40000, 80);
    CAPTURE(size);
    CHECK(adaptive.hitRatio() > lru.hitRatio() - 0.1);
  }
}

TEST_CASE("it follows a load that changes its nature, and returns", "[store][eviction]") {
  Cache<AdaptivePolicy> cache(200, std::uint64_t{42});
  CHECK(cache.policy.window() == 1);
  for (std::size_t i = 0; i < 20000; ++i) cache.access(i % 300);
  CHECK(cache.policy.window() < 1);
  CHECK(cache.hitRatio() > 55);
  accessTwice(cache, 25000, 80, 1000);
  std::size_t late = 0;
  for (std::size_t i = 25000; i < 50000; ++i) {
    cache.access(1000 + i);
    late += cache.access(1000 + i - 80) ? 1 : 0;
  }
  CHECK(late > 24500);
}

TEST_CASE("a scan that turns around at both ends costs it little against LRU", "[store][eviction]") {
  // two ways that hit alike in turns: each change of the way would cost more than it gains
  const auto run = [](auto& cache) {
    for (std::size_t i = 0; i < 60000; ++i) cache.access(i / 1500 % 2 == 0 ? i % 1500 : 1499 - i % 1500);
    return cache.hitRatio();
  };
  Cache<LruPolicy> lru(526);
  const double base = run(lru);
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    Cache<AdaptivePolicy> adaptive(526, seed);
    CAPTURE(seed, base);
    CHECK(run(adaptive) > base - 1.5);
  }
}

TEST_CASE("the same calls with the same seed lead to the same victims", "[store][eviction]") {
  Cache<AdaptivePolicy> one(3000, std::uint64_t{7});  // its shadows see a sample
  Cache<AdaptivePolicy> two(3000, std::uint64_t{7});
  std::uint64_t state = 1;
  for (int i = 0; i < 60000; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const auto key = static_cast<std::size_t>((state >> 33U) % 9000 * ((state >> 50U) % 100) / 100);
    REQUIRE(one.access(key) == two.access(key));
  }
  CHECK(one.policy.checkInvariants());
}

TEST_CASE("a new value keeps the place of the old one", "[store][eviction]") {
  AdaptivePolicy policy(1);
  policy.reserve(2);
  PlainEntry one(hashOf(1), charge);
  PlainEntry two(hashOf(2), charge);
  PlainEntry fresh(hashOf(1), 2 * charge);
  policy.added(one);
  policy.added(two);
  policy.replaced(one, fresh);
  CHECK(policy.size() == 2);
  CHECK(policy.victim(charge) == &two);
  CHECK(policy.checkInvariants());
}

TEST_CASE("the adaptive policy takes little memory at any size, and none when it is empty",
          "[store][eviction]") {
  AdaptivePolicy policy(42);
  CHECK(policy.memoryBytes() == 0);
  CHECK(policy.memoryBytesFor(64) < 8U << 10U);
  for (const std::size_t entries : {256U, 1000U, 8000U}) {
    CAPTURE(entries);
    CHECK(policy.memoryBytesFor(entries) <= 32 * entries);
  }
  CHECK(policy.memoryBytesFor(100'000) <= 1'200'000);
  CHECK(policy.memoryBytesFor(1'000'000) <= 10'000'000);
  PlainEntry entry(hashOf(1), charge);
  policy.reserve(1);
  policy.added(entry);
  CHECK(policy.memoryBytes() > 0);
  CHECK(policy.memoryBytes() <= policy.memoryBound(1));
  policy.clear();
  CHECK(policy.memoryBytes() == 0);
  CHECK(policy.victim(1) == nullptr);
}

TEST_CASE("a store's option makes adaptive policies", "[store][eviction]") {
  const lukhas::Eviction eviction = lukhas::Eviction::adaptive();
  CHECK_FALSE(eviction.isLru());
  CHECK(dynamic_cast<AdaptivePolicy*>(eviction.make(1 << 20, 42).get()));
}
