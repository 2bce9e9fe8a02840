#include "lukhas/lock/lock_scope.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lukhas/lock/async_lock.hpp"
#include "support/catch.hpp"
#include "unit/lock/lock_attempt.hpp"

namespace lock_scope_test {

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using lukhas::LockErrc;
using lukhas::LockScope;
using Attempt = lukhas::test::LockAttempt;
using Fixture = lukhas::test::LockWorld;

namespace {

bool isDeadlock(const Attempt& attempt) {
  return attempt.error && attempt.error->code() == LockErrc::deadlock_detected;
}

// "task waits for key of holder", for each member of the circle that the error lists.
std::vector<std::string> circleOf(const Attempt& attempt) {
  std::vector<std::string> steps;
  for (const auto& step : attempt.error->details().at("cycle")) {
    steps.push_back(step.at("task").get<std::string>() + " waits for " + step.at("key").get<std::string>() +
                    " of " + step.at("holder").get<std::string>());
  }
  return steps;
}

}  // namespace

TEST_CASE("a copy of a scope stands for the same task and a scope is never without one", "[lock]") {
  LockScope scope{"task"};
  const LockScope copy = scope;
  const LockScope moved = std::move(scope);
  CHECK(copy.identity() == moved.identity());
  CHECK(scope.label() == "task");
  CHECK(LockScope{"task"}.identity() != copy.identity());
}

TEST_CASE("a circle of three tasks over three keys is refused at once and named", "[lock]") {
  Fixture f;
  const std::vector<LockScope> tasks{LockScope{"one"}, LockScope{"two"}, LockScope{"three"}};
  const std::vector<std::string> keys{"a", "b", "c"};
  std::vector<Attempt> first(3), second(3);
  for (std::size_t i = 0; i < 3; ++i) f.start(first[i], keys[i], {.scope = &tasks[i]});
  for (std::size_t i = 0; i < 2; ++i) f.start(second[i], keys[i + 1], {.scope = &tasks[i]});
  CHECK(second[0].waits());
  CHECK(second[1].waits());

  f.start(second[2], keys[0], {.scope = &tasks[2]});
  CHECK(f.world.elapsed() == 0s);
  REQUIRE(isDeadlock(second[2]));
  CHECK(circleOf(second[2]) == std::vector<std::string>{"three waits for a of one", "one waits for b of two",
                                                        "two waits for c of three"});
  CHECK(second[2].error->what() ==
        std::string(
            "waiting for lock \"a\" would never end: \"three\" waits for \"a\" of \"one\", \"one\" waits "
            "for \"b\" of \"two\", \"two\" waits for \"c\" of \"three\""));
  CHECK(f.locks->waiters("a") == 0);
  CHECK(f.locks->getMetrics().circlesRefused == 1);
  CHECK(f.locks->getMetrics().deadlocksDetected == 1);
  CHECK(f.locks->checkInvariants());

  first[2].guard.reset();  // the refused one gives back what it has: the others go on
  f.settle();
  CHECK(second[1].guard);
}

TEST_CASE("asking again for a key of the same scope is the smallest circle", "[lock]") {
  Fixture f;
  const LockScope scope{"task"};
  Attempt first, again;
  f.start(first, "a", {.scope = &scope});
  f.start(again, "a", {.scope = &scope});
  REQUIRE(isDeadlock(again));
  CHECK(circleOf(again) == std::vector<std::string>{"task waits for a of task"});
  CHECK(first.guard->valid());
}

TEST_CASE("a call that is not to wait is told of a circle rather than of its time", "[lock]") {
  Fixture f;
  const LockScope one{"one"};
  const LockScope two{"two"};
  Attempt firstOfOne, firstOfTwo, secondOfTwo, own, closing, plain;
  f.start(firstOfOne, "a", {.scope = &one});
  f.start(firstOfTwo, "b", {.scope = &two});
  f.start(secondOfTwo, "a", {.scope = &two});

  f.start(own, "a", {.timeout = 0s, .scope = &one});
  CHECK(isDeadlock(own));
  f.start(closing, "b", {.timeout = 0s, .scope = &one});
  REQUIRE(isDeadlock(closing));
  CHECK(circleOf(closing) == std::vector<std::string>{"one waits for b of two", "two waits for a of one"});
  const LockScope three{"three"};
  f.start(plain, "b", {.timeout = 0s, .scope = &three});
  REQUIRE(plain.error);
  CHECK(plain.error->code() == LockErrc::timeout);

  CHECK(f.locks->waiters("b") == 0);
  CHECK(f.locks->getMetrics().circlesRefused == 2);
  CHECK(f.locks->getMetrics().totalTimeouts == 1);
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("a scope that waits for a key already is not let wait for it twice", "[lock]") {
  Fixture f;
  const LockScope scope{"task"};
  const auto held = f.locks->tryAcquire("a");
  Attempt first, again;
  f.start(first, "a", {.scope = &scope});
  f.start(again, "a", {.scope = &scope});
  CHECK(first.waits());
  CHECK(isDeadlock(again));
}

TEST_CASE("two shared holds of one scope are no circle unless a writer stands between", "[lock]") {
  Fixture f;
  const LockScope scope{"reader"};
  Attempt first, second, writer, third;
  f.startShared(first, "a", {.scope = &scope});
  f.startShared(second, "a", {.scope = &scope});
  CHECK(second.guard);
  f.start(writer, "a", {.label = "writer"});
  f.startShared(third, "a", {.scope = &scope});
  REQUIRE(isDeadlock(third));
  CHECK(circleOf(third) ==
        std::vector<std::string>{"reader waits for a of writer", "writer waits for a of reader"});
}

TEST_CASE("a circle through the order of the queue is found", "[lock]") {
  // late waits behind writer, though it could stand beside early, for whom it holds the other key.
  Fixture f;
  const LockScope early{"early"}, writing{"writing"}, late{"late"};
  Attempt earlyA, lateB, writerA, lateA, earlyB;
  f.startShared(earlyA, "a", {.scope = &early});
  f.start(lateB, "b", {.scope = &late});
  f.start(writerA, "a", {.scope = &writing});
  f.startShared(lateA, "a", {.scope = &late});
  CHECK(lateA.waits());
  f.start(earlyB, "b", {.scope = &early});
  REQUIRE(isDeadlock(earlyB));
  CHECK(circleOf(earlyB).size() == 3);
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("tasks that wait in a row are no circle", "[lock]") {
  Fixture f;
  std::vector<std::unique_ptr<Attempt>> attempts;
  std::vector<std::unique_ptr<LockScope>> scopes;
  for (int i = 0; i < 50; ++i) {
    scopes.push_back(std::make_unique<LockScope>(std::to_string(i)));
    for (const int key : {i, i + 1}) {
      attempts.push_back(std::make_unique<Attempt>());
      f.start(*attempts.back(), std::to_string(key), {.scope = scopes.back().get()});
    }
  }
  CHECK(f.locks->getMetrics().circlesRefused == 0);
  f.locks->forceRelease("0");
  while (f.locks->getMetrics().waiting > 0) {
    for (const auto& attempt : attempts) attempt->guard.reset();
    f.settle();
  }
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("what a scope gave back or gave up is no part of a circle", "[lock]") {
  Fixture f;
  const LockScope one{"one"}, two{"two"};
  Attempt oneA, twoB, oneB, twoA;
  f.start(oneA, "a", {.scope = &one});
  f.start(twoB, "b", {.scope = &two});
  f.start(oneB, "b", {.timeout = 1s, .scope = &one});

  SECTION("it timed out") { f.world.runFor(1s); }
  SECTION("it was cancelled") {
    oneB.cancel();
    f.settle();
  }
  SECTION("its hold was forced free") { f.locks->forceRelease("b"); }
  f.start(twoA, "a", {.scope = &two});
  CHECK(twoA.waits());
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("a scope may end before its locks", "[lock]") {
  Fixture f;
  Attempt one, two;
  {
    const LockScope scope{"gone"};
    f.start(one, "a", {.scope = &scope});
    f.start(two, "b", {.scope = &scope});
  }
  CHECK(f.locks->holders("a").at(0).label == "gone");
  one.guard.reset();
  two.guard.reset();
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("each lock object sees its own circles only", "[lock]") {
  Fixture f;
  AsyncLock other{f.env};
  const LockScope one{"one"}, two{"two"};
  Attempt oneA, twoB, oneB, twoA;
  f.start(oneA, "a", {.scope = &one});
  f.begin(twoB, other.acquire("b", {.scope = &two}));
  f.begin(oneB, other.acquire("b", {.timeout = 1s, .scope = &one}));
  f.start(twoA, "a", {.timeout = 1s, .scope = &two});
  CHECK(oneB.waits());
  CHECK(twoA.waits());
  f.world.run();
  CHECK(oneB.error->code() == LockErrc::timeout);
}

TEST_CASE("several keys of one scope that close a circle are refused and given back", "[lock]") {
  Fixture f;
  const LockScope one{"one"}, two{"two"};
  Attempt oneB, twoA, oneA;
  f.start(oneB, "b", {.scope = &one});
  std::optional<lukhas::Error> refused;
  const auto several = [&]() -> asio::awaitable<void> {
    try {
      const auto all = co_await f.locks->acquireMultiple({"a", "b"}, {.scope = &two});
    } catch (const lukhas::Error& error) {
      refused = error;
    }
  };
  f.world.spawn(several());
  f.settle();
  CHECK_FALSE(refused);  // it holds "a" and waits for "b"
  f.start(oneA, "a", {.scope = &one});
  CHECK(isDeadlock(oneA));
  oneB.guard.reset();
  f.world.run();
  CHECK_FALSE(refused);
  CHECK(f.locks->getMetrics().activeLocks == 0);
}

TEST_CASE("a cancellation after a refusal harms nobody who waits", "[lock]") {
  const bool overloaded = GENERATE(false, true);
  for (std::uint64_t steps = 1; steps <= 4; ++steps) {  // what it takes; more would let time pass
    INFO("cancelled after " << steps << " steps");
    Fixture f({.timeout = 1h, .maxWaiters = overloaded ? 1U : 10U});
    const LockScope scope{"task"};
    Attempt first, innocent, refused;
    f.start(first, "a", {.scope = &scope});
    f.start(innocent, "a");
    asio::co_spawn(f.env.executor(), refused.run(f.locks->acquire("a", {.scope = &scope})),
                   asio::bind_cancellation_slot(refused.signal.slot(), [](std::exception_ptr) {}));
    (void)f.world.runSteps(steps);
    refused.cancel();
    f.settle();
    CHECK(refused.error);
    CHECK(f.locks->waiters("a") == 1);
    CHECK(f.locks->checkInvariants());
    first.guard.reset();
    f.settle();
    CHECK(innocent.guard);
  }
}

}  // namespace lock_scope_test
