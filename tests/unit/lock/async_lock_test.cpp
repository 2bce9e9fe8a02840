#include "lukhas/lock/async_lock.hpp"

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using lukhas::LockErrc;

namespace {

using Task = asio::awaitable<void>;

struct Fixture {
  lukhas::Simulation world{{.seed = 3}};
  lukhas::Environment env = world.environment();
  AsyncLock locks{env};

  template <class Body>
  void run(Body body) {
    world.spawn(body());
    world.run();
    CHECK(locks.checkInvariants());
  }
  // Takes the key, notes its name, holds for a moment.
  Task visitor(std::string name, std::string key, std::vector<std::string>& order) {
    const AsyncLock::Guard guard = co_await locks.acquire(key);
    order.push_back(name);
    co_await env.sleepFor(1ms);
  }
};

template <class T>
Task errorOf(asio::awaitable<T> call, std::optional<lukhas::Error>& error) {
  try {
    (void)co_await std::move(call);
  } catch (const lukhas::Error& thrown) {
    error = thrown;
  }
}

// What a call throws itself, before it is awaited.
template <class Call>
std::optional<lukhas::Error> refusalOf(Call call) {
  try {
    call();
  } catch (const lukhas::Error& error) {
    return error;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("a free key is granted without suspending", "[lock]") {
  Fixture f;
  bool other = false;
  f.run([&]() -> Task {
    f.env.post([&] { other = true; });
    const AsyncLock::Guard guard = co_await f.locks.acquire("a");
    CHECK(guard.valid());
    CHECK(guard.key() == "a");
    CHECK_FALSE(other);
  });
}

TEST_CASE("the end of the scope releases the lock", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    { const AsyncLock::Guard guard = co_await f.locks.acquire("a"); }
    CHECK(f.locks.tryAcquire("a").has_value());
  });
}

TEST_CASE("different keys do not wait for each other", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    const AsyncLock::Guard a = co_await f.locks.acquire("a");
    const AsyncLock::Guard b = co_await f.locks.acquire("b");
    CHECK(a.valid());
    CHECK(b.valid());
    CHECK(f.locks.getMetrics().activeLocks == 2);
  });
}

TEST_CASE("waiters are served in the order in which they came", "[lock]") {
  Fixture f;
  std::vector<std::string> order;
  f.run([&]() -> Task {
    AsyncLock::Guard held = co_await f.locks.acquire("a");
    for (const char* name : {"one", "two", "three"}) {
      f.world.spawn(f.visitor(name, "a", order));
      co_await f.env.sleepFor(1ms);
    }
    CHECK(f.locks.waiters("a") == 3);
  });
  CHECK(order == std::vector<std::string>{"one", "two", "three"});
}

TEST_CASE("nobody takes a released lock before the first waiter", "[lock]") {
  Fixture f;
  std::vector<std::string> order;
  f.run([&]() -> Task {
    AsyncLock::Guard held = co_await f.locks.acquire("a");
    f.world.spawn(f.visitor("waiter", "a", order));
    co_await f.env.sleepFor(1ms);
    held.release();
    CHECK(f.locks.waiters("a") == 0);
    CHECK_FALSE(f.locks.tryAcquire("a").has_value());
    CHECK(order.empty());  // posted, not resumed inside the release
    co_await f.visitor("releaser", "a", order);
  });
  CHECK(order == std::vector<std::string>{"waiter", "releaser"});
}

TEST_CASE("a lock that is asked for again by its holder waits for itself", "[lock]") {
  Fixture f;
  std::optional<lukhas::Error> error;
  f.run([&]() -> Task {
    const AsyncLock::Guard guard = co_await f.locks.acquire("a");
    co_await errorOf(f.locks.acquire("a"), error);
  });
  REQUIRE(error);
  CHECK(error->code() == LockErrc::timeout);
  CHECK(f.world.elapsed() == 5s);
}

