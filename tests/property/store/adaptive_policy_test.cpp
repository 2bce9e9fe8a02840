#include "store/hit_ratio/adaptive_policy.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "support/rapidcheck.hpp"

namespace adaptive_policy_test {

using hit_ratio::AdaptivePolicy;
using hit_ratio::FrequencySketch;
using hit_ratio::OrderHook;
using hit_ratio::Segment;
using hit_ratio::SegmentedOrder;
using hit_ratio::ShadowCache;

namespace {

constexpr std::size_t keys = 40;
constexpr std::size_t capacity = 50;

struct Entry : OrderHook<Entry> {
  [[nodiscard]] std::size_t charge() const noexcept { return weight; }
  std::uint64_t keyHash = 0;
  std::size_t weight = 1;
};

std::vector<Entry> entriesOf(std::size_t count) {
  std::vector<Entry> entries(count);
  for (std::size_t i = 0; i < count; ++i) entries[i].keyHash = (i + 1) * 0x9e3779b97f4a7c15U;
  return entries;
}

int below(int end) { return *rc::gen::resize(100, rc::gen::inRange(0, end)); }

// The rules of SegmentedOrder over plain queues, oldest first.
class Model {
 public:
  std::size_t target = 1;
  std::array<std::deque<Entry*>, 3> queues;  // window, probation, kept

  [[nodiscard]] std::size_t chargeOf(std::size_t queue) const {
    std::size_t sum = 0;
    for (const Entry* entry : queues[queue]) sum += entry->weight;
    return sum;
  }
  [[nodiscard]] std::size_t charge() const { return chargeOf(0) + chargeOf(1) + chargeOf(2); }
  void add(Entry& entry) {
    push(entry, 0);
    for (int i = 0; i < 4 && target != capacity && chargeOf(0) > target; ++i) demote(0);
  }
  void use(Entry& entry) {
    const bool isNew = std::count(queues[0].begin(), queues[0].end(), &entry) == 1;
    remove(entry);
    push(entry, isNew ? 0 : 2);
    if (isNew || target == capacity) return;
    for (int i = 0; i < 4 && chargeOf(2) > (capacity - target) * 4 / 5; ++i) demote(2);
  }
  void remove(Entry& entry) {
    for (auto& queue : queues) std::erase(queue, &entry);
  }
  Entry* victim(std::size_t incoming, const FrequencySketch& sketch) {
    std::vector<Entry*> fronts;
    for (auto& queue : queues) fronts.push_back(queue.empty() ? nullptr : queue.front());
    if (target == capacity) return earliest(fronts);
    Entry* const rival = fronts[1] ? fronts[1] : fronts[2];
    if (!rival) return fronts[0];
    if (!fronts[0] || chargeOf(0) + incoming <= target) return rival;
    if (sketch.estimate(fronts[0]->keyHash) <= sketch.estimate(rival->keyHash)) return fronts[0];
    demote(0);
    return rival;
  }

 private:
  void push(Entry& entry, std::size_t queue) {
    queues[queue].push_back(&entry);
    if (queue != 1) lastUses_[entry.keyHash % lastUses_.size()] = ++now_;
  }
  void demote(std::size_t from) {
    queues[1].push_back(queues[from].front());
    queues[from].pop_front();
  }
  [[nodiscard]] Entry* earliest(const std::vector<Entry*>& fronts) const {
    Entry* first = nullptr;
    for (Entry* entry : fronts) {
      if (entry && (!first || lastUse(*entry) < lastUse(*first))) first = entry;
    }
    return first;
  }
  [[nodiscard]] std::uint64_t lastUse(const Entry& entry) const {
    return lastUses_[entry.keyHash % lastUses_.size()];
  }

