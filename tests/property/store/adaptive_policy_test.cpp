#include "lukhas/store/adaptive_policy.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "lukhas/store/detail/frequency_sketch.hpp"
#include "lukhas/store/detail/segmented_order.hpp"
#include "lukhas/store/detail/shadow_cache.hpp"
#include "support/eviction_entries.hpp"
#include "support/rapidcheck.hpp"

namespace adaptive_policy_test {

using lukhas::AdaptivePolicy;
using lukhas::EvictionEntry;
using lukhas::detail::EntrySpace;
using lukhas::detail::FrequencySketch;
using lukhas::detail::Segment;
using lukhas::detail::SegmentedOrder;
using lukhas::detail::ShadowCache;
using lukhas::test::PlainEntry;
using Order = SegmentedOrder<EntrySpace>;

namespace {

constexpr std::size_t keys = 40;
constexpr std::size_t capacity = 3200;

int below(int end) { return *rc::gen::resize(100, rc::gen::inRange(0, end)); }
std::size_t oneOf(std::size_t end) { return static_cast<std::size_t>(below(static_cast<int>(end))); }
std::size_t anyCharge() { return 32 + 16 * oneOf(20); }

constexpr std::uint32_t hashOf(std::size_t key) {
  return static_cast<std::uint32_t>((key + 1) * 0x9e3779b97f4a7c15U >> 32U);
}
std::deque<PlainEntry> entriesOf(std::size_t count) {
  std::deque<PlainEntry> entries;
  for (std::size_t i = 0; i < count; ++i) entries.emplace_back(hashOf(i), anyCharge());
  return entries;
}

// The rules of SegmentedOrder over plain queues, oldest first.
class Model {
 public:
  unsigned window = 1;
  std::size_t advantage = 1;
  std::array<std::deque<EvictionEntry*>, 3> queues;  // window, probation, kept
  std::vector<EvictionEntry*> marked;                // of the window: those that were in main

  [[nodiscard]] std::size_t target() const { return capacity * window / Order::whole; }
  [[nodiscard]] bool isLru() const { return window == Order::whole; }
  [[nodiscard]] std::size_t chargeOf(std::size_t queue) const {
    std::size_t sum = 0;
    for (const EvictionEntry* entry : queues[queue]) sum += entry->charge();
    return sum;
  }
  [[nodiscard]] std::size_t charge() const { return chargeOf(0) + chargeOf(1) + chargeOf(2); }
  void add(EvictionEntry& entry) {
    queues[0].push_back(&entry);
    for (int i = 0; i < 4 && !isLru() && chargeOf(0) > target() && queues[0].size() > 1; ++i) leaveWindow();
  }
  void use(EvictionEntry& entry) {
    if (std::count(queues[0].begin(), queues[0].end(), &entry) == 1) {
      std::erase(queues[0], &entry);
      return queues[0].push_back(&entry);
    }
    remove(entry);
    queues[isLru() ? 0U : 2U].push_back(&entry);
    if (isLru()) return marked.push_back(&entry);
    for (int i = 0; i < 4 && chargeOf(2) > (capacity - target()) * 4 / 5; ++i) {
      queues[1].push_back(queues[2].front());
      queues[2].pop_front();
    }
  }
  void remove(EvictionEntry& entry) {
    for (auto& queue : queues) std::erase(queue, &entry);
    std::erase(marked, &entry);
  }
  EvictionEntry* victim(std::size_t incoming, const FrequencySketch& sketch) {
    const auto front = [&](std::size_t queue) {
      return queues[queue].empty() ? nullptr : queues[queue].front();
    };
    EvictionEntry* const candidate = front(0);
    EvictionEntry* const rival = front(1) ? front(1) : front(2);
    if (!rival) return candidate;
    if (isLru() || !candidate || chargeOf(0) + incoming <= target()) return rival;
    const std::size_t uses = sketch.estimate(EntrySpace::hash(candidate));
    if (uses <= sketch.estimate(EntrySpace::hash(rival)) + advantage) return candidate;
    leaveWindow();
    return rival;
  }

