#include "lukhas/store/detail/cache_table.hpp"

#include <string>
#include <vector>

#include "support/catch.hpp"

using lukhas::detail::CacheEntry;
using lukhas::detail::CacheEntryRef;
using lukhas::detail::CacheTable;

namespace {

CacheEntryRef entryOf(const std::string& key) {
  return CacheEntry::make(key, lukhas::hash64(lukhas::asBytes(key), 1), {});
}

struct Filled {
  std::vector<CacheEntryRef> entries;
  CacheTable table;

  explicit Filled(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      entries.push_back(entryOf(std::to_string(i)));
      table.reserve(table.size() + 1);
      table.insert(*entries.back());
    }
  }
  [[nodiscard]] bool finds(const CacheEntryRef& entry) const {
    return table.find(entry->key(), entry->hash()) == entry.get();
  }
};

}  // namespace

TEST_CASE("an empty table finds nothing and takes nothing", "[store]") {
  const CacheTable table;
  CHECK(table.find("k", 7) == nullptr);
  CHECK(table.memoryBytes() == 0);
  CHECK(table.checkInvariants());
}

TEST_CASE("the table finds every key while it grows and shrinks", "[store]") {
  Filled filled(10'000);
  CHECK(filled.table.checkInvariants());
  std::size_t missing = 0;
  for (const CacheEntryRef& entry : filled.entries) missing += filled.finds(entry) ? 0 : 1;
  CHECK(missing == 0);
  const std::size_t large = filled.table.memoryBytes();

  while (filled.entries.size() > 100) {
    filled.table.erase(*filled.entries.back());
    filled.entries.pop_back();
    if (filled.entries.size() % 500 == 0) REQUIRE(filled.table.checkInvariants());
  }
  for (const CacheEntryRef& entry : filled.entries) CHECK(filled.finds(entry));
  CHECK(filled.table.memoryBytes() < large / 10);
  filled.table.release();
  CHECK(filled.table.memoryBytes() == 0);
}

TEST_CASE("the memory of the table is known before it is taken", "[store]") {
  CacheTable table;
  for (const std::size_t entries : {1u, 512u, 513u, 1024u, 1025u, 5000u}) {
    const std::size_t expected = table.memoryBytesFor(entries);
    table.reserve(entries);
    CHECK(table.memoryBytes() == expected);
    CHECK(expected <= CacheTable::memoryBound(entries));
  }
  CHECK(table.memoryBytesFor(1) == table.memoryBytes());
}

TEST_CASE("keys with the same hash are kept apart", "[store]") {
  const CacheEntryRef a = CacheEntry::make("a", 7, {});
  const CacheEntryRef b = CacheEntry::make("b", 7, {});
  const CacheEntryRef newB = CacheEntry::make("b", 7, {});
  CacheTable table;
  table.reserve(2);
  table.insert(*a);
  table.insert(*b);
  CHECK(table.find("a", 7) == a.get());
  CHECK(table.find("b", 7) == b.get());
  CHECK(table.find("c", 7) == nullptr);
  table.replace(*b, *newB);
  CHECK(table.find("b", 7) == newB.get());
  table.erase(*a);
  CHECK(table.find("a", 7) == nullptr);
  CHECK(table.find("b", 7) == newB.get());
  table.erase(*newB);
  CHECK(table.memoryBytes() == 0);
}
