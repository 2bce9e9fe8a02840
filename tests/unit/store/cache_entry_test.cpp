#include "lukhas/store/detail/cache_entry.hpp"

#include <cstdlib>
#include <string>

#include "support/catch.hpp"

using lukhas::allocatedBytes;
using lukhas::allocationBound;
using lukhas::detail::CacheEntry;
using lukhas::detail::CacheEntryRef;

TEST_CASE("an entry holds its key and value in one block", "[store]") {
  const CacheEntryRef entry = CacheEntry::make("key", 7, lukhas::asBytes("value"));
  CHECK(entry->key() == "key");
  CHECK(lukhas::asText(entry->value()) == "value");
  CHECK(entry->keyHash == 7);
  CHECK(entry->charge() >= CacheEntry::bytesFor(3, 5));
  CHECK(CacheEntry::make("k", 7, {})->value().empty());
}

TEST_CASE("any flipped bit of a value is noticed", "[store]") {
  const CacheEntryRef entry = CacheEntry::make("key", 7, lukhas::asBytes("value"));
  for (std::size_t bit = 0; bit < 40; ++bit) {
    CHECK(entry->intact());
    entry->flipValueBit(bit);
    CHECK_FALSE(entry->intact());
    entry->flipValueBit(bit);
  }
}

TEST_CASE("the block lives as long as its last reference", "[store]") {
  CacheEntryRef first = CacheEntry::make("key", 7, lukhas::asBytes("value"));
  CacheEntryRef second = first;
  CacheEntryRef third(*second);
  first = {};
  second = std::move(third);
  CHECK(lukhas::asText(second->value()) == "value");
  const CacheEntryRef adopted = CacheEntryRef::adopt(second.release());
  CHECK_FALSE(second);
  CHECK(adopted->key() == "key");
}

TEST_CASE("the bound of an allocation is never passed", "[store]") {
  for (std::size_t bytes = 1; bytes < (4 << 20); bytes += 1 + bytes / 7) {
    void* const block = std::malloc(bytes);
    const std::size_t taken = allocatedBytes(block, bytes);
    std::free(block);
    REQUIRE(taken >= bytes);
    REQUIRE(taken <= allocationBound(bytes));
  }
  CHECK(allocationBound(0) == 0);
}
