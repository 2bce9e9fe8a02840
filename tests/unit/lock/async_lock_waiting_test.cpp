// Time-outs, cancellation, destruction: every way in which a wait ends without a lock.
#include "lukhas/lock/async_lock.hpp"

#include <optional>
#include <string>
#include <vector>

#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "unit/lock/lock_attempt.hpp"

namespace async_lock_waiting_test {

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using lukhas::LockErrc;

namespace {

using Task = asio::awaitable<void>;

using Attempt = lukhas::test::LockAttempt;
using Fixture = lukhas::test::LockWorld;

}  // namespace

TEST_CASE("a wait ends with timeout exactly when its time is over", "[lock]") {
  Fixture f;
  const auto held = f.locks->tryAcquire("a");
  Attempt late;
  f.start(late, "a", {.timeout = 2s});
  f.world.runFor(2s - 1ns);
  CHECK(late.waits());
  f.world.runFor(1ns);
  REQUIRE(late.error);
  CHECK(late.error->code() == LockErrc::timeout);
  CHECK(f.locks->waiters("a") == 0);
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("the default time-out is that of the options", "[lock]") {
  Fixture f({.timeout = 300ms});
  const auto held = f.locks->tryAcquire("a");
  Attempt late;
  f.start(late, "a");
  f.world.runFor(299ms);
  CHECK(late.waits());
  f.world.runFor(1ms);
  CHECK(late.error);
}

TEST_CASE("the error of a time-out tells what was in the way", "[lock]") {
  Fixture f;
  const auto held = f.locks->tryAcquire("a", {.label = "importer"});
  f.world.runFor(1s);
  Attempt first;
  Attempt second;
  f.start(first, "a", {.timeout = 2s});
  f.start(second, "a", {.timeout = 4s});
  f.world.runFor(2s);
  REQUIRE(first.error);
  const nlohmann::json details = first.error->details();
  CHECK(details["key"] == "a");
  CHECK(details["timeoutMs"] == 2000);
  CHECK(details["holder"] == "importer");
  CHECK(details["heldMs"] == 3000);
  CHECK(details["otherWaiters"] == 1);
  CHECK(std::string(first.error->what()) ==
        "lock \"a\" was not free within 2000 ms: it is held for 3000 ms by \"importer\", and 1 others wait");
}

TEST_CASE("a key that is not text can still stand in an error", "[lock]") {
  Fixture f;
  const std::string key = "\xFF\n";
  const auto held = f.locks->tryAcquire(key);
  Attempt late;
  f.start(late, key, {.timeout = 0s});
  REQUIRE(late.error);
  CHECK(late.error->details()["key"] == "\xEF\xBF\xBD\n");
  CHECK_NOTHROW(late.error->details().dump());
}

TEST_CASE("with a time-out of zero a lock that is not free is refused at once", "[lock]") {
  Fixture f({.timeout = 0s});
  auto held = f.locks->tryAcquire("a");
  Attempt refused;
  f.start(refused, "a");
  REQUIRE(refused.error);
  CHECK(refused.error->code() == LockErrc::timeout);
  CHECK(f.locks->getMetrics().totalTimeouts == 1);
  held.reset();
  Attempt granted;
  f.start(granted, "a");
  CHECK(granted.guard);
}

TEST_CASE("a timed-out waiter does not stand in the way of the next", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  Attempt impatient;
  Attempt patient;
  f.start(impatient, "a", {.timeout = 1s});
  f.start(patient, "a", {.timeout = 3s});
  f.world.runFor(2s);
  held.reset();
  f.world.runFor(0s);
  CHECK(impatient.error);
  CHECK(patient.guard);
}

TEST_CASE("very many time-outs at once all come at their time", "[lock]") {
  Fixture f;
  const auto held = f.locks->tryAcquire("a");
  std::vector<Attempt> attempts(1000);
  for (Attempt& attempt : attempts) f.start(attempt, "a", {.timeout = 1s});
  f.world.runFor(1s);
  for (const Attempt& attempt : attempts) REQUIRE(attempt.error);
  CHECK(f.locks->getMetrics().totalTimeouts == 1000);
}

TEST_CASE("several keys share one deadline and a time-out gives all back", "[lock]") {
  Fixture f;
  auto a = f.locks->tryAcquire("a");
  auto c = f.locks->tryAcquire("c");
  std::optional<lukhas::Error> error;
  const auto body = [&]() -> Task {
    try {
      (void)co_await f.locks->acquireMultiple({"c", "b", "a"}, {.timeout = 3s});
    } catch (const lukhas::Error& thrown) {
      error = thrown;
    }
  };
  f.world.spawn(body());
  f.world.runFor(2s);
  a.reset();
  f.world.runFor(0s);
  CHECK(f.locks->getMetrics().activeLocks == 3);
  f.world.runFor(1s);
  REQUIRE(error);
  CHECK(error->details()["key"] == "c");
  CHECK(f.locks->getMetrics().activeLocks == 1);
}

TEST_CASE("a cancelled waiter leaves no trace", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  Attempt first;
  Attempt second;
  f.start(first, "a");
  f.start(second, "a");
  first.cancel();
  f.world.runFor(0s);
  CHECK(first.cancelled());
  CHECK(f.locks->waiters("a") == 1);
  held.reset();
  f.world.runFor(0s);
  CHECK(second.guard);
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("a grant that a cancellation follows is delivered", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  Attempt attempt;
  f.start(attempt, "a");
  held.reset();
  attempt.cancel();
  f.world.runFor(0s);
  REQUIRE(attempt.guard);
  CHECK(attempt.guard->valid());
}

TEST_CASE("a release that follows a cancellation passes the cancelled by", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  Attempt cancelled;
  Attempt next;
  f.start(cancelled, "a");
  f.start(next, "a");
  cancelled.cancel();
  held.reset();
  f.world.runFor(0s);
  CHECK(cancelled.cancelled());
  CHECK(next.guard);
}

TEST_CASE("a waiter that lost against another operation leaves no trace", "[lock]") {
  using namespace asio::experimental::awaitable_operators;
  Fixture f;
  const auto held = f.locks->tryAcquire("a");
  const auto body = [&]() -> Task {
    const auto result = co_await (f.locks->acquire("a") || f.env.sleepFor(1s));
    CHECK(result.index() == 1);
  };
  f.world.spawn(body());
  f.world.runFor(2s);
  CHECK(f.locks->waiters("a") == 0);
}

TEST_CASE("cancelling a wait for several keys gives all back", "[lock]") {
  using namespace asio::experimental::awaitable_operators;
  Fixture f;
  const auto held = f.locks->tryAcquire("b");
  const auto body = [&]() -> Task {
    const auto result = co_await (f.locks->acquireMultiple({"a", "b"}) || f.env.sleepFor(1s));
    CHECK(result.index() == 1);
  };
  f.world.spawn(body());
  f.world.runFor(2s);
  CHECK(f.locks->getMetrics().activeLocks == 1);
}

TEST_CASE("destroying the lock completes its waiters and makes its guards stale", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  Attempt one;
  Attempt two;
  f.start(one, "a");
  f.start(two, "a");
  f.locks.reset();
  CHECK_FALSE(held->valid());
  held->release();
  CHECK(one.waits());  // posted
  f.world.run();
  REQUIRE(one.error);
  REQUIRE(two.error);
  CHECK(one.error->code() == LockErrc::lock_closed);
  CHECK(f.world.elapsed() == 0s);
}

TEST_CASE("a grant on its way when the lock is destroyed arrives stale", "[lock]") {
  Fixture f;
  auto held = f.locks->tryAcquire("a");
  Attempt attempt;
  f.start(attempt, "a");
  held.reset();
  f.locks.reset();
  f.world.run();
  REQUIRE(attempt.guard);
  CHECK_FALSE(attempt.guard->valid());
}

TEST_CASE("a call that begins after the lock is gone is told so", "[lock]") {
  Fixture f;
  Attempt attempt;
  auto call = f.locks->acquire("a");
  f.locks.reset();
  f.world.spawn(attempt.run(std::move(call)));
  f.world.run();
  REQUIRE(attempt.error);
  CHECK(attempt.error->code() == LockErrc::lock_closed);
}

TEST_CASE("a granted coroutine that is destroyed before it resumes gives the lock back", "[lock]") {
  asio::io_context outer;
  AsyncLock locks{lukhas::Environment{outer.get_executor()}};
  auto held = locks.tryAcquire("a");
  {
    asio::io_context inner;
    const auto body = [&]() -> Task { (void)co_await locks.acquire("a"); };
    asio::co_spawn(inner, body(), asio::detached);
    inner.poll();
    CHECK(locks.waiters("a") == 1);
    held.reset();
    CHECK(locks.getMetrics().activeLocks == 1);
  }
  CHECK(locks.getMetrics().activeLocks == 0);
}

TEST_CASE("a stopped context with waiters can be destroyed", "[lock]") {
  asio::io_context io;
  AsyncLock locks{lukhas::Environment{io.get_executor()}};
  const auto body = [&]() -> Task {
    const AsyncLock::Guard guard = co_await locks.acquire("a");
    const AsyncLock::Guard never = co_await locks.acquire("a");
  };
  asio::co_spawn(io, body(), asio::detached);
  io.poll();
  CHECK(locks.waiters("a") == 1);
}

TEST_CASE("one request more than may wait is refused", "[lock]") {
  Fixture f({.maxWaiters = 2});
  auto held = f.locks->tryAcquire("a");
  const auto other = f.locks->tryAcquire("b");
  Attempt attempts[3];
  f.start(attempts[0], "a");
  f.start(attempts[1], "b");
  f.start(attempts[2], "a");
  CHECK(attempts[0].waits());
  CHECK(attempts[1].waits());
  REQUIRE(attempts[2].error);
  CHECK(attempts[2].error->code() == LockErrc::overloaded);
  CHECK(attempts[2].error->details()["maximum"] == 2);
  held.reset();
  Attempt later;
  f.start(later, "a");
  CHECK(later.waits());
}

TEST_CASE("a guard may outlive the strand and the context of its lock", "[lock]") {
  std::optional<AsyncLock::Guard> guard;
  {
    asio::io_context io;
    const asio::any_io_executor strand = asio::make_strand(io);
    AsyncLock locks{lukhas::Environment{strand}};
    guard = locks.tryAcquire("a");
    REQUIRE(guard->valid());
  }
  CHECK_FALSE(guard->valid());
  CHECK(guard->key() == "a");
  guard.reset();
}

}  // namespace async_lock_waiting_test
