#include "lukhas/store/async_memory_store.hpp"

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/split_mix.hpp"
#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::ChildTask;
using lukhas::Environment;
using lukhas::Simulation;
using lukhas::StoreErrc;
using lukhas::detail::StoreAccess;

namespace {

std::uint64_t runs(std::uint64_t usual) { return std::getenv("LUKHAS_DEEP") ? usual * 20 : usual; }

// Coroutines that ask for few keys, with loaders that fail and callers that are cancelled, while others set
// and remove the same keys. Each value is a number that grows with every source of it, so that one can say
// when it was made.
struct Loading {
  explicit Loading(std::uint64_t seed)
      : world({.seed = seed}),
        chance(seed),
        store(std::make_unique<AsyncMemoryStore>(world.environment(),
                                                 lukhas::AsyncMemoryStoreOptions{.maxBytes = 64 << 10})) {}

  std::size_t below(std::size_t end) { return chance.below(end); }
  lukhas::Duration moment(int most) {
    return std::chrono::milliseconds(below(static_cast<std::size_t>(most)));
  }

  // `asked`: when its caller did. A loader begins a step later than the question, so that a change in between
  // has overtaken it already.
  asio::awaitable<int> load(std::size_t key, int asked) {
    const Environment env = world.environment();
    if (lastChange[key] > asked) ++overtaken[key];
    const int stamp = ++clock;
    ++loading[key];
    // One load at a time for each key, but for those that were overtaken by a change.
    if (loading[key] > 1 + overtaken[key]) ++tooMany;
    struct Done {
      Loading& test;
      std::size_t key;
      ~Done() { --test.loading[key]; }
    } done{*this, key};
    co_await env.sleepFor(moment(20));
    if (below(4) == 0) throw std::runtime_error("load");
    co_return stamp;
  }

  asio::awaitable<void> ask(std::size_t key) {
    const int changed = lastChange[key];
    const int asked = ++clock;
    auto loader = [this, key, asked]() -> asio::awaitable<int> { return load(key, asked); };
    const int value = co_await store->getOrCompute<int>("k" + std::to_string(key), loader, 30ms);
    if (value < changed) ++stale;  // older than a change that was over before the question
    ++answered;
  }

  asio::awaitable<void> caller() {
    for (int i = 0; i < 12; ++i) {
      const Environment env = world.environment();
      co_await env.sleepFor(moment(10));
      const std::size_t key = below(keys);
      ChildTask<void> asking(env, ask(key));
      try {
        if (below(4) == 0) {
          (void)co_await asking.joinUntil(env.after(moment(15)));  // then cancelled by leaving
        } else {
          co_await asking.join();
        }
      } catch (const std::runtime_error&) {
        ++failed;
      }
    }
  }

  asio::awaitable<void> changer() {
    for (int i = 0; i < 20; ++i) {
      co_await world.environment().sleepFor(moment(12));
      const std::size_t key = below(keys);
      const std::string name = "k" + std::to_string(key);
      overtaken[key] = loading[key];
      lastChange[key] = ++clock;
      if (below(2) == 0) {
        store->trySet(name, clock, 30ms);
      } else {
        store->tryRemove(name);
      }
    }
  }

  void spawnAll() {
    for (int i = 0; i < 6; ++i) world.spawn(caller());
    world.spawn(changer());
  }

  static constexpr std::size_t keys = 3;
  Simulation world;
  lukhas::SplitMix chance;
  std::unique_ptr<AsyncMemoryStore> store;
  int clock = 0;
  std::vector<int> loading = std::vector<int>(keys);
  std::vector<int> overtaken = std::vector<int>(keys);
  std::vector<int> lastChange = std::vector<int>(keys);
  int answered = 0;
  int failed = 0;
  int stale = 0;
  int tooMany = 0;
};

}  // namespace