  std::array<std::uint64_t, 10007> lastUses_{};  // a prime at which no two keys of the tests meet
  std::uint64_t now_ = 0;
};

void checkAgainst(const Model& model, const SegmentedOrder<Entry>& order) {
  RC_ASSERT(order.checkInvariants());
  RC_ASSERT(order.charge() == model.charge());
  for (std::size_t queue = 0; queue < 3; ++queue) {
    for (const Entry* entry : model.queues[queue]) {
      RC_ASSERT(static_cast<std::size_t>(entry->segment) == queue + 1);
    }
  }
}

}  // namespace

TEST_CASE("the segmented order picks the victims of its rules", "[store][eviction]") {
  lukhas::test::holdsForAll("as plain queues do, with any weights, windows and removals", [] {
    std::vector<Entry> entries = entriesOf(keys);
    FrequencySketch sketch(keys);
    SegmentedOrder<Entry> order(capacity, 0.02);
    Model model;
    for (int step = 0; step < 400; ++step) {
      Entry& entry = entries[static_cast<std::size_t>(below(static_cast<int>(keys)))];
      const int what = below(40);
      if (what == 0) {
        const double part = std::array{0.02, 0.2, 0.5, 1.0}[static_cast<std::size_t>(below(4))];
        order.setWindow(part);
        model.target = static_cast<std::size_t>(part * capacity + 0.5);
      } else if (entry.segment == Segment::none) {
        entry.weight = static_cast<std::size_t>(1 + below(9));
        while (order.charge() + entry.weight > capacity) {
          Entry* const expected = model.victim(entry.weight, sketch);
          Entry* const victim = order.victim(entry.weight, sketch);
          RC_ASSERT(victim == expected);
          order.remove(*victim);
          model.remove(*victim);
        }
        sketch.add(entry.keyHash);
        order.add(entry);
        model.add(entry);
      } else if (what < 5) {
        order.remove(entry);
        model.remove(entry);
      } else {
        sketch.add(entry.keyHash);
        order.use(entry);
        model.use(entry);
      }
      checkAgainst(model, order);
    }
  });
}

TEST_CASE("the sketch never says less than was counted, until it halves all alike", "[store][eviction]") {
  lukhas::test::holdsForAll("counts up to fifteen", [] {
    FrequencySketch sketch(64);  // a period of 640 additions
    std::array<unsigned, keys> counts{};
    const std::vector<Entry> entries = entriesOf(keys);
    for (int i = 0; i < 639; ++i) {
      const auto key = static_cast<std::size_t>(below(static_cast<int>(keys)));
      sketch.add(entries[key].keyHash);
      ++counts[key];
      RC_ASSERT(sketch.estimate(entries[key].keyHash) >= std::min(counts[key], FrequencySketch::most));
    }
  });
}

TEST_CASE("a period of additions halves every counter at once", "[store][eviction]") {
  FrequencySketch sketch(16);
  const std::vector<Entry> entries = entriesOf(200);
  for (int i = 0; i < 12; ++i) sketch.add(entries[0].keyHash);
  std::size_t next = 1;
  while (sketch.estimate(entries[0].keyHash) >= 12 && next < entries.size()) {
    sketch.add(entries[next++].keyHash);
  }
  CHECK(next == 149);  // 160 additions a period, 12 of them above
  CHECK(sketch.estimate(entries[0].keyHash) < 8);
  CHECK(sketch.estimate(entries[0].keyHash) >= 6);
  for (int i = 0; i < 20; ++i) sketch.add(entries[next++].keyHash);  // the hand went over all words
  CHECK(sketch.estimate(entries[0].keyHash) < 8);
}

TEST_CASE("a shadow of the whole window hits what LRU hits", "[store][eviction]") {
  lukhas::test::holdsForAll("access by access, with any weights", [] {
    const std::vector<Entry> entries = entriesOf(keys);
    const FrequencySketch sketch(keys);
    ShadowCache shadow(keys, capacity, 1.0);
    std::deque<std::size_t> lru;
    const auto weightOf = [](std::size_t key) { return key % 9 + 1; };
    for (int step = 0; step < 500; ++step) {
      const auto key = static_cast<std::size_t>(below(static_cast<int>(keys)));
      const bool held = std::erase(lru, key) == 1;
      lru.push_back(key);
      const auto charge = [&] {
        std::size_t sum = 0;
        for (const std::size_t each : lru) sum += weightOf(each);
        return sum;
      };
      while (charge() > capacity) lru.pop_front();
      RC_ASSERT(shadow.access(entries[key].keyHash, weightOf(key), sketch) == held);
      RC_ASSERT(shadow.checkInvariants());
    }
  });
}

namespace {

// A cache of `capacity` entries of weight 1 under the policy.
class Cache {
 public:
  Cache(std::size_t room, std::size_t count)
      : entries(entriesOf(count)), policy(room, room, 42), room_(room) {}

  bool access(std::size_t key) {
    Entry& entry = entries[key];
    if (entry.segment != Segment::none) {
      policy.used(entry);
      return true;
    }
    while (policy.size() >= room_) policy.removed(*policy.victim(1));
    policy.added(entry);
    return false;
  }

  std::vector<Entry> entries;
  AdaptivePolicy<Entry> policy;

 private:
  std::size_t room_;
};

}  // namespace

TEST_CASE("a loop that is too long makes the window small, recency makes it whole", "[store][eviction]") {
  Cache cache(200, 60000);
  CHECK(cache.policy.window() == 1.0);
  std::size_t hits = 0;
  for (std::size_t i = 0; i < 20000; ++i) hits += cache.access(i % 300) ? 1 : 0;
  CHECK(cache.policy.window() < 1.0);
  CHECK(hits > 20000 / 2);
  std::size_t late = 0;
  for (std::size_t i = 0; i < 50000; ++i) {
    cache.access(1000 + i);
    late += i >= 80 && cache.access(1000 + i - 80) && i >= 25000 ? 1 : 0;
  }
  CHECK(late > 24000);
  CHECK(cache.policy.checkInvariants());
}

TEST_CASE("the same accesses lead to the same victims", "[store][eviction]") {
  Cache one(3000, 9000);  // its shadows see a sample
  Cache two(3000, 9000);
  std::uint64_t state = 1;
  for (int i = 0; i < 60000; ++i) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    const auto key = static_cast<std::size_t>((state >> 33) % 9000 * ((state >> 50) % 100) / 100);
    REQUIRE(one.access(key) == two.access(key));
  }
  CHECK(one.policy.checkInvariants());
}

TEST_CASE("the policy holds at most sixteen bytes an entry beside its shadows", "[store][eviction]") {
  const AdaptivePolicy<Entry> large(1 << 20, 1 << 20, 42);
  CHECK(large.memoryBytes() <= 16U << 20);
  const AdaptivePolicy<Entry> smallest(1, 1, 42);
  CHECK(smallest.checkInvariants());
  CHECK(smallest.size() == 0);
}

}  // namespace adaptive_policy_test
