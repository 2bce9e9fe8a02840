#include "lukhas/store/eviction.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "lukhas/store/eviction_order.hpp"
#include "support/catch.hpp"
#include "support/eviction_entries.hpp"
#include "support/fifo_policy.hpp"

using lukhas::Eviction;
using lukhas::EvictionEntry;
using lukhas::EvictionPolicy;
using lukhas::test::FifoPolicy;
using lukhas::test::PlainEntry;

TEST_CASE("a store evicts by LRU unless told otherwise", "[store][eviction]") {
  CHECK(Eviction().isLru());
  CHECK(Eviction::lru().isLru());
  const auto policy = Eviction().make(1 << 20, 1);
  PlainEntry first(1, 100);
  PlainEntry second(2, 100);
  policy->added(first);
  policy->added(second);
  policy->used(first);
  CHECK(policy->victim(100) == &second);
}

TEST_CASE("a factory gets capacity and seed, and is called for each policy", "[store][eviction]") {
  std::vector<std::size_t> capacities;
  std::vector<std::uint64_t> seeds;
  const Eviction eviction = Eviction::own([&](std::size_t capacityBytes, std::uint64_t seed) {
    capacities.push_back(capacityBytes);
    seeds.push_back(seed);
    return std::make_unique<FifoPolicy>();
  });
  CHECK_FALSE(eviction.isLru());
  const auto one = eviction.make(1000, 7);
  const auto two = eviction.make(2000, 8);
  CHECK(capacities == std::vector<std::size_t>{1000, 2000});
  CHECK(seeds == std::vector<std::uint64_t>{7, 8});
  CHECK(one.get() != two.get());
}

TEST_CASE("a policy of ten lines decides who goes", "[store][eviction]") {
  const auto policy =
      Eviction::own([](std::size_t, std::uint64_t) { return std::make_unique<FifoPolicy>(); }).make(1000, 1);
  PlainEntry first(1, 100);
  PlainEntry second(2, 100);
  CHECK(policy->victim(100) == nullptr);
  policy->added(first);
  policy->added(second);
  policy->used(first);
  CHECK(policy->victim(100) == &first);
  policy->removed(first);
  CHECK(policy->victim(100) == &second);
  policy->clear();
  CHECK(policy->victim(100) == nullptr);
}

TEST_CASE("what a policy does not override costs nothing and breaks nothing", "[store][eviction]") {
  FifoPolicy policy;
  PlainEntry old(1, 100);
  PlainEntry other(2, 100);
  PlainEntry fresh(1, 200);
  policy.reserve(1000);
  policy.added(old);
  policy.added(other);
  policy.replaced(old, fresh);
  policy.resized(5000);
  CHECK(policy.victim(1) == &other);
  CHECK(policy.memoryBytes() == 0);
  CHECK(policy.memoryBytesFor(1000) == 0);
  CHECK(policy.memoryBound(1000) == 0);
  CHECK(policy.checkInvariants());
}

TEST_CASE("a factory that is empty or gives nothing is refused with its name", "[store][eviction]") {
  CHECK(lukhas::test::errorOf([] { (void)Eviction::own(nullptr); }) == lukhas::Errc::invalid_argument);
  const Eviction none =
      Eviction::own([](std::size_t, std::uint64_t) -> std::unique_ptr<EvictionPolicy> { return nullptr; });
  CHECK(lukhas::test::errorOf([&] { (void)none.make(1000, 1); }) == lukhas::Errc::invalid_argument);
  const Eviction failing = Eviction::own([](std::size_t, std::uint64_t) -> std::unique_ptr<EvictionPolicy> {
    throw std::runtime_error("no policy today");
  });
  CHECK_THROWS_AS(failing.make(1000, 1), std::runtime_error);
}

TEST_CASE("an entry costs what its block takes of the allocator", "[store][eviction]") {
  CHECK(PlainEntry(1, 160).charge() == 160);
  CHECK(PlainEntry(1, 161).charge() == 176);
  CHECK(PlainEntry(1, 40).charge() == 48);
  CHECK(sizeof(EvictionEntry) == 28);
}
