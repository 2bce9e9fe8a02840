#include "lukhas/core/expiry_tree.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "support/catch.hpp"

namespace expiry_tree_test {
namespace {

using namespace std::chrono_literals;
using Time = std::chrono::steady_clock::time_point;

struct Element {
  lukhas::ExpiryKey due{};
  lukhas::ExpiryPlace place;
};
struct ByDue {
  static lukhas::ExpiryKey keyOf(const Element& element) noexcept { return element.due; }
  static lukhas::ExpiryPlace& placeOf(Element& element) noexcept { return element.place; }
};
using Tree = lukhas::ExpiryTree<Element, ByDue>;

struct Elements {
  explicit Elements(std::size_t count) : all(count) {}
  // Pushes number `i` at that time.
  void push(std::size_t i, Time time) {
    all[i].due = {time, ++sequence};
    tree.makeRoom();
    tree.push(all[i]);
  }
  void setTime(std::size_t i, Time time) { all[i].due = {time, ++sequence}; }
  std::size_t take() {
    while (!tree.settleFront(1)) {
    }
    Element& front = tree.front();
    tree.erase(front);
    return static_cast<std::size_t>(&front - all.data());
  }

  std::vector<Element> all;
  std::uint64_t sequence = 0;
  Tree tree;
};

constexpr std::size_t many = 20'000;

}  // namespace

TEST_CASE("elements of one time leave an expiry tree in the order in which they got it", "[core]") {
  Elements elements(many);
  for (std::size_t i = 0; i < many; ++i) elements.push(i, Time(1s));
  CHECK(elements.tree.checkInvariants());
  for (std::size_t i = 0; i < many; ++i) REQUIRE(elements.take() == i);
  CHECK(elements.tree.empty());
}

TEST_CASE("an element that got a later time before others is ahead of them among those of that time",
          "[core]") {
  Elements elements(3);
  elements.push(0, Time(1s));
  elements.setTime(0, Time(2s));
  elements.push(1, Time(2s));
  elements.push(2, Time(1s));
  CHECK(elements.tree.frontTime() == Time(1s));
  CHECK(elements.take() == 2);
  CHECK(elements.take() == 0);
  CHECK(elements.take() == 1);
}

TEST_CASE("an element that is put off again and again moves once when it comes to the front", "[core]") {
  Elements elements(2);
  elements.push(0, Time(1s));
  elements.push(1, Time(5s));
  for (int i = 2; i < 10; ++i) elements.setTime(0, Time(std::chrono::seconds(i)));
  CHECK(elements.tree.frontTime() == Time(1s));
  CHECK(elements.tree.settleFront(1));
  CHECK(elements.tree.frontTime() == Time(5s));
  CHECK(elements.take() == 1);
  CHECK(elements.take() == 0);
}

TEST_CASE("very many elements that were all put off are put right a few at a time", "[core]") {
  Elements elements(many);
  for (std::size_t i = 0; i < many; ++i) elements.push(i, Time(1s));
  for (std::size_t i = 0; i < many; ++i) elements.setTime(i, Time(2s));
  std::size_t calls = 0;
  while (!elements.tree.settleFront(100)) ++calls;
  CHECK(calls >= many / 100 - 1);
  CHECK(elements.tree.checkInvariants());
  for (std::size_t i = 0; i < many; ++i) REQUIRE(elements.take() == i);
}

TEST_CASE("the memory of an expiry tree follows the number of its elements", "[core]") {
  Elements elements(many);
  for (std::size_t i = 0; i < many; ++i) {
    elements.push(i, Time(std::chrono::microseconds(i * 7919 % many)));
  }
  const std::size_t full = elements.tree.memoryBytes();
  CHECK(full < many * 32);
  for (std::size_t i = 0; i < many; ++i) {
    if (i % 16 != 0) elements.tree.erase(elements.all[i]);
  }
  CHECK(elements.tree.checkInvariants());
  CHECK(elements.tree.memoryBytes() < full / 3);
  for (std::size_t i = 0; i < many; i += 16) elements.tree.erase(elements.all[i]);
  CHECK(elements.tree.empty());
  CHECK(elements.tree.memoryBytes() < 20'000);
}

TEST_CASE("what is pushed in ascending order fills its leaves", "[core]") {
  Elements elements(many);
  for (std::size_t i = 0; i < many; ++i) elements.push(i, Time(std::chrono::microseconds(i)));
  CHECK(elements.tree.memoryBytes() < many * 19);
}

}  // namespace expiry_tree_test
