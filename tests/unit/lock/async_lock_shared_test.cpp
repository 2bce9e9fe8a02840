// Shared holds beside each other, behind and before exclusive ones, and the way from one to the other.
#include "lukhas/lock/async_lock.hpp"

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/lock/lock_attempt.hpp"

namespace async_lock_shared_test {

using namespace std::chrono_literals;
using lukhas::AsyncLock;
using lukhas::LockMode;
using Attempt = lukhas::test::LockAttempt;
using Fixture = lukhas::test::LockWorld;

TEST_CASE("shared holds stand beside each other and keep an exclusive one out", "[lock]") {
  Fixture f;
  auto one = f.locks->tryAcquireShared("page");
  auto two = f.locks->tryAcquireShared("page");
  REQUIRE(one);
  REQUIRE(two);
  CHECK(one->token() < two->token());
  CHECK_FALSE(f.locks->tryAcquire("page"));
  CHECK(f.locks->getMetrics().activeLocks == 1);
  CHECK(f.locks->getMetrics().totalAcquired == 2);

  one.reset();
  CHECK(two->valid());
  CHECK_FALSE(f.locks->tryAcquire("page"));
  CHECK(f.locks->checkInvariants());
  two.reset();
  CHECK(f.locks->tryAcquire("page"));
}

TEST_CASE("an exclusive hold keeps shared ones out", "[lock]") {
  Fixture f;
  const auto writer = f.locks->tryAcquire("page");
  CHECK_FALSE(f.locks->tryAcquireShared("page"));
  Attempt reader;
  f.startShared(reader, "page", {.timeout = 1s});
  f.world.run();
  REQUIRE(reader.error);
  CHECK(reader.error->code() == lukhas::LockErrc::timeout);
}

TEST_CASE("a waiting writer stops later readers, and readers next to each other come together", "[lock]") {
  Fixture f;
  auto reading = f.locks->tryAcquireShared("page");
  Attempt writer, early, late, lastWriter;
  f.start(writer, "page");
  f.startShared(early, "page");
  f.startShared(late, "page");
  f.start(lastWriter, "page");
  CHECK_FALSE(f.locks->tryAcquireShared("page"));
  CHECK(f.locks->waiters("page") == 4);

  reading.reset();
  f.settle();
  CHECK(writer.guard);
  CHECK(early.waits());

  writer.guard.reset();
  f.settle();
  CHECK(early.guard);
  CHECK(late.guard);
  CHECK(lastWriter.waits());
  CHECK(early.guard->token() < late.guard->token());

  early.guard.reset();
  f.settle();
  CHECK(lastWriter.waits());
  late.guard.reset();
  f.settle();
  CHECK(lastWriter.guard);
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("a writer that gives up lets the readers behind it in", "[lock]") {
  const bool byTimeout = GENERATE(true, false);
  Fixture f;
  const auto reading = f.locks->tryAcquireShared("page");
  Attempt writer, reader, secondWriter;
  f.start(writer, "page", {.timeout = 1s});
  f.startShared(reader, "page", {.timeout = 1h});
  f.start(secondWriter, "page", {.timeout = 1h});
  if (byTimeout) {
    f.world.runFor(1s);
  } else {
    writer.cancel();
    f.settle();
  }
  CHECK(writer.error);
  CHECK(reader.guard);
  CHECK(secondWriter.waits());
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("a downgrade lets readers in and keeps the token", "[lock]") {
  Fixture f;
  auto writing = f.locks->tryAcquire("page");
  const lukhas::FencingToken token = writing->token();
  Attempt reader, writer, lateReader;
  f.startShared(reader, "page");
  f.start(writer, "page");
  f.startShared(lateReader, "page");

  CHECK(writing->downgrade());
  f.settle();
  CHECK(writing->valid());
  CHECK(writing->token() == token);
  CHECK(reader.guard);
  CHECK(writer.waits());
  CHECK(lateReader.waits());
  CHECK(writing->downgrade());  // a shared hold stays one
  CHECK(f.locks->checkInvariants());

  writing.reset();
  reader.guard.reset();
  f.settle();
  CHECK(writer.guard);
}

TEST_CASE("the first of several readers may leave first, last or in between", "[lock]") {
  for (const auto& order : {std::array{0, 1, 2}, std::array{2, 1, 0}, std::array{1, 0, 2}}) {
    Fixture f;
    std::vector<std::optional<AsyncLock::Guard>> readers(3);
    for (auto& reader : readers) reader = f.locks->tryAcquireShared("page");
    Attempt writer;
    f.start(writer, "page");
    for (const int which : order) {
      CHECK(writer.waits());
      readers[static_cast<std::size_t>(which)].reset();
      f.settle();
      CHECK(f.locks->checkInvariants());
    }
    CHECK(writer.guard);
    CHECK(writer.guard->key() == "page");
  }
}

TEST_CASE("forcing a shared key free makes all its guards stale", "[lock]") {
  Fixture f;
  const auto one = f.locks->tryAcquireShared("page");
  const auto two = f.locks->tryAcquireShared("page");
  Attempt writer;
  f.start(writer, "page");
  CHECK(f.locks->forceRelease("page"));
  f.settle();
  CHECK_FALSE(one->valid());
  CHECK_FALSE(two->valid());
  CHECK(writer.guard);
  CHECK(f.locks->checkInvariants());
}

TEST_CASE("holders are told with label, mode, token and time", "[lock]") {
  Fixture f;
  CHECK(f.locks->holders("page").empty());
  const lukhas::LockScope scope{"report"};
  const auto one = f.locks->tryAcquireShared("page", {.label = "indexer"});
  f.world.runFor(3s);
  const auto two = f.locks->tryAcquireShared("page", {.scope = &scope});
  f.world.runFor(2s);

  const std::vector<lukhas::LockHolder> holders = f.locks->holders("page");
  REQUIRE(holders.size() == 2);
  CHECK(holders[0].label == "indexer");
  CHECK(holders[0].mode == LockMode::shared);
  CHECK(holders[0].token == one->token());
  CHECK(holders[0].held == 5s);
  CHECK(holders[1].label == "report");
  CHECK(holders[1].held == 2s);
}

TEST_CASE("holders are told in the order of their grants, whoever of them goes", "[lock]") {
  Fixture f;
  std::vector<std::optional<AsyncLock::Guard>> readers;
  for (const char* label : {"one", "two", "three", "four"}) {
    readers.push_back(f.locks->tryAcquireShared("page", {.label = label}));
  }
  const auto labels = [&] {
    std::vector<std::string> all;
    for (const lukhas::LockHolder& holder : f.locks->holders("page")) all.push_back(holder.label);
    return all;
  };
  CHECK(labels() == std::vector<std::string>{"one", "two", "three", "four"});
  readers[2].reset();
  CHECK(labels() == std::vector<std::string>{"one", "two", "four"});
  readers[0].reset();
  CHECK(labels() == std::vector<std::string>{"two", "four"});
}

TEST_CASE("a function runs beside other readers", "[lock]") {
  Fixture f;
  const auto reading = f.locks->tryAcquireShared("page");
  int result = 0;
  const auto body = [&]() -> asio::awaitable<void> {
    const auto read = [&] { return f.locks->holders("page").size() == 2 ? 42 : 0; };
    result = co_await f.locks->acquireShared("page", read);
  };
  f.world.spawn(body());
  f.world.run();
  CHECK(result == 42);
  CHECK(f.locks->holders("page").size() == 1);
}

TEST_CASE("each shared hold that lasts too long is reported", "[lock]") {
  Fixture f({.heldWarning = 10s});
  std::vector<std::string> late;
  const lukhas::Subscription watching = f.locks->onDeadlock.connect(
      [&](const lukhas::DeadlockWarning& warning) { late.push_back(warning.holder); });
  const auto one = f.locks->tryAcquireShared("page", {.label = "one"});
  f.world.runFor(1s);
  const auto two = f.locks->tryAcquireShared("page", {.label = "two"});
  f.world.runFor(20s);
  CHECK(late == std::vector<std::string>{"one", "two"});
  CHECK(f.locks->healthCheck().issues.size() == 1);
}

}  // namespace async_lock_shared_test
