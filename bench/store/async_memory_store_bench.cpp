// What the store costs, beside the usual cache of a mutex, a std::unordered_map and a std::list, which has
// neither checksum, nor expiry, nor a limit in bytes; and beside lru-cache on node.
//
//   async_memory_store_bench --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
//
// With LUKHAS_NODE_PEERS=…/bench/store/node_peers.mjs, run where lru-cache is installed, node does the same
// work after the benchmarks.
#include "lukhas/store/async_memory_store.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <benchmark/benchmark.h>

#include "ratios.hpp"

namespace {

using lukhas::AsyncMemoryStore;
using Task = asio::awaitable<void>;

constexpr std::size_t keyCount = 100'000;
constexpr std::size_t manyKeys = 1'000'000;

std::vector<std::string> makeKeys(std::size_t count) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (std::size_t i = 0; i < count; ++i) keys.push_back("session:" + std::to_string(i * 7919));
  return keys;
}

// A million accesses to so many keys, the rank r with a probability in proportion to r to the power of -0.99.
// node_peers.mjs draws the same.
std::vector<std::uint32_t> makeZipf(std::size_t count) {
  std::vector<double> sums(count);
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) sums[i] = sum += std::pow(static_cast<double>(i + 1), -0.99);
  std::vector<std::uint32_t> order(1'000'000);
  std::uint32_t chance = 1;
  for (std::uint32_t& at : order) {
    chance = chance * 1664525 + 1013904223;
    const double wanted = sum * (static_cast<double>(chance) / 4294967296.0);
    const auto rank =
        static_cast<std::size_t>(std::lower_bound(sums.begin(), sums.end(), wanted) - sums.begin());
    // Neighbours in rank are no neighbours in memory.
    at = static_cast<std::uint32_t>(std::min(rank, count - 1) * 7919 % count);
  }
  return order;
}

// The keys in the order of the accesses, again and again.
class Accesses {
 public:
  Accesses() { (void)keys(), (void)order(); }  // not within what is measured

  const std::string& next() noexcept {
    if (++at_ == order().size()) at_ = 0;
    return keys()[order()[at_]];
  }
  static const std::vector<std::string>& keys() {
    static const std::vector<std::string> all = makeKeys(keyCount);
    return all;
  }
  static const std::vector<std::uint32_t>& order() {
    static const std::vector<std::uint32_t> all = makeZipf(keyCount);
    return all;
  }

 private:
  std::size_t at_ = 0;
};

std::string valueOf(const benchmark::State& state) {
  return std::string(static_cast<std::size_t>(state.range(0)), 'x');
}

lukhas::AsyncMemoryStoreOptions largeOptions(std::size_t shards = 1) {
  lukhas::AsyncMemoryStoreOptions options;
  options.maxBytes = std::size_t{4} << 30U;
  options.defaultTtl = std::chrono::hours(1);
  options.shards = shards;
  return options;
}

class Store {
 public:
  explicit Store(std::size_t shards = 1) : store_(environment(), largeOptions(shards)) {}

  void set(const std::string& key, const std::string& value) { store_.trySet(key, value); }
  std::optional<std::string> get(const std::string& key) { return store_.tryGet<std::string>(key); }
  AsyncMemoryStore& store() { return store_; }
  asio::io_context& io() { return io_; }

  void fill(const std::string& value) {
    for (const std::string& key : Accesses::keys()) set(key, value);
  }

 private:
  lukhas::Environment environment() { return lukhas::Environment(io_.get_executor()); }

  asio::io_context io_{1};
  AsyncMemoryStore store_;
};

