#include "lukhas/store/async_memory_store.hpp"

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/rapidcheck.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::EvictionCause;
using lukhas::TimePoint;
using lukhas::Version;

namespace {

constexpr std::size_t limit = 64 << 10;

struct Step {
  enum Kind : int {
    set,
    get,
    remove,
    batchSet,
    batchGet,
    batchRemove,
    compareAndSet,
    update,
    wait,
    clear,
    kinds
  };
  Kind kind = set;
  int key = 0;
  int size = 0;  // of the value; also which version a compareAndSet expects, and how long a wait is
  int ttl = 0;   // seconds
};

void showValue(const Step& step, std::ostream& out) {
  out << step.kind << " k" << step.key << " size " << step.size << " ttl " << step.ttl;
}

rc::Gen<Step> anyStep(int keys, int size) {
  const auto kind = rc::gen::weightedElement<Step::Kind>({{20, Step::set},
                                                          {10, Step::get},
                                                          {4, Step::remove},
                                                          {6, Step::batchSet},
                                                          {3, Step::batchGet},
                                                          {2, Step::batchRemove},
                                                          {5, Step::compareAndSet},
                                                          {5, Step::update},
                                                          {5, Step::wait},
                                                          {1, Step::clear}});
  const auto below = [](int end) { return rc::gen::resize(100, rc::gen::inRange(0, end)); };
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, kind), rc::gen::set(&Step::key, below(keys)),
                              rc::gen::set(&Step::size, below(size)), rc::gen::set(&Step::ttl, below(40)));
}

// What the store should hold: a plain list, the least recently used entry first.
struct Row {
  std::string key;
  std::string value;
  TimePoint end;
  Version version;
};

class Reference {
 public:
  Row* find(const std::string& key, TimePoint now) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.key == key; });
    return row == rows.end() || row->end <= now ? nullptr : &*row;
  }
  void use(const std::string& key) {
    const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.key == key; });
    std::rotate(row, row + 1, rows.end());
  }
  void put(Row row) {
    erase(row.key);
    rows.push_back(std::move(row));
  }
  bool erase(const std::string& key) {
    return std::erase_if(rows, [&](const Row& row) { return row.key == key; }) > 0;
  }
  std::vector<std::string> liveKeys(TimePoint now) const {
    std::vector<std::string> keys;
    for (const Row& row : rows) {
      if (row.end > now) keys.push_back(row.key);
    }
    std::sort(keys.begin(), keys.end());
    return keys;
  }

  std::vector<Row> rows;
};

class Bench {
 public:
  explicit Bench(std::uint64_t seed)
      : world_({.seed = seed}), store_(world_.environment(), {.maxBytes = limit}) {
    watching_ =
        store_.onEvicted.connect([this](const lukhas::EntryEvicted& event) { gone_.push_back(event); });
    if (seed % 2 == 0) store_.start();
  }

  void apply(const Step& step) {
    const std::string key = "k" + std::to_string(step.key);
    switch (step.kind) {
      case Step::set: write({{key, text(step)}}, step, false); break;
      case Step::get: get(key); break;
      case Step::remove: {
        const bool expected = reference_.find(key, now()) != nullptr;
        reference_.erase(key);
        RC_ASSERT(store_.tryRemove(key) == expected);
        break;
      }
      case Step::batchSet: write(batch(step), step, true); break;
      case Step::batchGet: batchGet(step); break;
      case Step::batchRemove: batchRemove(step); break;
      case Step::compareAndSet: compareAndSet(key, step); break;
      case Step::update: update(key); break;
      case Step::wait: world_.runFor(std::chrono::seconds(step.size % 30)); break;
      default: run([&]() -> asio::awaitable<void> { co_await store_.clear(); }); reference_.rows.clear();
    }
    expectGone(reference_.rows.size());
    check();
  }

 private:
  using Batch = std::vector<std::pair<std::string, std::string>>;

  TimePoint now() const { return world_.environment().now(); }
  template <class Body>
  void run(Body body) {
    world_.spawn(body());
    world_.runFor(0s);
  }
  std::string text(const Step& step) {
    return std::string(static_cast<std::size_t>(step.size), static_cast<char>('a' + step.key % 26));
  }
  Batch batch(const Step& step) {
    Batch entries;
    for (int i = 0; i < 1 + step.ttl % 5; ++i) {
      entries.emplace_back("k" + std::to_string(step.key + i % 4),
                           text(step) + std::to_string(i));  // the fifth repeats the first one's key
    }
    return entries;
  }

  // What the store reported must be gone from the reference for the right reason: what expired, and else
  // exactly the least recently used of the first `old` rows.
  void expectGone(std::size_t old) {
    for (const lukhas::EntryEvicted& event : std::exchange(gone_, {})) {
      if (event.cause == EvictionCause::expired) {
        RC_ASSERT(reference_.find(event.key, now()) == nullptr);
        if (reference_.erase(event.key)) --old;
        continue;
      }
      RC_ASSERT(event.cause == EvictionCause::size);
      RC_ASSERT(old > 0);
      RC_ASSERT(reference_.rows.front().key == event.key);
      RC_ASSERT(reference_.rows.front().end > now());
      for (const Row& row : reference_.rows) RC_ASSERT(row.end > now());
      reference_.rows.erase(reference_.rows.begin());
      --old;
    }
  }

