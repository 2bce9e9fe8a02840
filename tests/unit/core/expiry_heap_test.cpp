#include "lukhas/core/expiry_heap.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace std::chrono_literals;

namespace {

struct Entry : lukhas::ExpiryHook {
  explicit Entry(std::string given) : name(std::move(given)) {}
  std::string name;
};
using Heap = lukhas::ExpiryHeap<Entry>;
using Time = std::chrono::steady_clock::time_point;
using Names = std::vector<std::string>;

constexpr std::size_t itemBytes = 24;

constexpr Time at(std::chrono::milliseconds since) { return Time(since); }

template <class AnyHeap>
Names popAll(AnyHeap& heap) {
  Names names;
  heap.popExpired(Time::max(), heap.size(), [&](Entry& entry, Time) { names.push_back(entry.name); });
  return names;
}

// Elements with the names "0", "1", …
std::deque<Entry> makeEntries(std::size_t count) {
  std::deque<Entry> entries;
  for (std::size_t i = 0; i < count; ++i) entries.emplace_back(std::to_string(i));
  return entries;
}

static_assert(!std::is_copy_constructible_v<Heap> && !std::is_copy_assignable_v<Heap>);
static_assert(noexcept(std::declval<Heap&>().erase(std::declval<Entry&>())));  // so that destructors may

}  // namespace

TEST_CASE("the earliest element is in front", "[core]") {
  Entry a("a");
  Entry b("b");
  Entry c("c");
  Heap heap;
  CHECK(heap.empty());

  heap.push(b, at(20ms));
  heap.push(c, at(30ms));
  heap.push(a, at(10ms));

  CHECK(heap.size() == 3);
  CHECK(&heap.front() == &a);
  CHECK(heap.frontTime() == at(10ms));
  CHECK(heap.timeOf(c) == at(30ms));
  CHECK(heap.checkInvariants());
  CHECK(popAll(heap) == Names{"a", "b", "c"});
  CHECK(heap.empty());
}

TEST_CASE("elements of one time come out in the order of their last push or update", "[core]") {
  auto entries = makeEntries(9);
  Heap heap;
  for (Entry& entry : entries) heap.push(entry, at(5ms));
  heap.update(entries[3], at(5ms));

  CHECK(popAll(heap) == Names{"0", "1", "2", "4", "5", "6", "7", "8", "3"});
}

TEST_CASE("an updated element moves either way", "[core]") {
  auto entries = makeEntries(30);
  Heap heap;
  for (std::size_t i = 0; i < entries.size(); ++i)
    heap.push(entries[i], at(std::chrono::milliseconds(10 + i)));

  heap.update(entries[29], at(1ms));
  CHECK(heap.front().name == "29");
  CHECK(heap.checkInvariants());
  heap.update(entries[29], at(15ms));
  CHECK(heap.front().name == "0");
  CHECK(heap.timeOf(entries[29]) == at(15ms));
  CHECK(heap.checkInvariants());
}

TEST_CASE("an erased element is out and the others stay", "[core]") {
  for (std::size_t victim = 0; victim < 25; ++victim) {
    auto entries = makeEntries(25);
    Heap heap;
    Names expected;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      heap.push(entries[i], at(std::chrono::milliseconds(i)));
      if (i != victim) expected.push_back(entries[i].name);
    }
    heap.erase(entries[victim]);
    CHECK_FALSE(entries[victim].inHeap());
    CHECK(heap.checkInvariants());
    CHECK(popAll(heap) == expected);
  }
}

TEST_CASE("who takes the place of an erased element rises when it is earlier than its new parent", "[core]") {
  auto entries = makeEntries(10);
  lukhas::ExpiryHeap<Entry, Time, 4> heap;
  // Element 9 (11 ms) is a child of 2 (10 ms); in place of 5 it becomes one of 1 (100 ms).
  const std::vector<int> times = {0, 100, 10, 10, 10, 200, 200, 200, 200, 11};
  for (std::size_t i = 0; i < entries.size(); ++i)
    heap.push(entries[i], at(std::chrono::milliseconds(times[i])));
  REQUIRE(entries[5].heapSlot == 5);

  heap.erase(entries[5]);

  CHECK(heap.checkInvariants());
  CHECK(popAll(heap) == Names{"0", "2", "3", "4", "9", "1", "6", "7", "8"});
}