 private:
  void leaveWindow() {
    EvictionEntry* const entry = queues[0].front();
    queues[0].pop_front();
    queues[std::erase(marked, entry) > 0 ? 2U : 1U].push_back(entry);
  }
};

void checkAgainst(const Model& model, const Order& order) {
  RC_ASSERT(order.checkInvariants());
  RC_ASSERT(order.charge() == model.charge());
  for (std::size_t queue = 0; queue < 3; ++queue) {
    for (EvictionEntry* entry : model.queues[queue]) {
      RC_ASSERT(static_cast<std::size_t>(order.segmentOf(entry)) == queue);
    }
  }
}

FrequencySketch& following(FrequencySketch& sketch, std::size_t entries) {
  sketch.reserve(entries);
  sketch.follow(entries);
  return sketch;
}

}  // namespace

TEST_CASE("the segmented order picks the victims of its rules", "[store][eviction]") {
  lukhas::test::holdsForAll("as plain queues do, with any weights, windows and removals", [] {
    std::deque<PlainEntry> entries = entriesOf(keys);
    FrequencySketch sketch;
    following(sketch, keys);
    Order order(1);
    order.setCapacity(capacity);
    Model model;
    for (int step = 0; step < 400; ++step) {
      PlainEntry& entry = entries[oneOf(keys)];
      const int what = below(40);
      if (what == 0) {
        model.window = std::array{1U, 32U, 64U, 128U}[oneOf(4)];
        model.advantage = oneOf(2);
        order.setWindow(model.window);
        order.setAdvantage(static_cast<unsigned>(model.advantage));
      } else if (!entry.present) {
        while (order.charge() + entry.charge() > capacity) {
          EvictionEntry* const expected = model.victim(entry.charge(), sketch);
          EvictionEntry* const victim = order.victim(entry.charge(), sketch);
          RC_ASSERT(victim == expected);
          order.remove(victim);
          model.remove(*victim);
          static_cast<PlainEntry*>(victim)->present = false;
        }
        sketch.add(EntrySpace::hash(&entry));
        order.add(&entry);
        model.add(entry);
        entry.present = true;
      } else if (what < 5) {
        order.remove(&entry);
        model.remove(entry);
        entry.present = false;
      } else {
        sketch.add(EntrySpace::hash(&entry));
        order.use(&entry);
        model.use(entry);
      }
      checkAgainst(model, order);
    }
  });
}

TEST_CASE("the sketch never says less than was counted, however it grows and shrinks", "[store][eviction]") {
  lukhas::test::holdsForAll("counts up to fifteen", [] {
    FrequencySketch sketch;
    following(sketch, 100);
    std::array<unsigned, keys> counts{};
    for (int i = 0; i < 300; ++i) {  // fewer than ten for each entry, so that nothing is halved
      if (below(20) == 0) following(sketch, 60 + oneOf(400));
      const std::size_t key = oneOf(keys);
      sketch.add(hashOf(key));
      ++counts[key];
      for (std::size_t k = 0; k < keys; ++k) {
        RC_ASSERT(sketch.estimate(hashOf(k)) >= std::min(counts[k], FrequencySketch::most));
      }
    }
    RC_ASSERT(sketch.memoryBytes() <= FrequencySketch::memoryBound(460));
  });
}

TEST_CASE("a shadow of the whole window hits what LRU hits", "[store][eviction]") {
  lukhas::test::holdsForAll("access by access, with any weights, also while it grows", [] {
    const std::deque<PlainEntry> entries = entriesOf(keys);
    const FrequencySketch sketch;
    ShadowCache shadow(Order::whole);
    std::vector<std::vector<std::max_align_t>> memory;
    std::size_t slots = 0;
    std::deque<std::size_t> lru;
    for (int step = 0; step < 400; ++step) {
      if (slots < 48 && (slots == 0 || below(20) == 0)) {
        slots += 8 + oneOf(20);
        memory.emplace_back(ShadowCache::bytesFor(slots) / sizeof(std::max_align_t) + 1);
        shadow.grow(reinterpret_cast<std::byte*>(memory.back().data()), slots);
      }
      const std::size_t key = oneOf(keys);
      const bool held = std::erase(lru, key) == 1;
      lru.push_back(key);
      const auto charge = [&] {
        std::size_t sum = 0;
        for (const std::size_t each : lru) sum += entries[each].charge();
        return sum;
      };
      while (charge() > capacity || lru.size() > slots) lru.pop_front();
      const auto weight = static_cast<std::uint32_t>(entries[key].charge());
      RC_ASSERT(shadow.access(hashOf(key), weight, capacity, sketch) == held);
      RC_ASSERT(shadow.checkInvariants());
    }
  });
}

TEST_CASE("the adaptive policy gives only entries that it has, until there is none", "[store][eviction]") {
  lukhas::test::holdsForAll("whatever comes, goes, is replaced or is cleared", [] {
    std::deque<PlainEntry> entries = entriesOf(300);
    std::deque<PlainEntry> newer;
    AdaptivePolicy policy(static_cast<std::uint64_t>(below(1000)));
    std::vector<PlainEntry*> current;
    for (PlainEntry& entry : entries) current.push_back(&entry);
    const auto evictUntil = [&](std::size_t most) {
      while (policy.size() > most) {
        auto* const victim = static_cast<PlainEntry*>(policy.victim(100));
        RC_ASSERT(victim && victim->present);
        victim->present = false;
        policy.removed(*victim);
      }
    };
    const std::size_t room = 1 + oneOf(200);
    for (int step = 0; step < 1500; ++step) {
      const std::size_t key = std::min(oneOf(current.size()), oneOf(current.size()));
      PlainEntry*& entry = current[key];
      const int what = below(60);
      if (what == 0) policy.resized(static_cast<std::size_t>(step));
      if (what == 1 && below(20) == 0) {
        policy.clear();
        for (PlainEntry* each : current) each->present = false;
        RC_ASSERT(policy.memoryBytes() == 0);
      } else if (!entry->present) {
        evictUntil(room - 1);
        const std::size_t promised = policy.memoryBytesFor(policy.size() + 1);
        policy.reserve(policy.size() + 1);
        RC_ASSERT(policy.memoryBytes() <= promised);
        policy.added(*entry);
        entry->present = true;
      } else if (what < 6) {
        policy.removed(*entry);
        entry->present = false;
      } else if (what < 12) {
        newer.emplace_back(hashOf(key), anyCharge());
        policy.replaced(*entry, newer.back());
        entry->present = false;
        entry = &newer.back();
        entry->present = true;
      } else {
        policy.used(*entry);
      }
      RC_ASSERT(policy.memoryBytes() <= policy.memoryBound(policy.size()));
      if (step % 50 == 0) RC_ASSERT(policy.checkInvariants());
    }
    evictUntil(0);
    RC_ASSERT(policy.victim(1) == nullptr);
    RC_ASSERT(policy.checkInvariants());
  });
}

}  // namespace adaptive_policy_test