  void write(const Batch& entries, const Step& step, bool asBatch) {
    const lukhas::Duration ttl = std::chrono::seconds(step.ttl + 1);
    bool taken = true;
    try {
      if (asBatch) {
        run([&]() -> asio::awaitable<void> { co_await store_.batchSet(entries, ttl); });
      } else {
        store_.trySet(entries[0].first, entries[0].second, ttl);
      }
    } catch (const lukhas::Error& error) {
      const bool tooLarge = error.code() == lukhas::StoreErrc::value_too_large ||
                            error.code() == lukhas::StoreErrc::batch_too_large;
      RC_ASSERT(tooLarge);
      RC_ASSERT(gone_.empty());
      taken = false;
    }
    std::size_t bytes = 0;
    for (const auto& [key, value] : entries) bytes += value.size() + 400;
    RC_ASSERT(taken || bytes > limit - 10'000);
    if (!taken) return;
    put(entries, now() + ttl);
  }
  void put(const Batch& entries, TimePoint end) {
    std::size_t old = reference_.rows.size();
    for (const auto& [key, value] : entries) {  // what is replaced is not there to be evicted
      if (reference_.find(key, now()) && reference_.erase(key)) --old;
    }
    expectGone(old);
    for (const auto& [key, value] : entries) {
      const auto info = store_.info(key);
      RC_ASSERT(info.has_value());
      reference_.put(Row{key, value, end, info->version});
    }
  }
  void get(const std::string& key) {
    const Row* const row = reference_.find(key, now());
    const auto read = store_.tryGet<std::string>(key);
    RC_ASSERT(read.has_value() == (row != nullptr));
    if (!row) return;
    RC_ASSERT(*read == row->value);
    reference_.use(key);
  }
  void batchGet(const Step& step) {
    lukhas::NameList keys{"k" + std::to_string(step.key), "k" + std::to_string(step.key + 2),
                          "k" + std::to_string(step.key)};
    std::vector<std::optional<std::string>> values;
    run([&]() -> asio::awaitable<void> { values = co_await store_.batchGet<std::string>(keys); });
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Row* const row = reference_.find(keys[i], now());
      RC_ASSERT(values[i].has_value() == (row != nullptr));
      if (!row) continue;
      RC_ASSERT(*values[i] == row->value);
      reference_.use(keys[i]);
    }
  }
  void batchRemove(const Step& step) {
    lukhas::NameList keys{"k" + std::to_string(step.key), "k" + std::to_string(step.key + 1)};
    std::size_t expected = 0;
    for (const std::string& key : keys) {
      if (reference_.find(key, now())) ++expected;
      reference_.erase(key);
    }
    std::size_t removed = 0;
    run([&]() -> asio::awaitable<void> { removed = co_await store_.batchRemove(keys); });
    RC_ASSERT(removed == expected);
  }
  void compareAndSet(const std::string& key, const Step& step) {
    const Row* const row = reference_.find(key, now());
    const Version present = row ? row->version : Version{};
    const Version expected = step.ttl % 3 == 0 ? Version{static_cast<std::uint64_t>(step.size)} : present;
    const std::string value = "cas" + std::to_string(step.size);
    bool set = false;
    run([&]() -> asio::awaitable<void> { set = co_await store_.compareAndSet(key, expected, value, 20s); });
    RC_ASSERT(set == (expected == present));
    if (set) put({{key, value}}, now() + 20s);
  }
  void update(const std::string& key) {
    const Row* const row = reference_.find(key, now());
    bool missing = false;
    run([&]() -> asio::awaitable<void> {
      try {
        auto grow = [](std::string& value) { value += "+"; };
        (void)co_await store_.update<std::string>(key, grow);
      } catch (const lukhas::Error& error) {
        missing = error.code() == lukhas::StoreErrc::not_found;
      }
    });
    RC_ASSERT(missing == (row == nullptr));
    if (row) {
      const Row before = *row;
      put({{key, before.value + "+"}}, before.end);
    }
  }

  void check() {
    RC_ASSERT(lukhas::detail::StoreAccess::checkInvariants(store_));
    const auto metrics = store_.getMetrics();
    RC_ASSERT(metrics.totalSize <= limit);
    RC_ASSERT(store_.keys() == reference_.liveKeys(now()));
    for (const Row& row : reference_.rows) {
      if (row.end <= now()) continue;
      RC_ASSERT(store_.info(row.key)->remainingTtl == row.end - now());
      RC_ASSERT(store_.info(row.key)->version == row.version);
    }
  }

  lukhas::Simulation world_;
  AsyncMemoryStore store_;
  lukhas::Subscription watching_;
  std::vector<lukhas::EntryEvicted> gone_;
  Reference reference_;
};

void holdsFor(const std::string& what, int keys, int size, double length) {
  lukhas::test::holdsForAll(what, [&] {
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const auto steps = *rc::gen::scale(length, rc::gen::container<std::vector<Step>>(anyStep(keys, size)));
    Bench bench(seed);
    for (const Step& step : steps) bench.apply(step);
  });
}

}  // namespace

TEST_CASE("the store is a list by last use with ends under any sequence of calls", "[store]") {
  holdsFor("a few large entries that push each other out", 12, 24'000, 3);
}

TEST_CASE("the store holds its limit with any mixture of small entries", "[store]") {
  holdsFor("many small entries", 400, 900, 6);
}
