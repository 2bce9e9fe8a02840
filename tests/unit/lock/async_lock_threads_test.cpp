// Four threads run one context: what a lock protects needs no other protection.
#include "lukhas/lock/async_lock.hpp"

#include <array>
#include <atomic>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include "lukhas/async/child_task.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncLock;

namespace {

using Task = asio::awaitable<void>;

constexpr int rounds = 200;
constexpr std::size_t keyCount = 3;

void runWithFourThreads(asio::io_context& io) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&io] { io.run(); });
  for (std::thread& thread : threads) thread.join();
}

struct Shared {
  asio::io_context io;
  lukhas::Environment env{io.get_executor()};
  AsyncLock locks{env};
  std::array<int, keyCount> counters{};  // plain: a race on them is what the test looks for

  // Spawned on a strand, as cancellation wants it.
  void spawn(Task task) {
    asio::co_spawn(asio::make_strand(io), std::move(task), [](std::exception_ptr error) {
      if (error) std::rethrow_exception(error);
    });
  }
  static std::string keyOf(std::size_t index) { return "key " + std::to_string(index); }

  Task increment(std::size_t index) {
    for (int i = 0; i < rounds; ++i) {
      const std::string key = keyOf(index);
      const AsyncLock::Guard guard = co_await locks.acquire(key, {.timeout = 1h});
      ++counters[index];
      if (i % 8 == 0) co_await asio::post(asio::use_awaitable);
    }
  }
  Task incrementAll() {
    const lukhas::NameList keys{keyOf(2), keyOf(0), keyOf(1)};
    for (int i = 0; i < rounds / 4; ++i) {
      const AsyncLock::MultiGuard all = co_await locks.acquireMultiple(keys, {.timeout = 1h});
      for (int& counter : counters) ++counter;
    }
  }
  // Waits that end early, by time-out or by cancellation, among those that do not.
  Task giveUp(int& granted) {
    const std::string key = keyOf(0);
    for (int i = 0; i < rounds / 4; ++i) {
      lukhas::ChildTask<AsyncLock::Guard> attempt(env, locks.acquire(key, {.timeout = 50us}));
      try {
        const std::optional<AsyncLock::Guard> guard = co_await attempt.joinUntil(env.after(i % 2 * 50us));
        if (guard) ++granted;
      } catch (const lukhas::Error& error) {
        if (error.code() != lukhas::LockErrc::timeout) throw;
      }
    }
  }
};

// Readers and writers of one number, which must never change while somebody reads it.
struct Page {
  explicit Page(Shared& with) : shared(with) {}

  Task write() {
    for (int i = 0; i < rounds; ++i) {
      AsyncLock::Guard guard = co_await shared.locks.acquire("page", {.timeout = 1h});
      ++value;
      if (i % 4 == 0 && guard.downgrade()) co_await look();
    }
  }
  Task read() {
    for (int i = 0; i < rounds; ++i) {
      const AsyncLock::Guard guard = co_await shared.locks.acquireShared("page", {.timeout = 1h});
      co_await look();
    }
  }
  Task look() {
    const int before = value;
    co_await asio::post(asio::use_awaitable);
    if (value != before) changedWhileRead = true;
  }

  Shared& shared;
  int value = 0;
  std::atomic<bool> changedWhileRead = false;
};

// Tasks that take two keys in either order: each wait that would never end is refused, and tried again.
Task takeBoth(Shared& shared, std::string first, std::string second, std::atomic<int>& done) {
  const lukhas::LockScope scope{first + " before " + second};
  for (int i = 0; i < rounds / 4;) {
    const AsyncLock::Guard one = co_await shared.locks.acquire(first, {.timeout = 1h, .scope = &scope});
    try {
      const AsyncLock::Guard two = co_await shared.locks.acquire(second, {.timeout = 1h, .scope = &scope});
      ++i;
      ++done;
    } catch (const lukhas::Error& error) {
      if (error.code() != lukhas::LockErrc::deadlock_detected) throw;
    }
  }
}

}  // namespace

TEST_CASE("in many threads nothing changes while somebody reads it", "[lock]") {
  Shared shared;
  Page page(shared);
  for (int worker = 0; worker < 3; ++worker) shared.spawn(page.write());
  for (int worker = 0; worker < 6; ++worker) shared.spawn(page.read());
  runWithFourThreads(shared.io);
  CHECK(page.value == 3 * rounds);
  CHECK_FALSE(page.changedWhileRead);
  CHECK(shared.locks.getMetrics().activeLocks == 0);
  CHECK(shared.locks.getMetrics().totalAcquired == 9U * rounds);
  CHECK(shared.locks.checkInvariants());
}

TEST_CASE("tasks in many threads that would wait in a circle are refused and all come to their end",
          "[lock]") {
  Shared shared;
  std::atomic<int> done = 0;
  for (const auto& [first, second] : {std::pair("a", "b"), std::pair("b", "c"), std::pair("c", "a")}) {
    for (int worker = 0; worker < 2; ++worker) shared.spawn(takeBoth(shared, first, second, done));
  }
  runWithFourThreads(shared.io);
  CHECK(done == 6 * (rounds / 4));
  CHECK(shared.locks.getMetrics().totalTimeouts == 0);
  CHECK(shared.locks.getMetrics().activeLocks == 0);
  CHECK(shared.locks.checkInvariants());
}

TEST_CASE("threads that share a lock never hold it at once", "[lock]") {
  Shared shared;
  for (std::size_t worker = 0; worker < 12; ++worker) shared.spawn(shared.increment(worker % keyCount));
  for (int worker = 0; worker < 4; ++worker) shared.spawn(shared.incrementAll());
  runWithFourThreads(shared.io);
  for (const int counter : shared.counters) CHECK(counter == 4 * rounds + 4 * (rounds / 4));
  CHECK(shared.locks.getMetrics().activeLocks == 0);
  CHECK(shared.locks.checkInvariants());
}

TEST_CASE("time-outs and cancellations in many threads leave nothing behind", "[lock]") {
  Shared shared;
  std::array<int, 3> granted{};
  for (int worker = 0; worker < 4; ++worker) shared.spawn(shared.increment(0));
  for (int& count : granted) shared.spawn(shared.giveUp(count));
  runWithFourThreads(shared.io);
  CHECK(shared.counters[0] == 4 * rounds);
  CHECK(shared.locks.getMetrics().activeLocks == 0);
  CHECK(shared.locks.getMetrics().waiting == 0);
  CHECK(shared.locks.checkInvariants());
}

TEST_CASE("a lock may be forced free and destroyed while threads use its guards", "[lock]") {
  asio::io_context io;
  const lukhas::Environment env{io.get_executor()};
  auto locks = std::make_unique<AsyncLock>(env);
  std::vector<AsyncLock::Guard> guards;
  for (int i = 0; i < 400; ++i) guards.push_back(*locks->tryAcquire("key " + std::to_string(i)));
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&guards, t] {
      for (std::size_t i = t; i < guards.size(); i += 4) {
        (void)guards[i].valid();
        guards[i].release();
      }
    });
  }
  for (int i = 0; i < 200; ++i) locks->forceRelease("key " + std::to_string(i * 2));
  locks.reset();
  for (std::thread& thread : threads) thread.join();
  for (const AsyncLock::Guard& guard : guards) REQUIRE_FALSE(guard.valid());
}