TEST_CASE("an element is contained in its own heap only", "[core]") {
  Entry a("a");
  Entry b("b");
  Heap first;
  Heap second;
  CHECK_FALSE(first.contains(a));
  first.push(a, at(1ms));
  second.push(b, at(1ms));

  CHECK(first.contains(a));
  CHECK_FALSE(second.contains(a));  // though both have slot 0
  first.erase(a);
  CHECK_FALSE(first.contains(a));
}

TEST_CASE("a copy of an element is in no heap", "[core]") {
  Entry a("a");
  Entry other("other");
  Heap heap;
  heap.push(a, at(1ms));

  const Entry copy = a;
  CHECK_FALSE(copy.inHeap());
  CHECK_FALSE(heap.contains(copy));
  a = other;  // takes the name, not the place
  CHECK(heap.contains(a));
  CHECK(heap.checkInvariants());
}

TEST_CASE("only what is due is popped and at most so many", "[core]") {
  auto entries = makeEntries(5);
  Heap heap;
  for (std::size_t i = 0; i < 5; ++i) heap.push(entries[i], at(std::chrono::milliseconds(i * 10)));
  Names names;
  const auto take = [&](Entry& entry, Time when) {
    CHECK_FALSE(entry.inHeap());
    names.push_back(entry.name + "@" + std::to_string(when.time_since_epoch() / 1ms));
  };

  CHECK(heap.popExpired(at(30ms) - 1ns, 2, take) == 2);
  CHECK(names == Names{"0@0", "1@10"});
  CHECK(heap.popExpired(at(30ms) - 1ns, 2, take) == 1);
  CHECK(heap.popExpired(at(30ms), 2, take) == 1);
  CHECK(heap.popExpired(at(30ms), 2, take) == 0);
  CHECK(heap.popExpired(at(99ms), 0, take) == 0);
  CHECK(names == Names{"0@0", "1@10", "2@20", "3@30"});
}

TEST_CASE("who is popped may be pushed again at once", "[core]") {
  auto entries = makeEntries(3);
  Heap heap;
  for (Entry& entry : entries) heap.push(entry, at(1ms));
  // Due again straight away: the bound ends the loop.
  CHECK(heap.popExpired(at(1ms), 10, [&](Entry& entry, Time) { heap.push(entry, at(1ms)); }) == 10);
  CHECK(heap.size() == 3);
  CHECK(heap.checkInvariants());
}

TEST_CASE("who is popped may erase another that is due", "[core]") {
  auto entries = makeEntries(3);
  Heap heap;
  for (Entry& entry : entries) heap.push(entry, at(1ms));
  Names names;
  heap.popExpired(at(1ms), 10, [&](Entry& entry, Time) {
    names.push_back(entry.name);
    if (heap.contains(entries[1])) heap.erase(entries[1]);
  });
  CHECK(names == Names{"0", "2"});
}

TEST_CASE("a callback that throws leaves the rest in the heap", "[core]") {
  auto entries = makeEntries(3);
  Heap heap;
  for (Entry& entry : entries) heap.push(entry, at(1ms));
  CHECK_THROWS_AS(heap.popExpired(at(1ms), 10, [](Entry&, Time) { throw std::runtime_error("take"); }),
                  std::runtime_error);
  CHECK(heap.size() == 2);
  CHECK_FALSE(entries[0].inHeap());
  CHECK(heap.checkInvariants());
}

TEST_CASE("what expires until a time is visited in order and stays", "[core]") {
  auto entries = makeEntries(40);
  Heap heap;
  for (std::size_t i = 0; i < 40; ++i) heap.push(entries[i], at(std::chrono::milliseconds(i * 7 % 40)));
  Names names;
  heap.forEachUntil(at(3ms), [&](Entry& entry, Time) { names.push_back(entry.name); });
  CHECK(names == Names{"0", "23", "6", "29"});  // 0, 161, 42 and 203 modulo 40: 0, 1, 2, 3
  CHECK(heap.size() == 40);

  heap.forEachUntil(at(-1ms), [&](Entry&, Time) { FAIL("nothing expires before the first"); });
  Heap().forEachUntil(at(1ms), [&](Entry&, Time) { FAIL("an empty heap has nothing"); });
}

