#include "lukhas/lock/async_lock.hpp"

#include <cstdlib>
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using lukhas::LockErrc;

namespace {

using Task = asio::awaitable<void>;

std::uint64_t seeds(std::uint64_t ordinary) {
  return std::getenv("LUKHAS_DEEP") != nullptr ? ordinary * 50 : ordinary;
}

// Workers that take one or several of a few keys, with random holds, time-outs and cancellations, and notice
// when another worker holds what they hold.
class Crowd {
 public:
  Crowd(lukhas::Simulation& world, std::uint64_t seed)
      : world_(world),
        env_(world.environment()),
        chance_(seed),
        locks_(std::in_place, env_, lukhas::AsyncLockOptions{.heldWarning = 50ms}) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      asio::co_spawn(env_.executor(), work(i),
                     asio::bind_cancellation_slot(workers_[i].signal.slot(), [](std::exception_ptr) {}));
    }
    world_.spawn(disturb());
  }

  [[nodiscard]] bool mutualExclusion() const { return exclusive_; }
  [[nodiscard]] std::size_t ended() const { return ended_; }
  [[nodiscard]] std::size_t refused() const { return refused_; }
  [[nodiscard]] std::size_t begun() const { return begun_; }
  [[nodiscard]] AsyncLock& locks() { return *locks_; }
  void destroyLocks() { locks_.reset(); }
  static constexpr std::size_t size = 8;

 private:
  struct Worker {
    asio::cancellation_signal signal;
    int rounds = 12;
  };

  static std::string keyOf(std::uint64_t number) { return "key " + std::to_string(number); }
  lukhas::Duration some(std::uint64_t maxMs) {
    return std::chrono::microseconds(chance_.below(maxMs * 1000));
  }

  [[nodiscard]] bool holds(const std::string& key, lukhas::FencingToken token) const {
    const std::vector<lukhas::LockHolder> holders = locks_->holders(key);
    return std::any_of(holders.begin(), holders.end(),
                       [token](const lukhas::LockHolder& holder) { return holder.token == token; });
  }
  // With the key held: nobody else who came in and has not left holds it, unless both are shared.
  void enter(std::string_view name, lukhas::FencingToken token, bool shared = false) {
    const std::string key(name);
    if (!holds(key, token)) return;  // forced free while the grant was under way
    for (const auto& [other, otherShared] : inside_[key]) {
      if (holds(key, other) && !(shared && otherShared)) exclusive_ = false;
    }
    inside_[key][token] = shared;
  }
  void leave(std::string_view key, lukhas::FencingToken token) { inside_[std::string(key)].erase(token); }
  void enter(const AsyncLock::Guard& guard, bool shared = false) {
    enter(guard.key(), guard.token(), shared);
  }
  void leave(const AsyncLock::Guard& guard) { leave(guard.key(), guard.token()); }

  Task one(lukhas::AcquireOptions options) {
    AsyncLock::Guard guard = co_await locks_->acquire(keyOf(chance_.below(4)), options);
    enter(guard);
    const Exit exit{[&] { leave(guard); }};
    co_await env_.sleepFor(some(20));
    if (!chance_.chance(300) || !guard.downgrade()) co_return;
    leave(guard);
    enter(guard, true);
    co_await env_.sleepFor(some(20));
  }
  Task reading(lukhas::AcquireOptions options) {
    const AsyncLock::Guard guard = co_await locks_->acquireShared(keyOf(chance_.below(4)), options);
    enter(guard, true);
    const Exit exit{[&] { leave(guard); }};
    co_await env_.sleepFor(some(20));
  }
  Task several(lukhas::AcquireOptions options) {
    std::vector<std::string> keys;
    for (std::uint64_t i = 0; i < 3; ++i) keys.push_back(keyOf(chance_.below(4)));
    const AsyncLock::MultiGuard all = co_await locks_->acquireMultiple(keys, options);
    for (std::size_t i = 0; i < all.size(); ++i) enter(all.key(i), all.token(i));
    const Exit exit{[&] {
      for (std::size_t i = 0; i < all.size(); ++i) leave(all.key(i), all.token(i));
    }};
    co_await env_.sleepFor(some(20));
  }
  // One after the other in any order: such tasks would wait in circles.
  Task twoOfATask(lukhas::AcquireOptions options) {
    const lukhas::LockScope scope{"task"};
    options.scope = &scope;
    const AsyncLock::Guard first = co_await locks_->acquire(keyOf(chance_.below(4)), options);
    co_await env_.sleepFor(some(5));
    const AsyncLock::Guard second = co_await locks_->acquire(keyOf(chance_.below(4)), options);
    enter(first);
    enter(second);
    const Exit exit{[&] {
      leave(first);
      leave(second);
    }};
    co_await env_.sleepFor(some(20));
  }
  Task visit(lukhas::AcquireOptions options) {
    switch (chance_.below(4)) {
      case 0: return one(options);
      case 1: return reading(options);
      case 2: return twoOfATask(options);
      default: return several(options);
    }
  }
  Task work(std::size_t index) {
    ++begun_;
    const Count count{ended_};
    (void)co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    while (workers_[index].rounds-- > 0) {
      const lukhas::AcquireOptions options{.timeout = some(40), .label = "worker"};
      try {
        co_await visit(options);
      } catch (const lukhas::Error& error) {
        if (error.code() == LockErrc::deadlock_detected) {
          ++refused_;
        } else if (error.code() != LockErrc::timeout) {
          throw;
        }
      }
      if (chance_.chance(200)) (void)locks_->tryAcquire(keyOf(chance_.below(4)));
    }
  }
  // Cancels workers and forces locks free.
  Task disturb() {
    for (int i = 0; i < 6; ++i) {
      co_await env_.sleepFor(some(30));
      if (chance_.chance(300)) workers_[chance_.below(size)].signal.emit(asio::cancellation_type::terminal);
      if (chance_.chance(500)) locks_->forceRelease(keyOf(chance_.below(4)));
    }
  }

  template <class F>
  struct Exit {
    F leave;
    ~Exit() { leave(); }
  };
  template <class F>
  Exit(F) -> Exit<F>;
  struct Count {
    std::size_t& ended;
    ~Count() { ++ended; }
  };

  lukhas::Simulation& world_;
  lukhas::Environment env_;
  lukhas::SplitMix chance_;
  std::map<std::string, std::map<lukhas::FencingToken, bool>> inside_;  // and whether it is shared
  std::vector<Worker> workers_ = std::vector<Worker>(size);
  std::size_t begun_ = 0;
  std::size_t ended_ = 0;
  bool exclusive_ = true;
  std::size_t refused_ = 0;
  std::optional<AsyncLock> locks_;
};

}  // namespace