TEST_CASE("loads that fail or are cancelled or overtaken leave nobody behind", "[store]") {
  int answered = 0;
  int failed = 0;
  for (std::uint64_t seed = 1; seed <= runs(300); ++seed) {
    INFO("seed " << seed);
    Loading test(seed);
    test.spawnAll();
    test.world.run();
    CHECK(test.stale == 0);
    CHECK(test.tooMany == 0);
    CHECK(StoreAccess::checkInvariants(*test.store));
    CHECK(StoreAccess::loads(*test.store) == 0);
    for (const int stillLoading : test.loading) CHECK(stillLoading == 0);
    answered += test.answered;
    failed += test.failed;
  }
  CHECK(answered > 1000);
  CHECK(failed > 100);
}

TEST_CASE("equal seeds give equal runs of the store", "[store]") {
  const auto fingerprint = [](std::uint64_t seed) {
    Loading test(seed);
    test.spawnAll();
    test.world.run();
    return test.world.fingerprint();
  };
  CHECK(fingerprint(7) == fingerprint(7));
  CHECK(fingerprint(7) != fingerprint(8));
}

TEST_CASE("the store can be destroyed at any step of its loads", "[store]") {
  for (std::uint64_t steps = 1; steps < runs(300); steps += 3) {
    INFO("steps " << steps);
    Loading test(steps);
    int closed = 0;
    const auto tolerant = [&]() -> asio::awaitable<void> {
      for (int i = 0; i < 3; ++i) {
        try {
          if (test.store) co_await test.ask(0);
        } catch (const lukhas::Error& error) {
          closed += error.code() == StoreErrc::closed ? 1 : 0;
        } catch (const std::runtime_error&) {
          ++test.failed;
        }
      }
    };
    for (int i = 0; i < 6; ++i) test.world.spawn(tolerant());
    test.world.runSteps(steps % 30);
    test.store.reset();
    test.world.run();
    for (const int stillLoading : test.loading) CHECK(stillLoading == 0);
  }
}

TEST_CASE("a crash at any step of the loads leaks and breaks nothing", "[store]") {
  for (std::uint64_t steps = 1; steps < runs(400); ++steps) {
    Loading test(steps % 5);
    test.store->start();
    test.spawnAll();
    test.world.runSteps(steps);
    if (steps % 2 == 0) test.store.reset();  // before the crash; else after it
    test.world.crash();
    for (const int stillLoading : test.loading) CHECK(stillLoading == 0);
    if (test.store) CHECK(StoreAccess::loads(*test.store) == 0);
  }
}

TEST_CASE("concurrent updates lose no increment", "[store]") {
  for (std::uint64_t seed = 1; seed <= runs(100); ++seed) {
    INFO("seed " << seed);
    Simulation world({.seed = seed});
    AsyncMemoryStore store(world.environment());
    store.trySet("k", 0);
    int conflicts = 0;
    const auto add = [&](int times) -> asio::awaitable<void> {
      for (int i = 0; i < times; ++i) {
        int calls = 0;
        auto change = [&](int& value) {
          // Every third change meets another writer in the middle, as if in another thread.
          if (++calls == 1 && i % 3 == 0) {
            const auto now = store.tryGet<int>("k").value();
            store.trySet("k", now + 1000);
            ++conflicts;
          }
          ++value;
        };
        (void)co_await store.update<int>("k", change);
        co_await world.environment().sleepFor(1ms);
      }
    };
    for (int i = 0; i < 5; ++i) world.spawn(add(12));
    world.run();
    CHECK(store.tryGet<int>("k") == 60 + 1000 * conflicts);
    CHECK(conflicts == 20);
  }
}

TEST_CASE("of many who compare and set one wins each version", "[store]") {
  for (std::uint64_t seed = 1; seed <= runs(50); ++seed) {
    Simulation world({.seed = seed});
    AsyncMemoryStore store(world.environment());
    store.trySet("k", 0);
    int won = 0;
    const auto compete = [&]() -> asio::awaitable<void> {
      for (int i = 0; i < 20; ++i) {
        const lukhas::Version version = store.info("k")->version;
        const int value = store.tryGet<int>("k").value();
        co_await world.environment().sleepFor(1ms);
        const bool set = co_await store.compareAndSet("k", version, value + 1);
        if (set) ++won;
      }
    };
    for (int i = 0; i < 4; ++i) world.spawn(compete());
    world.run();
    CHECK(store.tryGet<int>("k") == won);
    CHECK(won >= 20);
    CHECK(won < 80);
  }
}