TEST_CASE("a bulk load gives the same order as single pushes", "[core]") {
  for (const std::size_t count : {0U, 1U, 2U, 4U, 5U, 6U, 21U, 22U, 100U}) {
    auto entries = makeEntries(count);
    Entry early("early");
    std::vector<std::pair<Entry*, Time>> load;
    Names expected{"early"};
    for (std::size_t i = 0; i < count; ++i)
      load.emplace_back(&entries[i], at(std::chrono::milliseconds(count - i)));
    for (std::size_t i = count; i-- > 0;) expected.push_back(entries[i].name);
    Heap heap;
    heap.push(early, at(0ms));

    heap.build(load);

    CHECK(heap.checkInvariants());
    CHECK(popAll(heap) == expected);
  }
}

TEST_CASE("the array shrinks when most of it is empty", "[core]") {
  auto entries = makeEntries(10'000);
  Heap heap;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::size_t promised = heap.memoryBytesFor(i + 1);
    heap.push(entries[i], at(std::chrono::milliseconds(i)));
    REQUIRE(heap.memoryBytes() == promised);
  }
  CHECK(heap.memoryBytes() >= 10'000 * itemBytes);

  while (!heap.empty()) {
    heap.popExpired(at(1h), 1, [](Entry&, Time) {});
    if (!heap.empty()) REQUIRE(heap.memoryBytes() <= Heap::memoryBound(heap.size()));
  }
  CHECK(heap.memoryBytes() <= 80 * itemBytes);  // the first chunk stays
  CHECK(Heap::memoryBound(100) < 4 * 200 * itemBytes);
  CHECK(Heap::memoryBound(0) == 0);
}

TEST_CASE("the array never moves an element's place while it grows and shrinks", "[core]") {
  auto entries = makeEntries(5'000);
  Heap heap;
  for (std::size_t i = 0; i < entries.size(); ++i) heap.push(entries[i], at(std::chrono::milliseconds(i)));
  CHECK(heap.checkInvariants());
  for (std::size_t i = entries.size(); i-- > 3;) {  // from the end: no element needs to move
    heap.erase(entries[i]);
    if (i % 400 == 0) REQUIRE(heap.checkInvariants());
  }
  CHECK(popAll(heap) == Names{"0", "1", "2"});
}

TEST_CASE("a heap with room takes that many elements without more memory", "[core]") {
  auto entries = makeEntries(1000);
  Heap heap;
  heap.reserve(1000);
  const std::size_t reserved = heap.memoryBytes();
  for (Entry& entry : entries) heap.push(entry, at(1ms));
  CHECK(heap.memoryBytes() == reserved);
}

TEMPLATE_TEST_CASE_SIG("a heap of any arity gives the same order", "[core]", ((std::size_t arity), arity), 2,
                       4, 8, 16) {
  auto entries = makeEntries(700);
  lukhas::ExpiryHeap<Entry, int, arity> heap;
  for (std::size_t i = 0; i < entries.size(); ++i) heap.push(entries[i], static_cast<int>(i * 7919 % 500));
  for (std::size_t i = 0; i < entries.size(); i += 3) heap.update(entries[i], static_cast<int>(i % 90));
  for (std::size_t i = 1; i < entries.size(); i += 7) heap.erase(entries[i]);
  CHECK(heap.checkInvariants());
  int before = -1;
  std::size_t taken = 0;
  heap.popExpired(1000, entries.size(), [&](Entry&, int time) {
    CHECK(before <= time);
    before = time;
    ++taken;
  });
  CHECK(taken == 600);
}

TEST_CASE("a cleared heap lets go of its elements and memory", "[core]") {
  auto entries = makeEntries(100);
  Heap heap;
  for (Entry& entry : entries) heap.push(entry, at(1ms));

  heap.clear();

  CHECK(heap.empty());
  CHECK(heap.memoryBytes() == 0);
  CHECK_FALSE(entries[50].inHeap());
  heap.push(entries[50], at(1ms));
  CHECK(heap.checkInvariants());
}

TEST_CASE("the invariant check sees a wrong slot", "[core]") {
  auto entries = makeEntries(3);
  Heap heap;
  for (Entry& entry : entries) heap.push(entry, at(1ms));
  std::swap(entries[1].heapSlot, entries[2].heapSlot);
  CHECK_FALSE(heap.checkInvariants());
  std::swap(entries[1].heapSlot, entries[2].heapSlot);
  CHECK(heap.checkInvariants());
}

TEST_CASE("the time may be any ordered type", "[core]") {
  struct Node : lukhas::ExpiryHook {};
  Node a;
  Node b;
  lukhas::ExpiryHeap<Node, int> heap;
  heap.push(a, 2);
  heap.push(b, -1);
  CHECK(heap.frontTime() == -1);
}
