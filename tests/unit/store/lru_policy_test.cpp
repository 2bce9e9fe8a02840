#include "lukhas/store/lru_policy.hpp"

#include <cstddef>
#include <vector>

#include "support/catch.hpp"
#include "support/eviction_entries.hpp"

using lukhas::EvictionEntry;
using lukhas::LruPolicy;
using lukhas::test::PlainEntry;

namespace {

std::vector<std::uint64_t> oldestFirst(const LruPolicy& policy) {
  std::vector<std::uint64_t> hashes;
  for (const EvictionEntry* entry = policy.oldest(); entry; entry = entry->newer) {
    hashes.push_back(entry->keyHash);
  }
  return hashes;
}

using Hashes = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("the entry goes that was used longest ago", "[store][eviction]") {
  LruPolicy policy;
  PlainEntry one(1, 10);
  PlainEntry two(2, 10);
  PlainEntry three(3, 10);
  CHECK(policy.victim(10) == nullptr);
  for (PlainEntry* entry : {&one, &two, &three}) policy.added(*entry);
  CHECK(oldestFirst(policy) == Hashes{1, 2, 3});
  policy.used(one);
  policy.used(one);
  CHECK(oldestFirst(policy) == Hashes{2, 3, 1});
  CHECK(policy.victim(10) == &two);
  CHECK(policy.victim(10) == &two);  // who is asked for is still there
  policy.removed(three);             // from the middle
  CHECK(oldestFirst(policy) == Hashes{2, 1});
  CHECK(policy.checkInvariants());
}

TEST_CASE("a new value counts as used", "[store][eviction]") {
  LruPolicy policy;
  PlainEntry one(1, 10);
  PlainEntry two(2, 10);
  PlainEntry fresh(1, 20);
  policy.added(one);
  policy.added(two);
  policy.replaced(one, fresh);
  CHECK(oldestFirst(policy) == Hashes{2, 1});
  CHECK(policy.checkInvariants());
}

TEST_CASE("LRU forgets all at once, and begins anew", "[store][eviction]") {
  LruPolicy policy;
  PlainEntry one(1, 10);
  policy.added(one);
  policy.clear();
  CHECK(policy.victim(10) == nullptr);
  PlainEntry two(2, 10);
  policy.added(two);
  CHECK(oldestFirst(policy) == Hashes{2});
  CHECK(policy.checkInvariants());
}
