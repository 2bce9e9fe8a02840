#include "lukhas/store/detail/cache_entry.hpp"

#include <cstdlib>
#include <string>

#include "support/catch.hpp"

using lukhas::allocatedBytes;
using lukhas::allocationBound;
using lukhas::Version;
using lukhas::detail::CacheEntry;
using lukhas::detail::CacheEntryRef;
using lukhas::detail::EntryDamage;

TEST_CASE("an entry holds its key and value in one block", "[store]") {
  const CacheEntryRef entry = CacheEntry::make("key", 7, lukhas::asBytes("value"));
  CHECK(entry->key() == "key");
  CHECK(lukhas::asText(entry->value()) == "value");
  CHECK(entry->keyHash == 7);
  CHECK(entry->charge() >= CacheEntry::bytesFor(3, 5));
  CHECK(entry->charge() == CacheEntry::chargeFor(3, 5));
  CHECK(CacheEntry::make("k", 7, {})->value().empty());
}

TEST_CASE("any flipped bit of a key or a value is noticed", "[store]") {
  const CacheEntryRef entry = CacheEntry::make("key", 7, lukhas::asBytes("value"));
  for (const auto place : {EntryDamage::Place::key, EntryDamage::Place::value}) {
    for (std::size_t bit = 0; EntryDamage::flip(*entry, place, bit); ++bit) {
      CHECK_FALSE(entry->intact());
      CHECK(entry->readable());
      EntryDamage::flip(*entry, place, bit);
      CHECK(entry->intact());
    }
  }
}

TEST_CASE("any flipped bit of a header is noticed before anything is read by it", "[store]") {
  const CacheEntryRef entry = CacheEntry::make("key", 7, lukhas::asBytes("value"));
  entry->setVersion(Version{123'456'789});
  const std::size_t unguarded = EntryDamage::policyStateByte(*entry);
  const std::size_t slot = EntryDamage::slotByte(*entry);  // held against the heap, when there is one
  for (std::size_t bit = 0; bit < 8 * CacheEntry::headerBytes; ++bit) {
    const std::size_t byte = bit / 8;
    if (byte == unguarded || (byte >= slot && byte < slot + 4)) continue;
    INFO("bit " << bit % 8 << " of byte " << byte);
    EntryDamage::flip(*entry, EntryDamage::Place::header, bit);
    const bool noticed = !entry->readable() || !entry->linksIntact() || !entry->intact();
    EntryDamage::flip(*entry, EntryDamage::Place::header, bit);
    CHECK(noticed);
    CHECK(entry->readable());
    CHECK(entry->linksIntact());
    CHECK(entry->intact());
  }
  CHECK(entry->version() == Version{123'456'789});
}

TEST_CASE("keys have 1 to 256 bytes and values may be empty", "[store]") {
  for (const std::size_t bytes : {1U, 255U, 256U}) {
    const std::string key(bytes, 'k');
    const CacheEntryRef entry = CacheEntry::make(key, 7, {});
    CHECK(entry->key() == key);
    CHECK(entry->value().empty());
    CHECK(entry->intact());
  }
}

TEST_CASE("the block lives as long as its last reference", "[store]") {
  CacheEntryRef first = CacheEntry::make("key", 7, lukhas::asBytes("value"));
  CacheEntryRef second = first;
  CacheEntryRef third(*second, nullptr);
  first = {};
  second = std::move(third);
  CHECK(lukhas::asText(second->value()) == "value");
  const CacheEntryRef adopted = CacheEntryRef::adopt(second.release(), nullptr);
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
  CHECK(lukhas::expectedAllocation(0) == 0);
  CHECK(lukhas::expectedAllocation(1) == 32);
  CHECK(lukhas::expectedAllocation(24) == 32);
  CHECK(lukhas::expectedAllocation(25) == 48);
}
