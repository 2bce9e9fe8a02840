// What a lock costs, beside what one would write without it: a post to the io_context and back, a strand, a
// channel with one token, and a std::mutex (which blocks the thread, so it is only a lower bound).
#include "lukhas/lock/async_lock.hpp"

#include <exception>
#include <mutex>
#include <string>
#include <vector>

#include <asio/bind_executor.hpp>
#include <asio/co_spawn.hpp>
#include <asio/dispatch.hpp>
#include <asio/experimental/channel.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>
#include <benchmark/benchmark.h>

namespace {

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using Task = asio::awaitable<void>;

void runOn(asio::io_context& io, Task task) {
  asio::co_spawn(io, std::move(task), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
}

struct Fixture {
  asio::io_context io{1};
  lukhas::Environment env{io.get_executor()};
  AsyncLock locks{env, {.timeout = 1h, .heldWarning = 1h}};
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

void acquireUncontended(benchmark::State& state) {
  Fixture f;
  const std::string key = "session:42";
  measure(state, f.io, [&]() -> Task { const AsyncLock::Guard guard = co_await f.locks.acquire(key); });
}

void acquireUncontendedLongKey(benchmark::State& state) {
  Fixture f;
  const std::string key(64, 'k');
  measure(state, f.io, [&]() -> Task { const AsyncLock::Guard guard = co_await f.locks.acquire(key); });
}

void acquireAmongManyHeld(benchmark::State& state) {
  Fixture f;
  std::vector<AsyncLock::Guard> held;
  for (int i = 0; i < 100'000; ++i) held.push_back(*f.locks.tryAcquire("session:" + std::to_string(i)));
  const std::string key = "another";
  measure(state, f.io, [&]() -> Task { const AsyncLock::Guard guard = co_await f.locks.acquire(key); });
  held.clear();
}

void tryAcquireUncontended(benchmark::State& state) {
  Fixture f;
  const std::string key = "session:42";
  for (auto _ : state) benchmark::DoNotOptimize(f.locks.tryAcquire(key));
  state.SetItemsProcessed(state.iterations());
  f.io.run();
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

void acquireThreeKeys(benchmark::State& state) {
  Fixture f;
  const lukhas::NameList keys{"c", "a", "b"};
  measure(state, f.io, [&]() -> Task { const auto all = co_await f.locks.acquireMultiple(keys); });
}

// `state.range(0)` coroutines queue for one key; each release hands it to the next.
void handover(benchmark::State& state) {
  Fixture f;
  const std::string key = "session:42";
  const auto queue = [&](bool& stop) -> Task {
    while (!stop) const AsyncLock::Guard guard = co_await f.locks.acquire(key);
  };
  const auto leader = [&](bool& stop) -> Task {
    for (auto _ : state) const AsyncLock::Guard guard = co_await f.locks.acquire(key);
    stop = true;
  };
  bool stop = false;
  auto first = f.locks.tryAcquire(key);
  runOn(f.io, leader(stop));
  for (std::int64_t i = 1; i < state.range(0); ++i) runOn(f.io, queue(stop));
  f.io.poll();
  first.reset();
  f.io.run();
  state.SetItemsProcessed(state.iterations() * state.range(0));  // a round of all of them
}

void peerAwaitedTrivialCoroutine(benchmark::State& state) {
  asio::io_context io{1};
  measure(state, io, []() -> Task { co_return; });
}

void peerPostThereAndBack(benchmark::State& state) {
  asio::io_context io{1};
  measure(state, io, []() -> Task { co_await asio::post(asio::use_awaitable); });
}

void peerMutex(benchmark::State& state) {
  asio::io_context io{1};
  std::mutex mutex;
  measure(state, io, [&]() -> Task {
    const std::lock_guard guard(mutex);
    co_return;
  });
}

void peerStrand(benchmark::State& state) {
  asio::io_context io{1};
  const auto strand = asio::make_strand(io);
  measure(state, io, [&]() -> Task {
    co_await asio::post(asio::bind_executor(strand, asio::use_awaitable));  // in
    co_await asio::post(asio::use_awaitable);                               // and out again
  });
}

void peerChannelUncontended(benchmark::State& state) {
  asio::io_context io{1};
  asio::experimental::channel<void(std::error_code, int)> token(io, 1);
  token.try_send(std::error_code(), 0);
  measure(state, io, [&]() -> Task {
    (void)co_await token.async_receive(asio::use_awaitable);
    token.try_send(std::error_code(), 0);
  });
}

BENCHMARK(acquireUncontended);
BENCHMARK(acquireUncontendedLongKey);
BENCHMARK(acquireAmongManyHeld);
BENCHMARK(tryAcquireUncontended);
BENCHMARK(acquireAndHoldOverAPost);
BENCHMARK(acquireThreeKeys);
BENCHMARK(handover)->Arg(2)->Arg(100)->Arg(10'000);
BENCHMARK(peerAwaitedTrivialCoroutine);
BENCHMARK(peerPostThereAndBack);
BENCHMARK(peerMutex);
BENCHMARK(peerStrand);
BENCHMARK(peerChannelUncontended);

}  // namespace