TEST_CASE("a crowd with time-outs and cancellations never shares a lock and leaves none behind", "[lock]") {
  std::size_t refused = 0;
  for (std::uint64_t seed = 1; seed <= seeds(300); ++seed) {
    INFO("seed " << seed);
    lukhas::Simulation world{{.seed = seed}};
    Crowd crowd(world, seed);
    while (world.runSteps(7)) REQUIRE(crowd.locks().checkInvariants());
    REQUIRE(crowd.mutualExclusion());
    REQUIRE(crowd.ended() == Crowd::size);
    const lukhas::LockMetrics metrics = crowd.locks().getMetrics();
    REQUIRE(metrics.activeLocks == 0);
    REQUIRE(metrics.waiting == 0);
    REQUIRE(metrics.circlesRefused == crowd.refused());
    refused += crowd.refused();
  }
  CHECK(refused > 0);
}

TEST_CASE("workers that want several keys never wait for each other in a circle", "[lock]") {
  for (std::uint64_t seed = 1; seed <= seeds(100); ++seed) {
    INFO("seed " << seed);
    lukhas::Simulation world{{.seed = seed}};
    const lukhas::Environment env = world.environment();
    lukhas::SplitMix chance(seed);
    AsyncLock locks(env, {.timeout = 1h});
    const auto worker = [&]() -> Task {
      for (int round = 0; round < 10; ++round) {
        std::vector<std::string> keys;
        for (std::uint64_t i = chance.below(4); i < 4; ++i) keys.push_back(std::to_string(chance.below(5)));
        const AsyncLock::MultiGuard all = co_await locks.acquireMultiple(keys);
        co_await env.sleepFor(std::chrono::milliseconds(chance.below(3)));
      }
    };
    for (int i = 0; i < 6; ++i) world.spawn(worker());
    world.run();
    REQUIRE(locks.getMetrics().totalTimeouts == 0);
    REQUIRE(world.elapsed() <= 6 * 10 * 2ms);
  }
}

TEST_CASE("equal seeds give equal runs of a crowd", "[lock]") {
  const auto fingerprintOf = [](std::uint64_t seed) {
    lukhas::Simulation world{{.seed = seed}};
    const Crowd crowd(world, seed);
    world.run();
    return world.fingerprint();
  };
  for (std::uint64_t seed = 1; seed <= 20; ++seed) REQUIRE(fingerprintOf(seed) == fingerprintOf(seed));
}

TEST_CASE("after a crash at any step every frame is gone and the next life begins free", "[lock]") {
  for (std::uint64_t seed = 11; seed <= 10 + seeds(3); ++seed) {
    bool goesOn = true;
    for (std::uint64_t steps = 1; goesOn; ++steps) {
      INFO("seed " << seed << ", crash after " << steps << " steps");
      lukhas::Simulation world{{.seed = seed}};
      auto crowd = std::make_unique<Crowd>(world, seed);
      goesOn = world.runSteps(steps);
      world.crash();
      REQUIRE(crowd->locks().checkInvariants());
      crowd->destroyLocks();
      REQUIRE(crowd->ended() == crowd->begun());
    }
  }
}

TEST_CASE("destroying the lock at any step ends every coroutine", "[lock]") {
  bool goesOn = true;
  for (std::uint64_t steps = 1; goesOn; steps += 3) {
    INFO("destroyed after " << steps << " steps");
    lukhas::Simulation world{{.seed = 12}};
    const lukhas::Environment env = world.environment();
    auto locks = std::make_unique<AsyncLock>(env);
    int begun = 0;
    int ended = 0;
    const auto worker = [&](std::vector<std::string> keys) -> Task {
      ++begun;
      try {
        for (int round = 0; round < 5; ++round) {
          if (!locks) throw lukhas::Error(LockErrc::lock_closed, "gone");
          const AsyncLock::MultiGuard all = co_await locks->acquireMultiple(keys);
          co_await env.sleepFor(1ms);
        }
      } catch (const lukhas::Error& error) {
        REQUIRE(error.code() == LockErrc::lock_closed);
      }
      ++ended;
    };
    for (int i = 0; i < 6; ++i) world.spawn(worker({"a", "b", "c"}));
    goesOn = world.runSteps(steps);
    locks.reset();
    world.run();
    REQUIRE(begun == 6);
    REQUIRE(ended == 6);
  }
}
