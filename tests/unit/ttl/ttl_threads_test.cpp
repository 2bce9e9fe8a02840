#include <atomic>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include "lukhas/ttl/ttl_enforcement_engine.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::EntryExpired;
using lukhas::TTLEnforcementEngine;

namespace {

constexpr int keysOfThread = 400;

// Uses everything that may be called from any thread. The keys of different threads are different ones.
void useAll(TTLEnforcementEngine& engine, int thread) {
  for (int i = 0; i < keysOfThread; ++i) {
    const std::string key = std::to_string(thread) + ":" + std::to_string(i);
    engine.registerEntry(key, 1ms);
    (void)engine.isValid(key);
    engine.refresh(key);
    engine.extend(key, 1ms);
    if (i % 50 == 0) (void)engine.getExpiringSoon(1s);
    if (i % 50 == 0) (void)engine.healthCheck();
    if (i % 50 == 0) engine.stop();
    (void)engine.getMetrics();
    engine.start();
  }
}

asio::awaitable<void> sweepAgain(TTLEnforcementEngine& engine, const std::atomic<bool>& done) {
  while (!done) {
    (void)co_await engine.sweep();
    co_await asio::post(asio::use_awaitable);
  }
}

}  // namespace

TEST_CASE("any thread may call and each entry is still reported once", "[ttl]") {
  asio::io_context io;
  TTLEnforcementEngine engine(lukhas::Environment(io.get_executor()), {.minTtl = 1ms,
                                                                       .sweepInterval = 10ms,
                                                                       .maxEntriesPerSlice = 5,
                                                                       .gracePeriod = 1ms,
                                                                       .expiringSoonWindow = 1ms});
  std::atomic<std::size_t> reports = 0;
  const auto counting = engine.onExpired.connect([&](const EntryExpired&) { ++reports; });
  engine.start();

  std::atomic<bool> done = false;
  std::vector<std::thread> threads;
  {
    const auto work = asio::make_work_guard(io);
    for (int i = 0; i < 2; ++i) asio::co_spawn(io, sweepAgain(engine, done), asio::detached);
    for (int i = 0; i < 2; ++i) threads.emplace_back([&] { io.run(); });
    std::thread first([&] { useAll(engine, 1); });
    useAll(engine, 2);
    first.join();
    done = true;
  }
  for (std::thread& thread : threads) thread.join();  // until the last entry has expired
  CHECK(reports == 2 * keysOfThread);
  CHECK(engine.getMetrics().activeEntries == 0);
  CHECK(engine.checkInvariants());
}
