// The figures of TTLEnforcementEngine beside those of its peers, all in one run, peers taking turns; each
// figure is the best of the rounds. Prints a table.
//   ttl_enforcement_engine_bench [ROUNDS]                  3 rounds with a million entries, some minutes
//   ttl_enforcement_engine_bench --benchmark_min_time=…    one small round, to see that it works
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ttl_peers.hpp"

namespace {

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::bench::JumpingClock;
using lukhas::bench::LukhasPeer;
using lukhas::bench::MultimapPeer;
using lukhas::bench::TimersPeer;
using lukhas::bench::TombstonePeer;

class Chance {
 public:
  std::uint64_t next() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return state_ >> 33U;
  }
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(next()) % end; }

 private:
  std::uint64_t state_ = 1;
};

// Keys of 12 to 40 bytes in no order.
std::vector<std::string> makeKeys(std::size_t count) {
  std::vector<std::string> keys;
  Chance chance;
  for (std::size_t i = 0; i < count; ++i) {
    std::string key = "session:" + std::to_string(i);
    key.resize(std::max(key.size(), 12 + i % 29), 'k');
    keys.push_back(std::move(key));
  }
  for (std::size_t i = count; i-- > 1;) std::swap(keys[i], keys[chance.below(i + 1)]);
  return keys;
}

