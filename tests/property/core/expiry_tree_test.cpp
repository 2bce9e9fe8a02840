#include "lukhas/core/expiry_tree.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/rapidcheck.hpp"

namespace expiry_tree_test {
namespace {

using Time = std::chrono::steady_clock::time_point;

struct Element {
  lukhas::ExpiryKey due{};
  lukhas::ExpiryPlace place;
  int id = 0;
};
struct ByDue {
  static lukhas::ExpiryKey keyOf(const Element& element) noexcept { return element.due; }
  static lukhas::ExpiryPlace& placeOf(Element& element) noexcept { return element.place; }
};
// Small leaves, so that a few hundred elements split and join them on several levels.
using Tree = lukhas::ExpiryTree<Element, ByDue, 8>;

constexpr int elementCount = 600;

struct Step {
  enum Kind : int { enter, enter_many, put_off, hasten, erase, erase_many, take, look, kinds } kind = enter;
  int id = 0;
  int time = 0;  // few different ones, so that ties are common
};

void showValue(const Step& step, std::ostream& out) {
  out << step.kind << ':' << step.id << '@' << step.time;
}

rc::Gen<Step> anyStep() {
  const auto below = [](int limit) { return rc::gen::resize(100, rc::gen::inRange(0, limit)); };
  return rc::gen::build<Step>(
      rc::gen::set(&Step::kind, rc::gen::map(below(Step::kinds), [](int k) { return Step::Kind(k); })),
      rc::gen::set(&Step::id, below(elementCount)), rc::gen::set(&Step::time, below(40)));
}

// The tree beside a std::set of (time, sequence, id).
struct Bench {
  std::vector<Element> elements = std::vector<Element>(elementCount);
  Tree tree;
  std::set<std::pair<lukhas::ExpiryKey, int>> reference;
  std::uint64_t sequence = 0;

  Bench() {
    for (int i = 0; i < elementCount; ++i) elements[std::size_t(i)].id = i;
  }

  void enter(Element& element, int time) {
    if (element.place.inTree()) return;
    element.due = {Time(std::chrono::seconds(time)), ++sequence};
    tree.makeRoom();
    tree.push(element);
    reference.emplace(element.due, element.id);
  }
  void erase(Element& element) {
    if (!element.place.inTree()) return;
    reference.erase({element.due, element.id});
    tree.erase(element);
  }
  void move(Element& element, Time time) {
    if (time == element.due.time) return;
    const bool isEarlier = time < element.due.time;
    reference.erase({element.due, element.id});
    element.due = {time, ++sequence};
    reference.emplace(element.due, element.id);
    tree.makeRoom();
    if (isEarlier) tree.relocate(element);
  }
  void take(std::size_t most) {
    for (; most > 0 && !tree.empty(); --most) {
      RC_ASSERT(tree.frontTime() <= reference.begin()->first.time);
      while (!tree.settleFront(1)) RC_ASSERT(tree.frontTime() <= reference.begin()->first.time);
      RC_ASSERT(tree.frontTime() == reference.begin()->first.time);
      RC_ASSERT(tree.front().id == reference.begin()->second);
      erase(tree.front());
    }
  }
  void look(Time limit) {
    std::set<int> seen;
    tree.forEachUntil(limit, tree.size(), [&](const Element& element) {
      if (element.due.time <= limit) RC_ASSERT(seen.insert(element.id).second);
    });
    std::set<int> expected;
    for (const auto& [key, id] : reference) {
      if (key.time <= limit) expected.insert(id);
    }
    RC_ASSERT(seen == expected);
  }

  void apply(const Step& step) {
    Element& element = elements[std::size_t(step.id)];
    const auto from = [&](int i) -> Element& { return elements[std::size_t((step.id + i) % elementCount)]; };
    const std::chrono::seconds time(step.time);
    switch (step.kind) {
      case Step::enter: enter(element, step.time); break;
      case Step::enter_many:
        for (int i = 0; i < 200; ++i) enter(from(i * 7), (step.time + i * (step.time % 5)) % 40);
        break;
      case Step::put_off:
        for (int i = 0; i < 20; ++i) {
          if (from(i).place.inTree()) move(from(i), from(i).due.time + time);
        }
        break;
      case Step::hasten:
        if (element.place.inTree()) move(element, element.due.time - time);
        break;
      case Step::erase: erase(element); break;
      case Step::erase_many:
        for (int i = 0; i < 150; ++i) erase(from(i));
        break;
      case Step::take: take(std::size_t(step.time) * 4); break;
      default: look(Time(time)); break;
    }
    RC_ASSERT(tree.size() == reference.size());
    RC_ASSERT(tree.checkInvariants());
  }
};

}  // namespace

TEST_CASE("an expiry tree gives its elements as a sorted set does", "[core]") {
  lukhas::test::holdsForAll("front, order, search and size are those of the reference", [] {
    const auto steps = *rc::gen::scale(2, rc::gen::container<std::vector<Step>>(anyStep()));
    Bench bench;
    for (const Step& step : steps) bench.apply(step);
    bench.take(elementCount);
    RC_ASSERT(bench.tree.empty());
    RC_ASSERT(bench.tree.checkInvariants());
  });
}

}  // namespace expiry_tree_test