class UnverifiedLru {
 public:
  void set(const std::string& key, const std::string& value) {
    const std::lock_guard lock(mutex_);
    if (const auto found = index_.find(key); found != index_.end()) {
      found->second->second = value;
      order_.splice(order_.begin(), order_, found->second);
      return;
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
  void fill(const std::string& value) {
    for (const std::string& key : Accesses::keys()) set(key, value);
  }

 private:
  using Order = std::list<std::pair<std::string, std::string>>;
  std::mutex mutex_;
  Order order_;
  std::unordered_map<std::string, Order::iterator> index_;
};

template <class Cache>
void tryGet(benchmark::State& state) {
  Cache cache;
  cache.fill(valueOf(state));
  Accesses accesses;
  for (auto _ : state) benchmark::DoNotOptimize(cache.get(accesses.next()));
  state.SetItemsProcessed(state.iterations());
}

template <class Cache>
void trySet(benchmark::State& state) {
  Cache cache;
  const std::string value = valueOf(state);
  cache.fill(value);
  Accesses accesses;
  for (auto _ : state) cache.set(accesses.next(), value);
  state.SetItemsProcessed(state.iterations());
}

// One coroutine does nothing but what `body` does, as often as the benchmark asks.
template <class Body>
void run(Store& cache, Body body) {
  asio::co_spawn(cache.io(), body(), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  cache.io().restart();
  cache.io().run();
}

void awaitedGet(benchmark::State& state) {
  Store cache;
  cache.fill(valueOf(state));
  Accesses accesses;
  run(cache, [&]() -> Task {
    for (auto _ : state) {
      const std::optional<std::string> value = co_await cache.store().get<std::string>(accesses.next());
      benchmark::DoNotOptimize(value);
    }
  });
  state.SetItemsProcessed(state.iterations());
}

void awaitedSet(benchmark::State& state) {
  Store cache;
  const std::string value = valueOf(state);
  cache.fill(value);
  Accesses accesses;
  run(cache, [&]() -> Task {
    for (auto _ : state) co_await cache.store().set(accesses.next(), value);
  });
  state.SetItemsProcessed(state.iterations());
}

// A whole run from an empty cache: each key is set, then a million accesses, each one a read, every tenth
// also a write. As in node_peers.mjs.
void wholeRun(benchmark::State& state) {
  const std::string value = valueOf(state);
  const std::vector<std::string>& keys = Accesses::keys();
  const std::vector<std::uint32_t>& order = Accesses::order();
  for (auto _ : state) {
    Store cache;
    run(cache, [&]() -> Task {
      for (const std::string& key : keys) co_await cache.store().set(key, value);
      for (std::size_t i = 0; i < order.size(); ++i) {
        const std::string& key = keys[order[i]];
        const std::optional<std::string> found = co_await cache.store().get<std::string>(key);
        benchmark::DoNotOptimize(found);
        if (i % 10 == 0) co_await cache.store().set(key, value);
      }
    });
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(keys.size() + order.size()));
}

void batchSetOfTen(benchmark::State& state) {
  Store cache;
  const std::string value(64, 'x');
  cache.fill(value);
  Accesses accesses;
  std::vector<std::vector<std::pair<std::string, std::string>>> batches;
  for (std::size_t i = 0; i < 10'000; ++i) {
    auto& batch = batches.emplace_back();
    while (batch.size() < 10) {
      const std::string& key = accesses.next();
      const auto same = [&](const auto& entry) { return entry.first == key; };
      if (std::none_of(batch.begin(), batch.end(), same)) batch.emplace_back(key, value);
    }
  }
  run(cache, [&]() -> Task {
    std::size_t at = 0;
    for (auto _ : state) {
      co_await cache.store().batchSet(batches[at]);
      if (++at == batches.size()) at = 0;
    }
  });
  state.SetItemsProcessed(state.iterations());
}

double threadCpuSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// The longest single write on the way to a million entries, in processor time: what an io_context stands
// still for.
template <class Cache>
void longestSet(benchmark::State& state) {
  const std::vector<std::string> keys = makeKeys(manyKeys);
  const std::string value(64, 'x');
  for (auto _ : state) {
    Cache cache;
    double longest = 0;
    for (const std::string& key : keys) {
      const double began = threadCpuSeconds();
      cache.set(key, value);
      longest = std::max(longest, threadCpuSeconds() - began);
    }
    state.SetIterationTime(longest);
  }
}

// Bytes an entry beyond key and value, written as if they were nanoseconds. The argument is the length of all
// keys; 0: as they come.
void overhead(benchmark::State& state) {
  const std::string value(64, 'x');
  for (auto _ : state) {
    Store cache;
    std::size_t content = 0;
    for (std::size_t i = 0; i < manyKeys; ++i) {
      std::string key = state.range(0) == 0 ? "session:" + std::to_string(i * 7919) : std::to_string(i);
      const auto length = static_cast<std::size_t>(state.range(0));
      if (key.size() < length) key.insert(0, length - key.size(), '0');
      content += key.size() + value.size();
      cache.set(key, value);
    }
    const auto metrics = cache.store().getMetrics();
    const auto beyond = static_cast<double>(metrics.totalSize - content);
    state.SetIterationTime(beyond / static_cast<double>(metrics.entryCount) * 1e-9);
  }
}

// So many threads read from one store with four shards; nanoseconds an access of all together.
void readsOfThreads(benchmark::State& state) {
  Store cache(4);
  cache.fill(std::string(256, 'x'));
  const auto threads = static_cast<std::size_t>(state.range(0));
  const std::vector<std::string>& keys = Accesses::keys();
  const std::vector<std::uint32_t>& order = Accesses::order();
  for (auto _ : state) {
    std::atomic<std::size_t> ready = 0;
    std::vector<std::thread> running;
    std::vector<double> seconds(threads);
    for (std::size_t thread = 0; thread < threads; ++thread) {
      running.emplace_back([&, thread] {
        ++ready;
        while (ready < threads) std::this_thread::yield();
        const auto began = std::chrono::steady_clock::now();
        for (std::size_t i = 0; i < order.size(); ++i) {
          const std::string& key = keys[order[(i + thread * order.size() / 2) % order.size()]];
          benchmark::DoNotOptimize(cache.get(key));
        }
        seconds[thread] = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
      });
    }
    for (std::thread& thread : running) thread.join();
    state.SetIterationTime(*std::max_element(seconds.begin(), seconds.end()));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(threads * order.size()));
}

BENCHMARK_TEMPLATE(tryGet, Store)->Arg(64)->Arg(256)->Arg(1024);
BENCHMARK_TEMPLATE(tryGet, UnverifiedLru)->Arg(64)->Arg(256)->Arg(1024);
BENCHMARK_TEMPLATE(trySet, Store)->Arg(64)->Arg(1024);
BENCHMARK_TEMPLATE(trySet, UnverifiedLru)->Arg(64)->Arg(1024);
BENCHMARK(awaitedGet)->Arg(64)->Arg(256)->Arg(1024);
BENCHMARK(awaitedSet)->Arg(64);
BENCHMARK(batchSetOfTen);
BENCHMARK(wholeRun)->Arg(64)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK_TEMPLATE(longestSet, Store)->Iterations(1)->UseManualTime();
BENCHMARK_TEMPLATE(longestSet, UnverifiedLru)->Iterations(1)->UseManualTime();
BENCHMARK(overhead)->Arg(0)->DenseRange(7, 22)->Iterations(1)->UseManualTime();
BENCHMARK(readsOfThreads)->Arg(1)->Arg(2)->Iterations(1)->UseManualTime();

// Lines of "name nanoseconds" from node_peers.mjs.
double nodeTime(const std::string& name) {
  static const std::map<std::string, double> times = [] {
    std::map<std::string, double> read;
    const char* const script = std::getenv("LUKHAS_NODE_PEERS");
    if (!script) return read;
    const std::unique_ptr<FILE, int (*)(FILE*)> node(popen(("node " + std::string(script)).c_str(), "r"),
                                                     pclose);
    std::array<char, 200> what{};
    double ns = 0;
    while (node && std::fscanf(node.get(), "%199s %lf\n", what.data(), &ns) == 2) read[what.data()] = ns;
    return read;
  }();
  return times.at(name);
}

std::vector<bench::Goal> goals() {
  using bench::Times;
  std::vector<bench::Goal> all;
  for (const std::string bytes : {"64", "256", "1024"}) {
    all.push_back(bench::atMost("tryGet of " + bytes + " B, verified / unverified LRU",
                                bytes == "64" ? 1.0 : 1.3, "x", [bytes](const Times& t) {
                                  return t.at("tryGet<Store>/" + bytes) /
                                         t.at("tryGet<UnverifiedLru>/" + bytes);
                                }));
    all.push_back(bench::atMost(
        "awaited get of " + bytes + " B, over tryGet", 25, "ns",
        [bytes](const Times& t) { return t.at("awaitedGet/" + bytes) - t.at("tryGet<Store>/" + bytes); }));
  }
  all.push_back(bench::atMost("batchSet of 10 / awaited set", 6, "x",
                              [](const Times& t) { return t.at("batchSetOfTen") / t.at("awaitedSet/64"); }));
  all.push_back(bench::atMost("worst single set while filling to 1M entries", 1, "ms",
                              [](const Times& t) { return t.at("longestSet<Store>") / 1e6; }));
  all.push_back(bench::atMost("overhead beyond key and value, 1M entries", 88, "B",
                              [](const Times& t) { return t.at("overhead/0"); }));
  all.push_back(
      bench::atMost("the same, keys of the length that suits it least", 88, "B", [](const Times& t) {
        double most = 0;
        for (int length = 7; length <= 22; ++length) {
          most = std::max(most, t.at("overhead/" + std::to_string(length)));
        }
        return most;
      }));
  all.push_back(bench::atLeast("reads of 2 threads / 1 thread, 4 shards", 1.7, "x", [](const Times& t) {
    return t.at("readsOfThreads/1") / t.at("readsOfThreads/2");
  }));
  for (const std::string what : {"plain", "awaited"}) {
    all.push_back(bench::atLeast("lru-cache on node, " + what + " / whole run, awaited", 1, "x",
                                 [what](const Times& t) { return nodeTime(what) / t.at("wholeRun/64"); }));
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) { return bench::runWithGoals(argc, argv, goals()); }
