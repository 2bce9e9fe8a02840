#include "lukhas/store/async_memory_store.hpp"

#include <algorithm>
#include <cstddef>
#include <ostream>
#include <set>
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
    getWithMeta,
    getOrCompute,
    touch,
    remove,
    batchSet,
    batchTwice,
    batchGet,
    batchRemove,
    compareAndSet,
    update,
    look,
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
                                                          {3, Step::getWithMeta},
                                                          {6, Step::getOrCompute},
                                                          {4, Step::touch},
                                                          {4, Step::remove},
                                                          {6, Step::batchSet},
                                                          {1, Step::batchTwice},
                                                          {3, Step::batchGet},
                                                          {2, Step::batchRemove},
                                                          {5, Step::compareAndSet},
                                                          {5, Step::update},
                                                          {2, Step::look},
                                                          {5, Step::wait},
                                                          {1, Step::clear}});
  const auto below = [](int end) { return rc::gen::resize(100, rc::gen::inRange(0, end)); };
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, kind), rc::gen::set(&Step::key, below(keys)),
                              rc::gen::set(&Step::size, below(size)), rc::gen::set(&Step::ttl, below(40)));
}

// What the store should hold: a plain list, the least recently used entry first. An expired row stays until
// the store says that it is gone.
struct Row {
  std::string key;
  std::string value;
  TimePoint end;
  TimePoint written;
  Version version;
};
using Rows = std::vector<Row>;