Duration someTtl(Chance& chance) { return 1h + std::chrono::microseconds(chance.below(3'600'000'000)); }

template <class Work>
double nsOf(Work&& work) {
  const auto begun = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begun).count();
}

double threadCpuNs() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

double allocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
}

// The best of each figure, by row and column.
class Table {
 public:
  void note(const std::string& row, const std::string& column, double value) {
    const auto [cell, isNew] = cells_[row].try_emplace(column, value);
    if (!isNew) cell->second = std::min(cell->second, value);
  }
  [[nodiscard]] double at(const std::string& row, const std::string& column) const {
    return cells_.at(row).at(column);
  }
  void print() const {
    for (const auto& [row, cells] : cells_) {
      const double ours = cells.count(LukhasPeer::name) ? cells.at(LukhasPeer::name) : 0;
      std::printf("%s\n", row.c_str());
      for (const auto& [column, value] : cells) {
        std::printf("  %-40s %12.1f", column.c_str(), value);
        if (ours > 0 && column != LukhasPeer::name) std::printf("   %6.2f x", value / ours);
        std::printf("\n");
      }
    }
  }

 private:
  std::map<std::string, std::map<std::string, double>> cells_;
};

struct Ticks {
  double worstUs = 0;
  double mostWorkUs = 0;  // processor time from one tick to the next: others on the machine do not count
  double allGoneUs = 0;
};
asio::awaitable<void> tick(lukhas::Environment environment, lukhas::TimePoint expiry,
                           const std::size_t& expired, std::size_t count, Ticks& ticks) {
  const auto usSince = [&](lukhas::TimePoint when) {
    return std::chrono::duration<double, std::micro>(environment.now() - when).count();
  };
  co_await environment.sleepUntil(expiry);
  while (expired < count) {
    const lukhas::TimePoint due = environment.after(1ms);
    const double begun = threadCpuNs();
    co_await environment.sleepUntil(due);
    ticks.worstUs = std::max(ticks.worstUs, usSince(due));
    ticks.mostWorkUs = std::max(ticks.mostWorkUs, (threadCpuNs() - begun) / 1000);
  }
  ticks.allGoneUs = usSince(expiry);
}

struct Bench {
  std::size_t count;
  std::vector<std::string> keys = makeKeys(count);
  Table table = {};

  template <class Peer>
  void measure() {
    std::size_t expired = 0;
    const auto make = [&] {
      return std::make_unique<Peer>([&expired](const lukhas::EntryExpired&) { ++expired; });
    };
    {
      Chance chance;
      const double before = allocatedBytes();
      auto peer = make();
      const double took = nsOf([&] {
        for (const std::string& key : keys) peer->put(key, someTtl(chance));
      });
      table.note("1 register: ns each", Peer::name, took / static_cast<double>(count));
      const double keyBytes = std::accumulate(keys.begin(), keys.end(), 0.0, [](double sum, const auto& key) {
        return sum + static_cast<double>(key.size());
      });
      table.note("5 memory beyond the key: bytes an entry", Peer::name,
                 (allocatedBytes() - before - keyBytes) / static_cast<double>(count));
      measureRefresh(*peer);
    }
    measureWorst(*make());
    for (const std::size_t due : {count / 1000, count / 100, count / 10}) {
      measureSweep(*make(), due, count, expired);
      measureSweep(*make(), due, due, expired);
    }
  }

  template <class Peer>
  void measureRefresh(Peer& peer) {
    Chance chance;
    JumpingClock::ahead += 10min;
    const double took = nsOf([&] {
      for (std::size_t i = 0; i < count; ++i) peer.refresh(keys[chance.below(count)]);
    });
    table.note("2 refresh: ns each", Peer::name, took / static_cast<double>(count));
    if constexpr (requires { peer.isValid(keys[0]); }) {
      std::size_t valid = 0;
      const double lookup = nsOf([&] {
        for (std::size_t i = 0; i < count; ++i) valid += peer.isValid(keys[chance.below(count)]) ? 1 : 0;
      });
      table.note("2 refresh: ns each", "(isValid of TTLEnforcementEngine)",
                 lookup / static_cast<double>(count));
    }
  }

  // In the processor time of this thread: the time of others on this machine does not count.
  template <class Peer>
  void measureWorst(Peer& peer) {
    Chance chance;
    double worst = 0;
    for (const std::string& key : keys) {
      const Duration ttl = someTtl(chance);
      const double begun = threadCpuNs();
      peer.put(key, ttl);
      worst = std::max(worst, threadCpuNs() - begun);
    }
    table.note("4 worst registration on the way: us", Peer::name, worst / 1000);
  }

  template <class Peer>
  void measureSweep(Peer& peer, std::size_t due, std::size_t all, std::size_t& expired) {
    Chance chance;
    const std::size_t every = all / due;
    for (std::size_t i = 0; i < all; ++i) {
      const Duration ttl =
          i % every == 0 ? 30min + std::chrono::microseconds(chance.below(60'000'000)) : someTtl(chance);
      peer.put(keys[i], ttl);
    }
    JumpingClock::ahead += 40min;
    expired = 0;
    const double took = nsOf([&] { peer.sweep(); });
    if (expired != due) std::abort();
    char row[80];
    std::snprintf(row, sizeof row, "3 sweep of %7zu among %7zu: us", due, all);
    table.note(row, Peer::name, took / 1000);
  }

  // Everything expires in one instant, beside a coroutine that wants its turn each millisecond.
  void measureInstant() {
    asio::io_context io(1);
    const lukhas::Environment environment(io.get_executor());
    lukhas::TTLEnforcementEngine engine(environment, {.minTtl = 1ms, .gracePeriod = 0s, .maxEntries = count});
    std::size_t expired = 0;
    const auto counting = engine.onExpired.connect([&](const lukhas::EntryExpired&) { ++expired; });
    const lukhas::TimePoint expiry = environment.after(count < 100'000 ? 200ms : 5s);
    for (const std::string& key : keys)
      (void)engine.registerEntry(key, expiry - environment.now(), "session");
    engine.start();
    Ticks ticks;
    asio::co_spawn(io, tick(environment, expiry, expired, count, ticks), asio::detached);
    io.run();
    table.note("6 all expire in one instant: us", "until all are gone", ticks.allGoneUs);
    table.note("6 all expire in one instant: us", "most processor time between ticks", ticks.mostWorkUs);
    table.note("6 all expire in one instant: us", "worst delay of a 1 ms tick", ticks.worstUs);
  }

  // What the key alone costs in an ordinary hash map.
  void measureHashMap() {
    std::unordered_map<std::string, std::uint64_t> map;
    Chance chance;
    const double insert = nsOf([&] {
      for (const std::string& key : keys) map.emplace(key, 1);
    });
    std::uint64_t sum = 0;
    const double lookup = nsOf([&] {
      for (std::size_t i = 0; i < count; ++i) sum += map.find(keys[chance.below(count)])->second;
    });
    if (sum != count) std::abort();
    // What a caller pays who needs the answer: the processor cannot begin the next look-up meanwhile, as it
    // does above, nor beyond a mutex or a look at the clock, which each call of the engine has.
    std::uint64_t last = 1;
    const double oneByOne = nsOf([&] {
      for (std::size_t i = 0; i < count; ++i) last = map.find(keys[chance.below(count) + last - 1])->second;
    });
    std::mutex mutex;
    const auto never = static_cast<std::uint64_t>(JumpingClock::now().time_since_epoch().count());
    const double guarded = nsOf([&] {
      for (std::size_t i = 0; i < count; ++i) {
        const std::string& key = keys[chance.below(count)];
        const std::lock_guard lock(mutex);
        const auto now = static_cast<std::uint64_t>(JumpingClock::now().time_since_epoch().count());
        sum += map.find(key)->second + never <= now ? 1 : 0;
      }
    });
    if (last != 1 || sum < count) std::abort();
    table.note("2 refresh: ns each", "(find, each after the last)", oneByOne / static_cast<double>(count));
    table.note("2 refresh: ns each", "(find, a mutex and a clock)", guarded / static_cast<double>(count));
    table.note("1 register: ns each", "(insert into std::unordered_map)",
               insert / static_cast<double>(count));
    table.note("2 refresh: ns each", "(find in std::unordered_map)", lookup / static_cast<double>(count));
  }
};

}  // namespace

int main(int argc, char** argv) {
  const bool isTrial = argc > 1 && std::strncmp(argv[1], "--", 2) == 0;
  const int rounds = isTrial ? 1 : argc > 1 ? std::atoi(argv[1]) : 3;
  Bench bench{isTrial ? 10'000U : 1'000'000U};
  for (int round = 0; round < rounds; ++round) {
    bench.measureHashMap();
    bench.measureInstant();
    bench.measure<LukhasPeer>();
    bench.measure<MultimapPeer>();
    bench.measure<TombstonePeer>();
    bench.measure<TimersPeer>();
  }
  std::printf("best of %d rounds, %zu entries\n", rounds, bench.count);
  bench.table.print();
}
