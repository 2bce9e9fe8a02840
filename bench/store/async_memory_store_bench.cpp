// What a read, a write and an eviction cost at a given number of entries and size of value, beside the usual
// cache of a mutex, a std::unordered_map and a std::list, which has neither checksum, nor expiry, nor a limit
// in bytes. Run by hand:
//   async_memory_store_bench --benchmark_min_time=1
//
// With a trace (a key on each line) in LUKHAS_TRACE it also says which share of the reads a store finds that
// holds so many entries:
//   LUKHAS_TRACE=trace.txt async_memory_store_bench --benchmark_filter=replay
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/io_context.hpp>
#include <benchmark/benchmark.h>

#include "lukhas/store/async_memory_store.hpp"

namespace {

std::vector<std::string> makeKeys(std::size_t count) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (std::size_t i = 0; i < count; ++i) keys.push_back("session:" + std::to_string(i * 7919));
  return keys;
}

std::size_t someIndex(std::uint64_t& state, std::size_t count) {
  state = state * 6364136223846793005U + 1442695040888963407U;
  return static_cast<std::size_t>(state >> 33U) % count;
}

class Store {
 public:
  explicit Store(std::size_t maxBytes = std::size_t{4} << 30U)
      : store_(environment(), {.maxBytes = maxBytes}) {}

  void set(const std::string& key, const std::string& value) { store_.trySet(key, value); }
  std::optional<std::string> get(const std::string& key) { return store_.tryGet<std::string>(key); }
  lukhas::AsyncMemoryStore& store() { return store_; }

 private:
  lukhas::Environment environment() { return lukhas::Environment(io_.get_executor()); }

  asio::io_context io_;
  lukhas::AsyncMemoryStore store_;
};

class MapAndList {
 public:
  explicit MapAndList(std::size_t entries = SIZE_MAX) : most_(entries) {}

  void set(const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) {
      found->second->second = value;
      order_.splice(order_.begin(), order_, found->second);
      return;
    }
    if (index_.size() == most_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, value);
    index_.emplace(key, order_.begin());
  }
  std::optional<std::string> get(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(key);
    if (found == index_.end()) return std::nullopt;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
  }

 private:
  using Order = std::list<std::pair<std::string, std::string>>;
  std::size_t most_;
  std::mutex mutex_;
  Order order_;
  std::unordered_map<std::string, Order::iterator> index_;
};

template <class Cache>
void get(benchmark::State& state) {
  const std::vector<std::string> keys = makeKeys(static_cast<std::size_t>(state.range(0)));
  const std::string value(static_cast<std::size_t>(state.range(1)), 'x');
  Cache cache;
  for (const std::string& key : keys) cache.set(key, value);
  std::uint64_t chance = 1;
  for (auto _ : state) benchmark::DoNotOptimize(cache.get(keys[someIndex(chance, keys.size())]));
}

template <class Cache>
void setAgain(benchmark::State& state) {
  const std::vector<std::string> keys = makeKeys(static_cast<std::size_t>(state.range(0)));
  const std::string value(static_cast<std::size_t>(state.range(1)), 'x');
  Cache cache;
  for (const std::string& key : keys) cache.set(key, value);
  std::uint64_t chance = 1;
  for (auto _ : state) cache.set(keys[someIndex(chance, keys.size())], value);
}

// Every write of a new key evicts another entry.
template <class Cache>
void evict(benchmark::State& state) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  const std::string value(static_cast<std::size_t>(state.range(1)), 'x');
  std::optional<Cache> cache;
  if constexpr (std::is_same_v<Cache, Store>) {
    cache.emplace(std::max<std::size_t>(64 << 10, entries * (value.size() + 200)));
  } else {
    cache.emplace(entries);
  }
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 2 * entries; ++i) cache->set("session:" + std::to_string(++number), value);
  for (auto _ : state) cache->set("session:" + std::to_string(++number), value);
}

double threadCpuUs() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

// The longest single write on the way to so many entries, in processor time: what an io_context stands still
// for.
template <class Cache>
void longestInsert(benchmark::State& state) {
  const std::vector<std::string> keys = makeKeys(static_cast<std::size_t>(state.range(0)));
  double longestUs = 0;
  for (auto _ : state) {
    Cache cache;
    for (const std::string& key : keys) {
      const double began = threadCpuUs();
      cache.set(key, "value");
      longestUs = std::max(longestUs, threadCpuUs() - began);
    }
  }
  state.counters["longest_us"] = longestUs;
}

void replay(benchmark::State& state, const std::vector<std::string>& trace) {
  const auto entries = static_cast<std::size_t>(state.range(0));
  double share = 0;
  for (auto _ : state) {
    Store cache(std::max<std::size_t>(64 << 10, entries * 10'000));
    std::size_t hits = 0;
    const std::string value(9'700, 'x');
    for (const std::string& key : trace) {
      if (cache.get(key)) {
        ++hits;
      } else {
        cache.set(key, value);
      }
    }
    share = static_cast<double>(hits) / static_cast<double>(trace.size());
    state.counters["entries"] = static_cast<double>(cache.store().getMetrics().entryCount);
  }
  state.counters["hit_share"] = share;
  state.SetItemsProcessed(static_cast<std::int64_t>(trace.size()) *
                          static_cast<std::int64_t>(state.iterations()));
}

void registerReplay() {
  const char* const path = std::getenv("LUKHAS_TRACE");
  if (!path) return;
  std::vector<std::string> trace;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) trace.push_back(line);
  }
  if (trace.empty()) return;
  benchmark::RegisterBenchmark("replay", [trace](benchmark::State& state) { replay(state, trace); })
      ->Arg(200)
      ->Arg(1000)
      ->Arg(4000)
      ->Unit(benchmark::kMillisecond)
      ->Iterations(1);
}

[[maybe_unused]] const bool registered = (registerReplay(), true);

}  // namespace

BENCHMARK_TEMPLATE(get, Store)->ArgsProduct({{1000, 100'000}, {64, 4096}});
BENCHMARK_TEMPLATE(get, MapAndList)->ArgsProduct({{1000, 100'000}, {64, 4096}});
BENCHMARK_TEMPLATE(setAgain, Store)->ArgsProduct({{1000, 100'000}, {64, 4096}});
BENCHMARK_TEMPLATE(setAgain, MapAndList)->ArgsProduct({{1000, 100'000}, {64, 4096}});
BENCHMARK_TEMPLATE(evict, Store)->ArgsProduct({{1000, 100'000}, {64, 4096}});
BENCHMARK_TEMPLATE(evict, MapAndList)->ArgsProduct({{1000, 100'000}, {64, 4096}});
BENCHMARK_TEMPLATE(longestInsert, Store)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(longestInsert, MapAndList)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);