TEST_CASE("a plain function runs inside the lock and gives its result", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    const int answer = co_await f.locks.acquire("a", [&] {
      CHECK_FALSE(f.locks.tryAcquire("a").has_value());
      return 42;
    });
    CHECK(answer == 42);
    CHECK(f.locks.tryAcquire("a").has_value());
  });
}

TEST_CASE("a coroutine runs inside the lock to its end and gives its result", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    const auto work = [&, text = std::string("a text too long to lie inside the string object")]()
        -> asio::awaitable<std::string> {
      co_await f.env.sleepFor(1s);
      CHECK_FALSE(f.locks.tryAcquire("a").has_value());
      co_return text;
    };
    const std::string result = co_await f.locks.acquire("a", {.timeout = 1s}, work);
    CHECK(result == "a text too long to lie inside the string object");
    co_await f.locks.acquire("a", []() -> Task { co_return; });
    CHECK(f.locks.getMetrics().activeLocks == 0);
  });
}

TEST_CASE("what the function throws comes out and the lock is free", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    bool thrown = false;
    try {
      co_await f.locks.acquire("a", []() -> Task {
        throw std::runtime_error("no");
        co_return;
      });
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    CHECK(thrown);
    CHECK(f.locks.tryAcquire("a").has_value());
  });
}

TEST_CASE("a function that returns a reference gives a copy", "[lock]") {
  Fixture f;
  std::string kept = "kept";
  const auto look = [&]() -> const std::string& { return kept; };
  f.run([&]() -> Task {
    auto call = f.locks.acquire("a", look);
    static_assert(std::is_same_v<decltype(call), asio::awaitable<std::string>>);
    const std::string copy = co_await std::move(call);
    CHECK(copy == "kept");
  });
}

TEST_CASE("tokens increase over all keys and over each way to be granted", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    AsyncLock::Guard first = co_await f.locks.acquire("a");
    const auto second = f.locks.tryAcquire("b");
    REQUIRE(second.has_value());
    CHECK(second->token() > first.token());
    const AsyncLock::MultiGuard several = co_await f.locks.acquireMultiple({"d", "c"});
    CHECK(several.token(0) > second->token());
    CHECK(several.token(1) > several.token(0));
    first.release();
    const AsyncLock::Guard again = co_await f.locks.acquire("a");
    CHECK(again.token() > several.token(1));
  });
}

TEST_CASE("an empty key is refused", "[lock]") {
  Fixture f;
  const auto error = refusalOf([&] { (void)f.locks.acquire(""); });
  REQUIRE(error);
  CHECK(error->code() == LockErrc::empty_key);
  CHECK_THROWS_AS((void)f.locks.acquireShared(""), lukhas::Error);
  CHECK_THROWS_AS((void)f.locks.tryAcquire(""), lukhas::Error);
}

TEST_CASE("a key of 256 bytes is taken and one byte more is refused", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    const std::string longest(256, 'k');
    const AsyncLock::Guard guard = co_await f.locks.acquire(longest);
    CHECK(guard.valid());
  });
  const auto error = refusalOf([&] { (void)f.locks.acquire(std::string(257, 'k')); });
  REQUIRE(error);
  CHECK(error->code() == LockErrc::key_too_long);
  CHECK(error->details()["size"] == 257);
  CHECK(error->details()["maximum"] == 256);
}

TEST_CASE("a time-out of a call out of its range is refused", "[lock]") {
  Fixture f;
  std::optional<lukhas::Error> error;
  f.run([&]() -> Task { co_await errorOf(f.locks.acquire("a", {.timeout = -1s}), error); });
  REQUIRE(error);
  CHECK(error->code() == lukhas::Errc::invalid_option);
  CHECK_THROWS_AS(AsyncLock(f.env, {.timeout = -1s}), lukhas::Error);
}

