// What a lock costs, beside what one would write without it: a channel with one token, a strand, or a timer
// as condition variable, each in a map by key; and beside a std::mutex around such a map.
//
//   async_lock_bench --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
#include "lukhas/lock/async_lock.hpp"

#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/experimental/channel.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>
#include <benchmark/benchmark.h>

#include "ratios.hpp"

namespace {

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using Task = asio::awaitable<void>;

void runOn(asio::io_context& io, Task task) {
  asio::co_spawn(io, std::move(task), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
}

// A context with a reactor, as that of every program that does I/O: it looks for events between handlers,
// which one without does not.
struct Context {
  asio::io_context io{1};
  asio::steady_timer timer{io};
};

struct Fixture : Context {
  lukhas::Environment env{io.get_executor()};
  AsyncLock locks{env, {.timeout = 1h, .heldWarning = 1h, .maxWaiters = 1'000'000}};
};

// `state.range(0)` different keys, one after the other, in an order that is not that of their memory.
class Keys {
 public:
  explicit Keys(const benchmark::State& state) {
    const auto count = static_cast<std::size_t>(state.range(0));
    for (std::size_t i = 0; i < count; ++i) keys_.push_back("session:" + std::to_string(i));
  }
  const std::string& next() noexcept {
    at_ = (at_ + 7'919) % keys_.size();
    return keys_[at_];
  }
  [[nodiscard]] const std::vector<std::string>& all() const noexcept { return keys_; }

 private:
  std::vector<std::string> keys_;
  std::size_t at_ = 0;
};

// One coroutine does nothing but `step`, as often as the benchmark asks.
template <class Step>
void measure(benchmark::State& state, asio::io_context& io, Step step) {
  const auto loop = [&]() -> Task {
    for (auto _ : state) co_await step();
    io.stop();  // what is still held may keep an alarm set
  };
  runOn(io, loop());
  io.run();
  state.SetItemsProcessed(state.iterations());
}

// `call()` gives what is awaited for a guard. The loop itself holds it: no coroutine around the one that is
// measured.
template <class Call>
void measureGuard(benchmark::State& state, asio::io_context& io, Call call) {
  const auto loop = [&]() -> Task {
    for (auto _ : state) const auto guard = co_await call();
    io.stop();
  };
  runOn(io, loop());
  io.run();
  state.SetItemsProcessed(state.iterations());
}

void acquire(benchmark::State& state) {
  Fixture f;
  Keys keys(state);
  measureGuard(state, f.io, [&] { return f.locks.acquire(keys.next()); });
}

void acquireShared(benchmark::State& state) {
  Fixture f;
  Keys keys(state);
  measureGuard(state, f.io, [&] { return f.locks.acquireShared(keys.next()); });
}

// As many other keys are held all the time.
void acquireAmongHeld(benchmark::State& state) {
  Fixture f;
  Keys keys(state);
  std::vector<AsyncLock::Guard> held;
  for (const std::string& key : keys.all()) held.push_back(*f.locks.tryAcquire("held " + key));
  measureGuard(state, f.io, [&] { return f.locks.acquire(keys.next()); });
}

void acquireOfScope(benchmark::State& state) {
  Fixture f;
  Keys keys(state);
  const lukhas::LockScope scope{"task"};
  measureGuard(state, f.io, [&] { return f.locks.acquire(keys.next(), {.scope = &scope}); });
}

void tryAcquire(benchmark::State& state) {
  Fixture f;
  Keys keys(state);
  for (auto _ : state) benchmark::DoNotOptimize(f.locks.tryAcquire(keys.next()));
  state.SetItemsProcessed(state.iterations());
}

// Each hold begins in one step of the context and ends in a later one, so the alarm for heldWarning cannot
// be shared: the dearest uncontended case.
void acquireAndHoldOverAPost(benchmark::State& state) {
  Fixture f;
  const std::string key = "session:42";
  measure(state, f.io, [&]() -> Task {
    const AsyncLock::Guard guard = co_await f.locks.acquire(key);
    co_await asio::post(asio::use_awaitable);
  });
}

void acquireEightKeys(benchmark::State& state) {
  Fixture f;
  const lukhas::NameList keys{"session:7", "session:1", "session:5", "session:3",
                              "session:0", "session:2", "session:6", "session:4"};
  measureGuard(state, f.io, [&] { return f.locks.acquireMultiple(keys); });
}

// `state.range(0)` coroutines queue for one key; each release hands it to the next, who queues again.
void handOver(benchmark::State& state) {
  Fixture f;
  const std::string key = "session:42";
  bool stop = false;
  const auto queue = [&]() -> Task {
    while (!stop) const AsyncLock::Guard guard = co_await f.locks.acquire(key);
  };
  const auto leader = [&]() -> Task {
    for (auto _ : state) const AsyncLock::Guard guard = co_await f.locks.acquire(key);
    stop = true;
  };
  auto first = f.locks.tryAcquire(key);
  runOn(f.io, leader());
  for (std::int64_t i = 1; i < state.range(0); ++i) runOn(f.io, queue());
  f.io.poll();
  first.reset();
  f.io.run();
  state.SetItemsProcessed(state.iterations() * state.range(0));  // a round of all of them
}

// The least that any keyed lock does: find an entry that exists.
void floorKeyLookup(benchmark::State& state) {
  Keys keys(state);
  std::unordered_map<std::string, int> map;
  for (const std::string& key : keys.all()) map[key] = 1;
  for (auto _ : state) benchmark::DoNotOptimize(map.find(keys.next()));
  state.SetItemsProcessed(state.iterations());
}

// A lock for one thread at a time that keeps no free keys and cannot wait.
void floorMutexAndMap(benchmark::State& state) {
  Keys keys(state);
  std::mutex mutex;
  std::unordered_map<std::string, int> map;
  for (auto _ : state) {
    {
      const std::lock_guard lock(mutex);
      benchmark::DoNotOptimize(map.try_emplace(keys.next(), 1));
    }
    const std::lock_guard lock(mutex);
    map.erase(map.begin());  // what was just put in
  }
  state.SetItemsProcessed(state.iterations());
}

// Round the context once, with nothing else to do, as in a chain of hand-overs: what it cannot do without.
void floorPost(benchmark::State& state) {
  Context context;
  asio::io_context& io = context.io;
  const auto loop = [&]() -> Task {
    for (auto _ : state) co_await asio::post(asio::use_awaitable);
  };
  runOn(io, loop());
  io.run();
  state.SetItemsProcessed(state.iterations());
}

// `state.range(0)` coroutines in a ring, each of which posts the next one and suspends: what any hand-over
// costs, with no key, no mutex, no deadline and no cancellation.
void floorBaton(benchmark::State& state) {
  Context context;
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;
  std::deque<Handler> ring;
  bool passing = false;
  bool stop = false;
  const auto postFront = [&] {
    Handler next = std::move(ring.front());
    ring.pop_front();
    const auto executor = asio::get_associated_executor(next);
    asio::post(executor, std::move(next));
  };
  const auto pass = [&] {
    return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [&](auto handler) {
          ring.push_back(std::move(handler));
          if (passing) postFront();
        },
        asio::use_awaitable);
  };
  const auto turn = [&]() -> Task {
    while (!stop) co_await pass();
    if (!ring.empty()) postFront();
  };
  const auto leader = [&]() -> Task {
    for (auto _ : state) co_await pass();
    stop = true;
    if (!ring.empty()) postFront();
  };
  runOn(context.io, leader());
  for (std::int64_t i = 1; i < state.range(0); ++i) runOn(context.io, turn());
  context.io.poll();
  passing = true;
  postFront();
  context.io.run();
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

// The peers keep every key that they ever saw, which saves them time.

void peerChannelPerKey(benchmark::State& state) {
  Context context;
  asio::io_context& io = context.io;
  using Channel = asio::experimental::channel<void(std::error_code, int)>;
  std::unordered_map<std::string, Channel> channels;
  Keys keys(state);
  const auto channelOf = [&](const std::string& key) -> Channel& {
    const auto found = channels.find(key);
    if (found != channels.end()) return found->second;
    Channel& channel = channels.try_emplace(key, io, 1U).first->second;
    channel.try_send(std::error_code(), 0);
    return channel;
  };
  for (const std::string& key : keys.all()) (void)channelOf(key);
  const auto loop = [&]() -> Task {
    for (auto _ : state) {
      Channel& token = channelOf(keys.next());
      (void)co_await token.async_receive(asio::use_awaitable);
      token.try_send(std::error_code(), 0);
    }
  };
  runOn(io, loop());
  io.run();
  state.SetItemsProcessed(state.iterations());
}

void peerStrandPerKey(benchmark::State& state) {
  Context context;
  asio::io_context& io = context.io;
  using Strand = asio::strand<asio::io_context::executor_type>;
  std::unordered_map<std::string, Strand> strands;
  Keys keys(state);
  for (const std::string& key : keys.all()) strands.try_emplace(key, asio::make_strand(io));
  measure(state, io, [&]() -> Task {
    co_await asio::post(asio::bind_executor(strands.find(keys.next())->second, asio::use_awaitable));  // in
    co_await asio::post(asio::use_awaitable);  // and out again
  });
}

// A timer that never rings: cancelling it wakes whoever waits.
class TimerLock {
 public:
  explicit TimerLock(asio::io_context& io) : timer_(io, asio::steady_timer::time_point::max()) {}

  Task acquire() {
    while (held_) {
      std::error_code cancelled;
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }
    held_ = true;
  }
  void release() {
    held_ = false;
    timer_.cancel_one();
  }

 private:
  asio::steady_timer timer_;
  bool held_ = false;
};

void peerTimerPerKey(benchmark::State& state) {
  Context context;
  asio::io_context& io = context.io;
  std::unordered_map<std::string, TimerLock> locks;
  Keys keys(state);
  for (const std::string& key : keys.all()) locks.try_emplace(key, io);
  const auto loop = [&]() -> Task {
    for (auto _ : state) {
      TimerLock& lock = locks.find(keys.next())->second;
      co_await lock.acquire();
      lock.release();
    }
  };
  runOn(io, loop());
  io.run();
  state.SetItemsProcessed(state.iterations());
}

void peerChannelHandOver(benchmark::State& state) {
  Context context;
  asio::io_context& io = context.io;
  asio::experimental::channel<void(std::error_code, int)> token(io, 1);
  bool stop = false;
  const auto turn = [&]() -> Task {
    while (!stop) {
      (void)co_await token.async_receive(asio::use_awaitable);
      token.try_send(std::error_code(), 0);
    }
  };
  const auto leader = [&]() -> Task {
    for (auto _ : state) {
      (void)co_await token.async_receive(asio::use_awaitable);
      token.try_send(std::error_code(), 0);
    }
    stop = true;
  };
  runOn(io, leader());
  for (std::int64_t i = 1; i < state.range(0); ++i) runOn(io, turn());
  io.poll();
  token.try_send(std::error_code(), 0);
  io.run();
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK(acquire)->Arg(1)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(acquireShared)->Arg(1'000);
BENCHMARK(acquireAmongHeld)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(acquireOfScope)->Arg(1'000);
BENCHMARK(tryAcquire)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(acquireAndHoldOverAPost);
BENCHMARK(acquireEightKeys);
BENCHMARK(handOver)->Arg(2)->Arg(10'000);
BENCHMARK(floorKeyLookup)->Arg(1)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(floorMutexAndMap)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(floorPost);
BENCHMARK(floorBaton)->Arg(2)->Arg(10'000);
BENCHMARK(peerChannelPerKey)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(peerStrandPerKey)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(peerTimerPerKey)->Arg(1'000)->Arg(1'000'000);
BENCHMARK(peerChannelHandOver)->Arg(2)->Arg(10'000);

std::vector<bench::Goal> goals() {
  using bench::Times;
  std::vector<bench::Goal> all;
  for (const std::string keys : {"1000", "1000000"}) {
    const std::string of = "/" + keys;
    all.push_back(
        bench::atMost("acquire + release of " + keys + " keys, over the key lookup", 80, "ns",
                      [of](const Times& t) { return t.at("acquire" + of) - t.at("floorKeyLookup" + of); }));
    all.push_back(bench::atLeast(
        "best keyed peer / acquire + release, " + keys + " keys", 3, "x", [of](const Times& t) {
          return std::min({t.at("peerChannelPerKey" + of), t.at("peerStrandPerKey" + of),
                           t.at("peerTimerPerKey" + of)}) /
                 t.at("acquire" + of);
        }));
    all.push_back(bench::atMost(
        "tryAcquire + release / mutex and map, " + keys + " keys", 1.5, "x",
        [of](const Times& t) { return t.at("tryAcquire" + of) / t.at("floorMutexAndMap" + of); }));
  }
  for (const std::string waiters : {"2", "10000"}) {
    const std::string of = "/" + waiters;
    all.push_back(bench::atMost("hand-over among " + waiters + " waiters / post", 2, "x",
                                [of](const Times& t) { return t.at("handOver" + of) / t.at("floorPost"); }));
    all.push_back(
        bench::atMost("hand-over among " + waiters + " waiters / a bare one of as many", 2, "x",
                      [of](const Times& t) { return t.at("handOver" + of) / t.at("floorBaton" + of); }));
  }
  all.push_back(bench::atMost("hand-over, 10000 waiters / 2 waiters", 2, "x",
                              [](const Times& t) { return t.at("handOver/10000") / t.at("handOver/2"); }));
  all.push_back(bench::atMost("acquireMultiple of 8 keys / acquire of one", 8, "x",
                              [](const Times& t) { return t.at("acquireEightKeys") / t.at("acquire/1"); }));
  return all;
}

}  // namespace

int main(int argc, char** argv) { return bench::runWithGoals(argc, argv, goals()); }
