#include "lukhas/lock/detail/wait_graph.hpp"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/lock/detail/lock_table.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"

namespace wait_graph_test {

using namespace std::chrono_literals;
using lukhas::LockMode;
using lukhas::LockScope;
using lukhas::TimePoint;
using lukhas::detail::LockHold;
using lukhas::detail::LockHoldPtr;
using lukhas::detail::LockOutcome;
using lukhas::detail::LockQueue;
using lukhas::detail::LockRequest;
using lukhas::detail::LockTable;
using lukhas::detail::WaitStep;

namespace {

constexpr int keyCount = 5;
constexpr int taskCount = 6;
constexpr int nobody = -1;

// Tasks and keys as plain lists; a circle is looked for by walking all the edges there are.
struct Reference {
  struct Ask {
    int task = nobody;  // or without a scope
    LockMode mode{};
    int id = 0;
  };
  struct Key {
    std::vector<Ask> holders;
    std::deque<Ask> queue;
  };

  // Everything of a scope is one node; without a scope each request is a node of its own.
  static int nodeOf(const Ask& ask) { return ask.task == nobody ? taskCount + ask.id : ask.task; }
  static bool conflict(LockMode a, LockMode b) {
    return a == LockMode::exclusive || b == LockMode::exclusive;
  }

  [[nodiscard]] std::set<std::pair<int, int>> edges() const {
    std::set<std::pair<int, int>> all;
    for (const Key& key : keys) {
      for (std::size_t i = 0; i < key.queue.size(); ++i) {
        const Ask& waiting = key.queue[i];
        for (const Ask& holder : key.holders) {
          if (conflict(waiting.mode, holder.mode)) all.emplace(nodeOf(waiting), nodeOf(holder));
        }
        for (std::size_t before = 0; before < i; ++before) {
          if (conflict(waiting.mode, key.queue[before].mode)) {
            all.emplace(nodeOf(waiting), nodeOf(key.queue[before]));
          }
        }
      }
    }
    return all;
  }
  // Whether the task waits for itself, over any number of others.
  [[nodiscard]] bool isInCircle(int task) const {
    const auto all = edges();
    std::set<int> reached;
    std::vector<int> open{task};
    while (!open.empty()) {
      const int node = open.back();
      open.pop_back();
      for (const auto& [from, to] : all) {
        if (from != node) continue;
        if (to == task) return true;
        if (reached.insert(to).second) open.push_back(to);
      }
    }
    return false;
  }
  void admit(int number) {
    Key& key = keys[static_cast<std::size_t>(number)];
    while (!key.queue.empty()) {
      const Ask next = key.queue.front();
      const bool free = std::none_of(key.holders.begin(), key.holders.end(),
                                     [&](const Ask& holder) { return conflict(next.mode, holder.mode); });
      if (!free) return;
      key.holders.push_back(next);
      key.queue.pop_front();
    }
  }

  std::vector<Key> keys = std::vector<Key>(keyCount);
};

// The same calls for the table and for the reference.
class Bench {
 public:
  explicit Bench(std::uint64_t seed) : chance_(seed) {}
  ~Bench() {
    LockQueue ended;
    table_.close(ended);
    while (!ended.empty()) ended.popFront();
  }

  void step() {
    if (chance_.chance(600)) {
      ask(static_cast<int>(chance_.below(keyCount)), static_cast<int>(chance_.below(taskCount + 1)) - 1,
          chance_.chance(400) ? LockMode::shared : LockMode::exclusive);
    } else if (!asks_.empty()) {
      end(chance_.below(asks_.size()));
    }
    REQUIRE(table_.checkInvariants());
  }

  [[nodiscard]] int circles() const { return circles_; }
  [[nodiscard]] int waits() const { return waits_; }

 private:
  struct Ask {
    std::unique_ptr<LockRequest> request;  // has the hold, also when it did not have to wait
    int key = 0;
    int id = 0;
  };
  Reference::Key& keyOf(int number) { return reference_.keys[static_cast<std::size_t>(number)]; }

  void ask(int key, int task, LockMode mode) {
    const std::string name = std::to_string(key);
    const LockScope* const scope = task == nobody ? nullptr : &scopes_[static_cast<std::size_t>(task)];
    LockHoldPtr hold = LockHold::make(name, table_.hashOf(name), mode, "", scope);
    const Reference::Ask expected{task, mode, ++lastId_};

    Reference::Key& line = keyOf(key);
    line.queue.push_back(expected);
    reference_.admit(key);
    const bool granted = line.queue.empty() || line.queue.back().id != expected.id;
    LockHold* const leader = table_.take(*hold, now_);
    REQUIRE((leader == nullptr) == granted);
    auto request = std::make_unique<LockRequest>(std::move(hold));
    if (!granted) {
      const bool refused = task != nobody && reference_.isInCircle(task);
      const std::vector<WaitStep> circle = table_.enqueue(*request, *leader, now_, now_ + 1h);
      REQUIRE(circle.empty() == !refused);
      if (refused) {
        line.queue.pop_back();
        ++circles_;
        return checkCircle(circle, task);
      }
      ++waits_;
    }
    asks_.push_back({std::move(request), key, expected.id});
  }

  // Each task waits for the next, and the last one for the first.
  void checkCircle(const std::vector<WaitStep>& circle, int task) {
    REQUIRE(circle.front().task == scopes_[static_cast<std::size_t>(task)].label());
    for (std::size_t i = 0; i < circle.size(); ++i) {
      REQUIRE(circle[i].holder == circle[(i + 1) % circle.size()].task);
    }
  }

  // A release, or a waiter that gives up.
  void end(std::size_t index) {
    const Ask ask = std::move(asks_[index]);
    asks_.erase(asks_.begin() + static_cast<std::ptrdiff_t>(index));
    LockQueue decided;
    const auto readTime = [this] { return now_; };
    if (ask.request->hold->held) {
      REQUIRE(table_.release(*ask.request->hold, readTime, decided));
    } else {
      REQUIRE(table_.cancel(*ask.request, readTime, decided));
    }
    const auto same = [&](const Reference::Ask& other) { return other.id == ask.id; };
    std::erase_if(keyOf(ask.key).holders, same);
    std::erase_if(keyOf(ask.key).queue, same);
    reference_.admit(ask.key);
    while (!decided.empty()) REQUIRE(decided.popFront().hold->held);
  }

  lukhas::SplitMix chance_;
  std::vector<LockScope> scopes_ = [] {
    std::vector<LockScope> all;
    for (int i = 0; i < taskCount; ++i) all.emplace_back("task " + std::to_string(i));
    return all;
  }();
  LockTable table_{10s, 7};
  Reference reference_;
  std::vector<Ask> asks_;
  TimePoint now_{};
  int lastId_ = 0;
  int circles_ = 0;
  int waits_ = 0;
};

}  // namespace

TEST_CASE("ten thousand random lock graphs agree with a reference that walks all edges", "[lock]") {
  const std::uint64_t graphs = test::runs(10'000, 100'000);
  std::uint64_t circles = 0;
  std::uint64_t waits = 0;
  for (std::uint64_t seed = 1; seed <= graphs; ++seed) {
    INFO("seed " << seed);
    Bench bench(seed);
    for (int i = 0; i < 40; ++i) bench.step();
    circles += static_cast<std::uint64_t>(bench.circles());
    waits += static_cast<std::uint64_t>(bench.waits());
  }
  // Both outcomes came often, or the agreement means little.
  CHECK(circles > graphs);
  CHECK(waits > graphs);
}

}  // namespace wait_graph_test
