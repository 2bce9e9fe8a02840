// Real threads: what the thread sanitizer looks at.
#include "lukhas/store/async_memory_store.hpp"

#include <atomic>
#include <memory_resource>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <asio/io_context.hpp>

#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::Environment;

namespace {

constexpr int threadCount = 4;

void runThreads(asio::io_context& io) {
  std::vector<std::thread> threads;
  for (int i = 0; i < threadCount; ++i) threads.emplace_back([&io] { io.run(); });
  for (std::thread& thread : threads) thread.join();
}

template <class Body>
void spawn(asio::io_context& io, std::atomic<int>& failures, Body& body, int number) {
  asio::co_spawn(io, body(number), [&failures](std::exception_ptr error) {
    if (error) ++failures;
  });
}

// What is asked for and not given back.
class CountedMemory final : public std::pmr::memory_resource {
 public:
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t) override {
    bytes_ += bytes;
    return ::operator new(bytes);
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t) override {
    bytes_ -= bytes;
    ::operator delete(block);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::atomic<std::size_t> bytes_ = 0;
};

std::string keyOf(int number) { return "k" + std::to_string(number % 17); }

}  // namespace

TEST_CASE("threads that write and read and evict each other see whole values", "[store]") {
  asio::io_context io;
  AsyncMemoryStore store(Environment(io.get_executor()), {.maxBytes = 64 << 10, .sweepInterval = 1ms});
  std::atomic<int> torn = 0;
  std::atomic<int> working = 8;
  std::atomic<int> evicted = 0;
  std::atomic<int> failures = 0;
  const auto watching = store.onEvicted.connect([&](const lukhas::EntryEvicted&) { ++evicted; });
  store.start();
  auto work = [&](int number) -> asio::awaitable<void> {
    for (int i = 0; i < 300; ++i) {
      const std::string key = keyOf(number + i);
      const std::string value(static_cast<std::size_t>(2000 + 60 * (i % 100)),
                              static_cast<char>('a' + i % 26));
      co_await store.set(key, value, i % 5 == 0 ? 1ms : 1min);
      const std::optional<std::string> read = co_await store.get<std::string>(keyOf(i));
      if (read && read->find_first_not_of((*read)[0]) != std::string::npos) ++torn;
      if (i % 50 == 0) (void)store.keys("k");
      if (i % 60 == 0) (void)store.healthCheck();
      if (i % 7 == 0) store.tryRemove(keyOf(i * 3));
      const std::string next = keyOf(number + i + 1);
      const std::vector<std::optional<std::string>> both = co_await store.batchGet<std::string>({next, key});
      if (both.size() != 2) ++torn;
    }
    --working;
  };
  for (int i = 0; i < 8; ++i) spawn(io, failures, work, i);
  std::thread restarting([&] {
    while (working > 0 && failures == 0) {
      store.stop();
      store.start();
      std::this_thread::yield();
    }
    store.stop();
  });
  runThreads(io);
  restarting.join();
  CHECK(torn == 0);
  CHECK(failures == 0);
  CHECK(evicted > 200);
  CHECK(store.getMetrics().corruptions == 0);
  CHECK(lukhas::detail::StoreAccess::checkInvariants(store));
}

TEST_CASE("updates from several threads lose no increment", "[store]") {
  asio::io_context io;
  AsyncMemoryStore store(Environment(io.get_executor()));
  store.trySet("k", 0);
  std::atomic<int> failures = 0;
  auto add = [&](int) -> asio::awaitable<void> {
    for (int i = 0; i < 200; ++i) (void)co_await store.update<int>("k", [](int& value) { ++value; });
  };
  for (int i = 0; i < 8; ++i) spawn(io, failures, add, i);
  runThreads(io);
  CHECK(failures == 0);
  CHECK(store.tryGet<int>("k") == 1600);
}

TEST_CASE("one loader at a time runs in several threads", "[store]") {
  asio::io_context io;
  const Environment env(io.get_executor());
  AsyncMemoryStore store(env);
  std::atomic<int> loading = 0;
  std::atomic<int> together = 0;
  std::atomic<int> answered = 0;
  std::atomic<int> failures = 0;
  auto ask = [&](int number) -> asio::awaitable<void> {
    for (int i = 0; i < 100; ++i) {
      const std::string key = "k" + std::to_string(i / 5);
      auto load = [&]() -> asio::awaitable<int> {
        if (++loading > 20) ++together;  // more than there are keys at once
        co_await env.sleepFor(50us);
        --loading;
        if ((number + i) % 3 == 0) throw std::runtime_error("load");
        co_return i / 5;
      };
      try {
        const int value = co_await store.getOrCompute<int>(key, load);
        if (value == i / 5) ++answered;
      } catch (const std::runtime_error&) {
        ++answered;
      }
    }
  };
  for (int i = 0; i < 8; ++i) spawn(io, failures, ask, i);
  runThreads(io);
  CHECK(failures == 0);
  CHECK(together == 0);
  CHECK(answered == 800);
  CHECK(lukhas::detail::StoreAccess::loads(store) == 0);
}

TEST_CASE("mixes of reads and writes from four threads leave exact accounts and no memory", "[store]") {
  const auto calls = static_cast<int>(test::runs(20'000, 1'000'000));
  for (const std::size_t shards : {1U, 4U}) {
    for (const int writesInTen : {1, 5}) {
      CountedMemory memory;
      {
        asio::io_context io;
        AsyncMemoryStore store(Environment(io.get_executor()),
                               {.maxBytes = 1 << 20, .shards = shards, .memory = &memory});
        std::atomic<std::uint64_t> found = 0;
        std::atomic<std::uint64_t> missed = 0;
        std::atomic<int> wrong = 0;
        std::vector<std::thread> threads;
        for (int thread = 0; thread < threadCount; ++thread) {
          threads.emplace_back([&, thread] {
            lukhas::SplitMix chance(static_cast<std::uint64_t>(thread));
            for (int i = 0; i < calls; ++i) {
              const std::uint64_t number = chance.below(6000);
              const std::string key = "session:" + std::to_string(number);
              if (chance.below(10) < static_cast<std::uint64_t>(writesInTen)) {
                store.trySet(key, std::string(number % 300, static_cast<char>('a' + number % 26)));
              } else if (const std::optional<std::string> read = store.tryGet<std::string>(key)) {
                ++found;
                if (*read != std::string(number % 300, static_cast<char>('a' + number % 26))) ++wrong;
              } else {
                ++missed;
              }
            }
          });
        }
        for (std::thread& thread : threads) thread.join();
        CHECK(wrong == 0);
        CHECK(lukhas::detail::StoreAccess::checkInvariants(store));
        const auto metrics = store.getMetrics();
        CHECK(metrics.hits == found);
        CHECK(metrics.misses == missed);
        CHECK(metrics.entryCount == store.keys().size());
        CHECK(metrics.totalSize <= 1 << 20);
        CHECK(memory.bytes() <= metrics.totalSize);
        store.tryClear();
        CHECK(store.getMetrics().totalSize == 0);
        CHECK(memory.bytes() == 0);
      }
      CHECK(memory.bytes() == 0);
    }
  }
}