// Keys that a call must report, and for which of the causes that are its own doing.
using Departures = std::multiset<std::pair<std::string, EvictionCause>>;

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
      case Step::set: set(key, step); break;
      case Step::get: get(key); break;
      case Step::getWithMeta: getWithMeta(key); break;
      case Step::getOrCompute: getOrCompute(key, step); break;
      case Step::touch: touch(key, step); break;
      case Step::remove: remove(key); break;
      case Step::batchSet: batchSet(step); break;
      case Step::batchTwice: batchTwice(step); break;
      case Step::batchGet: batchGet(step); break;
      case Step::batchRemove: batchRemove(step); break;
      case Step::compareAndSet: compareAndSet(key, step); break;
      case Step::update: update(key, step); break;
      case Step::look: look(key); break;
      case Step::wait: world_.runFor(std::chrono::seconds(step.size % 30)); break;
      default: clear();
    }
    settle({});
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
  static std::string text(const Step& step) {
    return std::string(static_cast<std::size_t>(step.size), static_cast<char>('a' + step.key % 26));
  }
  static Batch batch(const Step& step) {
    Batch entries;
    for (int i = 0; i < 1 + step.ttl % 5; ++i) {
      entries.emplace_back("k" + std::to_string(step.key + i), text(step) + std::to_string(i));
    }
    return entries;
  }

  Rows::iterator rowOf(const std::string& key) {
    return std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.key == key; });
  }
  Row* live(const std::string& key) {
    const auto row = rowOf(key);
    return row == rows_.end() || row->end <= now() ? nullptr : &*row;
  }
  void use(const std::string& key) {
    const auto row = rowOf(key);
    std::rotate(row, row + 1, rows_.end());
  }

  // Takes out of the reference what the store has reported, each once and for a cause that holds: what is
  // expired, what the call itself took away, and else exactly the least recently used of the others.
  void settle(Departures own) {
    for (const lukhas::EntryEvicted& event : std::exchange(gone_, {})) {
      const auto row = rowOf(event.key);
      RC_ASSERT(row != rows_.end());
      RC_ASSERT(event.value()->text() == row->value);
      RC_ASSERT((row->end <= now()) == (event.cause == EvictionCause::expired));
      if (event.cause == EvictionCause::size) {
        for (const Row& other : rows_) {
          RC_ASSERT(other.end > now());
          if (own.contains({other.key, EvictionCause::replaced})) continue;
          RC_ASSERT(other.key == event.key);
          break;
        }
      } else if (event.cause != EvictionCause::expired) {
        const auto expected = own.find({event.key, event.cause});
        RC_ASSERT(expected != own.end());
        own.erase(expected);
      }
      rows_.erase(row);
    }
    RC_ASSERT(own.empty());
  }
  void expectRemoved(const std::vector<std::string>& keys) {
    Departures removed;
    for (const std::string& key : keys) {
      if (rowOf(key) != rows_.end() && rowOf(key)->end > now()) removed.emplace(key, EvictionCause::removed);
    }
    settle(std::move(removed));
  }
  // After a write of these with that end. Its version is greater than any before.
  void expectWritten(const Batch& entries, TimePoint end) {
    Departures replaced;
    for (const auto& [key, value] : entries) {
      if (live(key)) replaced.emplace(key, EvictionCause::replaced);
    }
    settle(std::move(replaced));
    for (const auto& [key, value] : entries) {
      RC_ASSERT(rowOf(key) == rows_.end());
      const auto info = store_.info(key);
      RC_ASSERT(info.has_value());
      RC_ASSERT(info->version > lastVersion_);
      lastVersion_ = info->version;
      rows_.push_back(Row{key, value, end, now(), info->version});
    }
  }
  // Makes a write, which may be refused only when it is too large, and then changes nothing.
  template <class Write>
  bool fits(const Batch& entries, Write write) {
    try {
      write();
      return true;
    } catch (const lukhas::Error& error) {
      const bool tooLarge = error.code() == lukhas::StoreErrc::value_too_large ||
                            error.code() == lukhas::StoreErrc::batch_too_large;
      RC_ASSERT(tooLarge);
      RC_ASSERT(gone_.empty());
    }
    std::size_t bytes = 0;
    for (const auto& [key, value] : entries) bytes += value.size() + 400;
    RC_ASSERT(bytes > limit - 10'000);
    return false;
  }

  void set(const std::string& key, const Step& step) {
    const lukhas::Duration ttl = std::chrono::seconds(step.ttl + 1);
    const Batch entries{{key, text(step)}};
    if (fits(entries, [&] { store_.trySet(key, entries[0].second, ttl); }))
      expectWritten(entries, now() + ttl);
  }
  void batchSet(const Step& step) {
    const lukhas::Duration ttl = std::chrono::seconds(step.ttl + 1);
    const Batch entries = batch(step);
    const auto write = [&] {
      run([&]() -> asio::awaitable<void> { co_await store_.batchSet(entries, ttl); });
    };
    if (fits(entries, write)) expectWritten(entries, now() + ttl);
  }
  void batchTwice(const Step& step) {
    Batch entries = batch(step);
    entries.push_back(entries.front());
    std::error_code code;
    try {
      store_.tryBatchSet(entries);
    } catch (const lukhas::Error& error) {
      code = error.code();
    }
    const bool refused =
        code == lukhas::StoreErrc::duplicate_key || code == lukhas::StoreErrc::value_too_large;
    RC_ASSERT(refused);
    RC_ASSERT(gone_.empty());
  }
  void get(const std::string& key) {
    const Row* const row = live(key);
    const auto read = store_.tryGet<std::string>(key);
    RC_ASSERT(read.has_value() == (row != nullptr));
    if (!row) return;
    RC_ASSERT(*read == row->value);
    use(key);
  }
  void getWithMeta(const std::string& key) {
    const Row* const row = live(key);
    const auto read = store_.tryGetWithMeta<lukhas::View>(key);
    RC_ASSERT(read.has_value() == (row != nullptr));
    if (!row) return;
    RC_ASSERT(read->value.text() == row->value);
    checkInfo(*read, *row);
    use(key);
  }
  void getOrCompute(const std::string& key, const Step& step) {
    const Row* const row = live(key);
    const Batch entries{{key, text(step)}};
    const std::string expected = row ? row->value : entries[0].second;
    bool loaded = false;
    std::string got;
    auto load = [&] {
      loaded = true;
      return entries[0].second;
    };
    run([&]() -> asio::awaitable<void> { got = co_await store_.getOrCompute<std::string>(key, load, 30s); });
    RC_ASSERT(loaded == (row == nullptr));
    RC_ASSERT(got == expected);
    if (row) {
      use(key);
    } else if (store_.tryHas(key)) {  // what does not fit is not stored
      expectWritten(entries, now() + 30s);
    }
  }
  void touch(const std::string& key, const Step& step) {
    Row* const row = live(key);
    const lukhas::Duration ttl = std::chrono::seconds(step.ttl + 1);
    RC_ASSERT(store_.tryTouch(key, ttl) == (row != nullptr));
    if (!row) return;
    row->end = now() + ttl;
    use(key);
  }
  void remove(const std::string& key) {
    const bool expected = live(key) != nullptr;
    RC_ASSERT(store_.tryRemove(key) == expected);
    expectRemoved({key});
  }
  void batchGet(const Step& step) {
    lukhas::NameList keys{"k" + std::to_string(step.key + 2), "k" + std::to_string(step.key)};
    const auto values = store_.tryBatchGet<std::string>(keys);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Row* const row = live(keys[i]);
      RC_ASSERT(values[i].has_value() == (row != nullptr));
      if (!row) continue;
      RC_ASSERT(*values[i] == row->value);
      use(keys[i]);
    }
  }
  void batchRemove(const Step& step) {
    const std::vector<std::string> keys{"k" + std::to_string(step.key), "k" + std::to_string(step.key + 1)};
    const auto expected = std::count_if(keys.begin(), keys.end(), [&](const auto& key) { return live(key); });
    RC_ASSERT(store_.tryBatchRemove(lukhas::NameList(keys)) == static_cast<std::size_t>(expected));
    expectRemoved(keys);
  }
  void clear() {
    store_.tryClear();
    std::vector<std::string> keys;
    for (const Row& row : rows_) keys.push_back(row.key);
    expectRemoved(keys);
    RC_ASSERT(rows_.empty());
  }
  // Without a TTL every third time.
  void compareAndSet(const std::string& key, const Step& step) {
    const Row* const row = live(key);
    const Version present = row ? row->version : Version{};
    const Version expected = step.ttl % 4 == 0 ? Version{static_cast<std::uint64_t>(step.size)} : present;
    const bool keeps = step.size % 3 == 0;
    const TimePoint end = !keeps ? now() + 20s : row ? row->end : now() + 5min;
    const std::string value = "cas" + std::to_string(step.size);
    AsyncMemoryStore::Ttl ttl;
    if (!keeps) ttl = 20s;
    const bool set = store_.tryCompareAndSet(key, expected, value, ttl);
    RC_ASSERT(set == (expected == present));
    if (set) expectWritten({{key, value}}, end);
  }
  void update(const std::string& key, const Step& step) {
    const Row* const row = live(key);
    AsyncMemoryStore::Ttl ttl;
    if (step.size % 3 == 0) ttl = 20s;
    bool missing = false;
    run([&]() -> asio::awaitable<void> {
      try {
        auto grow = [](std::string& value) { value += "+"; };
        (void)co_await store_.update<std::string>(key, grow, ttl);
      } catch (const lukhas::Error& error) {
        missing = error.code() == lukhas::StoreErrc::not_found;
      }
    });
    RC_ASSERT(missing == (row == nullptr));
    if (!row) return;
    const Row before = *row;
    expectWritten({{key, before.value + "+"}}, step.size % 3 == 0 ? now() + 20s : before.end);
  }
  void look(const std::string& key) {
    RC_ASSERT(store_.tryHas(key) == (live(key) != nullptr));
    std::vector<std::string> expected;
    for (const Row& row : rows_) {
      if (row.end > now() && row.key.starts_with(key)) expected.push_back(row.key);
    }
    std::sort(expected.begin(), expected.end());
    RC_ASSERT(store_.keys(key) == expected);
  }

  void checkInfo(const lukhas::EntryInfo& info, const Row& row) const {
    RC_ASSERT(info.version == row.version);
    RC_ASSERT(info.remainingTtl == row.end - now());
    RC_ASSERT(info.valueBytes == row.value.size());
    RC_ASSERT(info.age <= now() - row.written);
    RC_ASSERT(info.age >= now() - row.written - 1ms);
  }
  void check() {
    RC_ASSERT(lukhas::detail::StoreAccess::checkInvariants(store_));
    const auto metrics = store_.getMetrics();
    RC_ASSERT(metrics.totalSize <= limit);
    RC_ASSERT(metrics.entryCount == rows_.size());  // nothing went without a word
    std::vector<std::string> keys;
    for (const Row& row : rows_) {
      if (row.end <= now()) continue;
      keys.push_back(row.key);
      checkInfo(store_.info(row.key).value(), row);
    }
    std::sort(keys.begin(), keys.end());
    RC_ASSERT(store_.keys() == keys);
  }

  lukhas::Simulation world_;
  AsyncMemoryStore store_;
  lukhas::Subscription watching_;
  std::vector<lukhas::EntryEvicted> gone_;
  Rows rows_;
  Version lastVersion_{};
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
