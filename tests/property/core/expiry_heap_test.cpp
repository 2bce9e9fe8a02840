#include "lukhas/core/expiry_heap.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "support/rapidcheck.hpp"

namespace {

using Time = std::chrono::steady_clock::time_point;

struct Node : lukhas::ExpiryHook {
  int id = 0;
};
using Heap = lukhas::ExpiryHeap<Node>;

constexpr int nodeCount = 48;

// What the heap should hold: (time, number of the change, id), in a plain vector that is sorted when it is
// asked.
class Reference {
 public:
  using Found = std::vector<std::pair<int, Time>>;

  void put(int id, Time time) {
    erase(id);
    rows_.emplace_back(time, ++changes_, id);
    std::sort(rows_.begin(), rows_.end());
  }
  void erase(int id) {
    std::erase_if(rows_, [id](const Row& row) { return std::get<2>(row) == id; });
  }
  [[nodiscard]] Found until(Time limit, std::size_t max) const {
    Found found;
    for (const auto& [time, change, id] : rows_) {
      if (time <= limit && found.size() < max) found.emplace_back(id, time);
    }
    return found;
  }
  [[nodiscard]] std::size_t size() const { return rows_.size(); }

 private:
  using Row = std::tuple<Time, std::uint64_t, int>;
  std::vector<Row> rows_;
  std::uint64_t changes_ = 0;
};

struct Step {
  enum Kind : int { push_or_update, erase, pop, look, build, clear, kinds } kind = push_or_update;
  int id = 0;
  int time = 0;  // few different ones, so that ties are common
};

void showValue(const Step& step, std::ostream& out) {
  out << step.kind << ':' << step.id << '@' << step.time;
}

rc::Gen<Step> anyStep() {
  const auto kind = rc::gen::weightedElement<Step::Kind>({{20, Step::push_or_update},
                                                          {6, Step::erase},
                                                          {3, Step::pop},
                                                          {3, Step::look},
                                                          {2, Step::build},
                                                          {1, Step::clear}});
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, kind),
                              rc::gen::set(&Step::id, rc::gen::resize(100, rc::gen::inRange(0, nodeCount))),
                              rc::gen::set(&Step::time, rc::gen::resize(100, rc::gen::inRange(0, 40))));
}

Time at(int ms) { return Time(std::chrono::milliseconds(ms)); }

// The heap and its reference, which each step changes alike.
struct Bench {
  std::vector<Node> nodes = std::vector<Node>(nodeCount);
  Heap heap;
  Reference reference;

  Bench() {
    for (int id = 0; id < nodeCount; ++id) nodes[static_cast<std::size_t>(id)].id = id;
  }

  void apply(const Step& step) {
    Node& node = nodes[static_cast<std::size_t>(step.id)];
    switch (step.kind) {
      case Step::push_or_update: put(node, at(step.time)); break;
      case Step::erase: erase(node); break;
      case Step::pop: pop(at(step.time), static_cast<std::size_t>(step.id) / 4); break;
      case Step::look: look(at(step.time)); break;
      case Step::build: build(step); break;
      default: clear(); break;
    }
    check();
  }

  void put(Node& node, Time time) {
    reference.put(node.id, time);
    if (heap.contains(node)) {
      heap.update(node, time);
    } else {
      heap.push(node, time);
    }
    RC_ASSERT(heap.timeOf(node) == time);
  }
  void erase(Node& node) {
    if (!heap.contains(node)) return;
    reference.erase(node.id);
    heap.erase(node);
    RC_ASSERT(!heap.contains(node));
  }
  void pop(Time now, std::size_t max) {
    Reference::Found taken;
    const std::size_t count =
        heap.popExpired(now, max, [&](Node& node, Time time) { taken.emplace_back(node.id, time); });
    RC_ASSERT(taken == reference.until(now, max));
    RC_ASSERT(count == taken.size());
    for (const auto& [id, time] : taken) reference.erase(id);
  }
  void look(Time limit) {
    Reference::Found seen;
    heap.forEachUntil(limit, [&](Node& node, Time time) { seen.emplace_back(node.id, time); });
    RC_ASSERT(seen == reference.until(limit, nodeCount));
  }
  // All that are not in the heap from step.id on, with times that run down.
  void build(const Step& step) {
    std::vector<std::pair<Node*, Time>> load;
    for (int id = step.id; id < nodeCount; ++id) {
      Node& node = nodes[static_cast<std::size_t>(id)];
      if (heap.contains(node)) continue;
      load.emplace_back(&node, at(step.time + (nodeCount - id) % 7));
      reference.put(id, load.back().second);
    }
    heap.build(load);
  }
  void clear() {
    heap.clear();
    reference = Reference();
  }

  void check() const {
    RC_ASSERT(heap.checkInvariants());
    RC_ASSERT(heap.size() == reference.size());
    RC_ASSERT(heap.empty() == (reference.size() == 0));
    if (heap.empty()) return;
    const auto first = reference.until(Time::max(), 1).front();
    RC_ASSERT(heap.front().id == first.first);
    RC_ASSERT(heap.frontTime() == first.second);
  }
};

}  // namespace

TEST_CASE("the expiry heap is a sorted list under any sequence of changes", "[core]") {
  lukhas::test::holdsForAll("every step gives what the sorted reference gives", [] {
    const auto steps = *rc::gen::scale(3, rc::gen::container<std::vector<Step>>(anyStep()));
    Bench bench;
    for (const Step& step : steps) bench.apply(step);
    bench.look(Time::max());
    bench.pop(Time::max(), nodeCount);
    RC_ASSERT(bench.heap.empty());
  });
}

TEST_CASE("the expiry heap sorts any times and shrinks again", "[core]") {
  lukhas::test::holdsForAll("what went in comes out sorted and the array follows", [] {
    const auto times = *rc::gen::scale(20, rc::gen::arbitrary<std::vector<std::int64_t>>());
    std::vector<Node> nodes(times.size());
    lukhas::ExpiryHeap<Node, std::int64_t> heap;
    for (std::size_t i = 0; i < times.size(); ++i) heap.push(nodes[i], times[i]);

    auto sorted = times;
    std::sort(sorted.begin(), sorted.end());
    for (const std::int64_t expected : sorted) {
      RC_ASSERT(heap.frontTime() == expected);
      heap.erase(heap.front());
      if (!heap.empty()) RC_ASSERT(heap.memoryBytes() <= heap.memoryBound(heap.size()));
    }
    RC_ASSERT(heap.empty());
  });
}