TEST_CASE("several keys are taken once each in sorted order", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    AsyncLock::MultiGuard several = co_await f.locks.acquireMultiple({"b", "a", "b", "c"});
    REQUIRE(several.size() == 3);
    CHECK(several.key(0) == "a");
    CHECK(several.key(1) == "b");
    CHECK(several.key(2) == "c");
    CHECK(several.valid());
    several.release();
    CHECK(f.locks.getMetrics().activeLocks == 0);
  });
}

TEST_CASE("no keys are granted at once", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    const lukhas::NameList none;
    const AsyncLock::MultiGuard nothing = co_await f.locks.acquireMultiple(none);
    CHECK(nothing.size() == 0);
    CHECK(nothing.valid());
  });
}

TEST_CASE("a function runs while several keys are held", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    const auto count = [&] { return f.locks.getMetrics().activeLocks; };
    const auto both = co_await f.locks.acquireMultiple({"a", "b"}, count);
    CHECK(both == 2);
    const auto one = co_await f.locks.acquireMultiple({"a"}, {.timeout = 1s}, count);
    CHECK(one == 1);
    CHECK(count() == 0);
  });
}

TEST_CASE("of several keys one that is not allowed lets none be taken", "[lock]") {
  Fixture f;
  const auto error = refusalOf([&] { (void)f.locks.acquireMultiple({"b", ""}); });
  REQUIRE(error);
  CHECK(error->code() == LockErrc::empty_key);
  CHECK(f.locks.getMetrics().totalAcquired == 0);
}

TEST_CASE("coroutines that want the same keys in any order all get them", "[lock]") {
  Fixture f;
  int done = 0;
  const auto worker = [&](std::vector<std::string> keys) -> Task {
    for (int round = 0; round < 10; ++round) {
      const AsyncLock::MultiGuard all = co_await f.locks.acquireMultiple(keys);
      co_await f.env.sleepFor(1ms);
    }
    ++done;
  };
  f.world.spawn(worker({"a", "b", "c"}));
  f.world.spawn(worker({"c", "b", "a"}));
  f.world.spawn(worker({"b", "c", "a"}));
  f.world.run();
  CHECK(done == 3);
  CHECK(f.world.elapsed() == 30ms);
}

TEST_CASE("a lock forced free makes the old guard stale", "[lock]") {
  Fixture f;
  f.run([&]() -> Task {
    AsyncLock::Guard old = co_await f.locks.acquire("a");
    CHECK(f.locks.forceRelease("a"));
    CHECK_FALSE(f.locks.forceRelease("a"));
    CHECK_FALSE(old.valid());
    const AsyncLock::Guard young = co_await f.locks.acquire("a");
    old.release();
    CHECK(young.valid());
    CHECK(young.token() > old.token());
  });
}

TEST_CASE("a lock forced free passes to the first waiter", "[lock]") {
  Fixture f;
  std::vector<std::string> order;
  f.run([&]() -> Task {
    const AsyncLock::Guard old = co_await f.locks.acquire("a");
    f.world.spawn(f.visitor("waiter", "a", order));
    co_await f.env.sleepFor(1ms);
    CHECK(f.locks.forceRelease("a"));
    CHECK_FALSE(old.valid());
    co_await f.env.sleepFor(500us);
    CHECK(order == std::vector<std::string>{"waiter"});
  });
}

TEST_CASE("a call that is made and never awaited takes nothing", "[lock]") {
  Fixture f;
  { auto call = f.locks.acquire("a"); }
  CHECK(f.locks.getMetrics().totalAcquired == 0);
}

TEST_CASE("a holder named by a temporary text is remembered", "[lock]") {
  Fixture f;
  std::optional<lukhas::Error> error;
  f.run([&]() -> Task {
    auto call = [&] {
      const std::string name = "a name that does not fit into the string object";
      return f.locks.acquire("a", {.label = name});
    }();
    const AsyncLock::Guard guard = co_await std::move(call);
    co_await errorOf(f.locks.acquire("a", {.timeout = 1s}), error);
  });
  REQUIRE(error);
  CHECK(error->details()["holder"] == "a name that does not fit into the string object");
}
