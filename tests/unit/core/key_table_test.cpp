#include "lukhas/core/key_table.hpp"

#include <memory>
#include <string>
#include <vector>

#include "lukhas/core/bytes.hpp"
#include "support/catch.hpp"

using lukhas::KeyHook;
using lukhas::KeyTable;

namespace {

struct Named : KeyHook {
  Named(std::string key, std::uint64_t hash) : KeyHook(hash), name(std::move(key)) {}
  explicit Named(const std::string& key) : Named(key, lukhas::hash64(lukhas::asBytes(key), 1)) {}
  [[nodiscard]] const std::string& key() const { return name; }
  std::string name;
};
using Table = KeyTable<Named>;

struct Filled {
  std::vector<std::unique_ptr<Named>> nodes;
  Table table;

  explicit Filled(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      nodes.push_back(std::make_unique<Named>(std::to_string(i)));
      table.reserve(table.size() + 1);
      table.insert(*nodes.back());
    }
  }
  [[nodiscard]] std::size_t found() const {
    std::size_t count = 0;
    for (const auto& node : nodes) count += table.find(node->key(), node->keyHash) == node.get() ? 1 : 0;
    return count;
  }
  void eraseLast() {
    table.erase(*nodes.back());
    nodes.pop_back();
  }
};

}  // namespace

TEST_CASE("an empty table finds nothing and takes nothing", "[core]") {
  const Table table;
  CHECK(table.find("k", 7) == nullptr);
  CHECK(table.memoryBytes() == 0);
  CHECK(table.checkInvariants());
}

TEST_CASE("the table finds every key while it grows and shrinks", "[core]") {
  Filled filled(10'000);
  CHECK(filled.table.checkInvariants());
  CHECK(filled.found() == 10'000);
  const std::size_t large = filled.table.memoryBytes();

  while (filled.nodes.size() > 100) {
    filled.eraseLast();
    if (filled.nodes.size() % 500 == 0) REQUIRE(filled.table.checkInvariants());
  }
  CHECK(filled.found() == 100);
  CHECK(filled.table.memoryBytes() < large / 10);
  CHECK(filled.table.memoryBytes() <= Table::memoryBound(100));
}

TEST_CASE("a table that empties keeps one small chunk until it is released", "[core]") {
  Filled filled(1000);
  while (!filled.nodes.empty()) filled.eraseLast();
  CHECK(filled.table.memoryBytes() > 0);
  CHECK(filled.table.memoryBytes() < 1024);
  filled.table.release();
  CHECK(filled.table.memoryBytes() == 0);

  Named again("again");
  filled.table.reserve(1);
  filled.table.insert(again);
  CHECK(filled.table.find("again", again.keyHash) == &again);
}

TEST_CASE("the memory of the table is known before it is taken", "[core]") {
  Table table;
  for (const std::size_t elements : {1u, 64u, 65u, 512u, 513u, 1024u, 1025u, 5000u}) {
    const std::size_t expected = table.memoryBytesFor(elements);
    table.reserve(elements);
    CHECK(table.memoryBytes() == expected);
    CHECK(expected <= Table::memoryBound(elements));
  }
  CHECK(table.memoryBytesFor(1) == table.memoryBytes());
}

TEST_CASE("keys with the same hash are kept apart", "[core]") {
  Named a("a", 7);
  Named b("b", 7);
  Named newB("b", 7);
  Table table;
  table.reserve(2);
  table.insert(a);
  table.insert(b);
  CHECK(table.find("a", 7) == &a);
  CHECK(table.find("b", 7) == &b);
  CHECK(table.find("c", 7) == nullptr);
  table.replace(b, newB);
  CHECK(table.find("b", 7) == &newB);
  table.erase(a);
  CHECK(table.find("a", 7) == nullptr);
  CHECK(table.find("b", 7) == &newB);
  table.erase(newB);
  CHECK(table.empty());
}

TEST_CASE("all elements can be destroyed in one walk", "[core]") {
  Table table;
  for (int i = 0; i < 1000; ++i) {
    table.reserve(table.size() + 1);
    table.insert(*new Named(std::to_string(i)));
  }
  std::size_t destroyed = 0;
  table.forEach([&](Named& node) {
    delete &node;
    ++destroyed;
  });
  table.release();
  CHECK(destroyed == 1000);
  CHECK(table.find("1", 1) == nullptr);
}
