// What an entry costs at a given number of entries: registering, refreshing, expiring; beside the two orders
// that are commonly used for it, over the same key table. Run by hand:
//   ttl_enforcement_engine_bench --benchmark_min_time=1
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/ttl/ttl_enforcement_engine.hpp"

namespace {

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::TimePoint;

std::vector<std::string> makeKeys(std::size_t count) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (std::size_t i = 0; i < count; ++i) keys.push_back("session:" + std::to_string(i * 7919));
  return keys;
}

// Between 30 s and an hour, in no order.
Duration someTtl(std::uint64_t& state) {
  state = state * 6364136223846793005U + 1442695040888963407U;
  return 30s + std::chrono::milliseconds((state >> 33U) % 3'570'000U);
}
std::size_t someIndex(std::uint64_t& state, std::size_t count) {
  state = state * 6364136223846793005U + 1442695040888963407U;
  return static_cast<std::size_t>(state >> 33U) % count;
}

// Each peer registers a key, gives a known key another time, and removes all when they are due. (The engine's
// refresh() would give the same time again, as virtual time stands still.)
class Engine {
 public:
  Engine() {
    counting_ = engine_.onExpired.connect([this](const lukhas::EntryExpired&) { ++expired_; });
  }
  void put(const std::string& key, Duration ttl) { engine_.registerEntry(key, ttl); }
  void refresh(const std::string& key, Duration ttl) { engine_.registerEntry(key, ttl); }
  std::size_t expireAll() {
    world_.runFor(2h);
    engine_.start();
    world_.run();
    return expired_;
  }

 private:
  lukhas::Simulation world_;
  lukhas::TTLEnforcementEngine engine_{world_.environment(), {.maxEntries = 10'000'000}};
  std::size_t expired_ = 0;
  lukhas::Subscription counting_;
};

class OrderedSet {
 public:
  void put(const std::string& key, Duration ttl) {
    const TimePoint when = TimePoint() + ttl;
    const auto [row, isNew] = table_.try_emplace(key, when);
    if (!isNew) {
      order_.erase({row->second, &row->first});
      row->second = when;
    }
    order_.emplace(when, &row->first);
  }
  void refresh(const std::string& key, Duration ttl) { put(key, ttl); }
  std::size_t expireAll() {
    std::size_t expired = 0;
    for (; !order_.empty(); ++expired) {
      const std::string* const key = order_.begin()->second;
      order_.erase(order_.begin());
      table_.erase(table_.find(*key));
    }
    return expired;
  }

 private:
  std::unordered_map<std::string, TimePoint> table_;
  std::set<std::pair<TimePoint, const std::string*>> order_;
};

// Leaves what was refreshed in the queue, and looks in the table whether a row still holds.
class LazyQueue {
 public:
  void put(const std::string& key, Duration ttl) {
    const TimePoint when = TimePoint() + ttl;
    table_.insert_or_assign(key, when);
    order_.emplace(when, key);
  }
  void refresh(const std::string& key, Duration ttl) { put(key, ttl); }
  std::size_t expireAll() {
    std::size_t expired = 0;
    for (; !order_.empty(); order_.pop()) {
      const auto found = table_.find(order_.top().second);
      if (found == table_.end() || found->second != order_.top().first) continue;
      table_.erase(found);
      ++expired;
    }
    return expired;
  }

 private:
  using Row = std::pair<TimePoint, std::string>;
  std::unordered_map<std::string, TimePoint> table_;
  std::priority_queue<Row, std::vector<Row>, std::greater<>> order_;
};

template <class Peer>
void registerAll(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::vector<std::string> keys = makeKeys(count);
  for (auto _ : state) {
    auto peer = std::make_unique<Peer>();
    std::uint64_t chance = 1;
    for (const std::string& key : keys) peer->put(key, someTtl(chance));
    state.PauseTiming();
    peer.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

template <class Peer>
void refreshRandom(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::vector<std::string> keys = makeKeys(count);
  Peer peer;
  std::uint64_t chance = 1;
  for (const std::string& key : keys) peer.put(key, someTtl(chance));
  for (auto _ : state) peer.refresh(keys[someIndex(chance, count)], someTtl(chance));
  state.SetItemsProcessed(state.iterations());
}

template <class Peer>
void expireAll(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::vector<std::string> keys = makeKeys(count);
  for (auto _ : state) {
    state.PauseTiming();
    auto peer = std::make_unique<Peer>();
    std::uint64_t chance = 1;
    for (const std::string& key : keys) peer->put(key, someTtl(chance));
    state.ResumeTiming();
    if (peer->expireAll() != count) state.SkipWithError("not everything expired");
    state.PauseTiming();
    peer.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

double threadCpuUs() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// The most processor time that one turn of the executor takes while everything expires at once.
void worstSlice(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  const std::vector<std::string> keys = makeKeys(count);
  double worstUs = 0;
  for (auto _ : state) {
    state.PauseTiming();
    lukhas::Simulation world;
    lukhas::TTLEnforcementEngine engine(world.environment(), {.maxEntries = 10'000'000});
    for (const std::string& key : keys) engine.registerEntry(key, 30s);
    engine.start();
    state.ResumeTiming();
    for (bool more = true; more;) {
      const double begun = threadCpuUs();
      more = world.runSteps(1);
      worstUs = std::max(worstUs, threadCpuUs() - begun);
    }
    if (engine.getMetrics().activeEntries != 0) state.SkipWithError("not everything expired");
  }
  state.counters["worst slice in us"] = worstUs;
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

#define LUKHAS_BENCH_PEERS(function)                                     \
  BENCHMARK_TEMPLATE(function, Engine)->Arg(10'000)->Arg(1'000'000);     \
  BENCHMARK_TEMPLATE(function, OrderedSet)->Arg(10'000)->Arg(1'000'000); \
  BENCHMARK_TEMPLATE(function, LazyQueue)->Arg(10'000)->Arg(1'000'000)

LUKHAS_BENCH_PEERS(registerAll);
LUKHAS_BENCH_PEERS(refreshRandom);
LUKHAS_BENCH_PEERS(expireAll);
BENCHMARK(worstSlice)->Arg(10'000)->Arg(1'000'000);

}  // namespace
