#include "lukhas/ttl/detail/ttl_state.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "support/catch.hpp"
#include "support/working_world.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::EntryExpired;
using lukhas::Environment;
using lukhas::TTLEnforcementEngine;
using lukhas::TtlErrc;
using lukhas::test::TtlWorld;
using lukhas::test::WorkingWorld;
using Lines = TtlWorld::Lines;

namespace {

void fill(TtlWorld& ttl, int count) {
  for (int i = 0; i < count; ++i) ttl->registerEntry(std::to_string(i), 30s);
}

asio::awaitable<void> sweepInto(TTLEnforcementEngine& engine, std::size_t& removed) {
  removed = (co_await engine.sweep()).expired;
}

// Takes a turn whenever it gets one.
asio::awaitable<void> countTurns(Environment environment, const bool& done, int& turns) {
  while (!done) {
    ++turns;
    co_await asio::post(environment.executor(), asio::use_awaitable);
  }
}

asio::awaitable<void> awaitSweep(asio::awaitable<lukhas::SweepReport> sweep, std::error_code& code) {
  try {
    (void)co_await std::move(sweep);
  } catch (const std::system_error& error) {
    code = error.code();
  }
}

}  // namespace

TEST_CASE("an engine that is not started reports nothing until it is", "[ttl]") {
  TtlWorld ttl;
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(1h);
  CHECK(ttl.expired.empty());
  CHECK(ttl->getMetrics().activeEntries == 1);
  ttl->start();
  ttl.world.run();
  CHECK(ttl.expired == Lines{"key/@3600000"});
  CHECK(ttl->getMetrics().activeEntries == 0);
}

TEST_CASE("nothing is reported after stop and it comes after the next start", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(30s);
  ttl->stop();
  ttl->stop();
  ttl.world.runFor(1min);
  CHECK(ttl.expired.empty());
  ttl->start();
  ttl.world.run();
  CHECK(ttl.expired == Lines{"key/@90000"});
}

TEST_CASE("no timer is armed when the engine is stopped", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  fill(ttl, 3);
  ttl->stop();
  ttl.world.run();
  CHECK(ttl.world.elapsed() == 0s);
  ttl->registerEntry("more");
  ttl->refresh("more");
  ttl.world.run();
  CHECK(ttl.world.elapsed() == 0s);
}

TEST_CASE("no timer is armed when nothing is registered", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl.world.run();
  CHECK(ttl.world.elapsed() == 0s);
  ttl->registerEntry("key");
  ttl->unregister("key");
  ttl.world.run();
  CHECK(ttl.world.elapsed() == 0s);
  ttl->registerEntry("key", 30s);  // it still works after that
  ttl.world.run();
  CHECK(ttl.world.elapsed() == 35s);
  CHECK(ttl.expired.size() == 1);
}

TEST_CASE("no timer is left when a sweep removed the last entry", "[ttl]") {
  TtlWorld ttl({.sweepInterval = 24h});
  fill(ttl, 1);
  ttl.world.runFor(1h);
  ttl->start();
  CHECK(ttl.sweep().expired == 1);
  ttl.world.run();
  CHECK(ttl.world.elapsed() == 1h);
}

TEST_CASE("the interval sweeps as long as something is registered", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl.world.runFor(30s);
  ttl->registerEntry("key", 5min);
  ttl.world.runFor(1min - 1ns);
  CHECK(ttl->getMetrics().sweepCount == 0);
  ttl.world.runFor(1ns);
  CHECK(ttl->getMetrics().sweepCount == 1);
  ttl.world.run();
  CHECK(ttl->getMetrics().sweepCount == 6);  // five by the interval, one that removed the entry
  CHECK(ttl.expired == Lines{"key/@335000"});
}

TEST_CASE("a real io_context returns after stop and after the destructor", "[ttl]") {
  asio::io_context io;
  std::optional<TTLEnforcementEngine> engine(std::in_place, Environment(io.get_executor()));
  engine->start();
  engine->registerEntry("key", 1h);
  asio::post(io, [&] { engine->stop(); });
  io.run();
  io.restart();
  engine->start();
  asio::post(io, [&] { engine.reset(); });
  io.run();
  SUCCEED("both returned");
}

TEST_CASE("in real time an entry is reported as well", "[ttl]") {
  asio::io_context io;
  TTLEnforcementEngine engine(Environment(io.get_executor()), {.minTtl = 1ms, .gracePeriod = 1ms});
  engine.start();
  int reports = 0;
  const auto counting = engine.onExpired.connect([&](const EntryExpired&) { ++reports; });
  engine.registerEntry("key", 1ms);
  io.run();
  CHECK(reports == 1);
}

TEST_CASE("a sweep gives what it removed also without start", "[ttl]") {
  TtlWorld ttl;
  fill(ttl, 3);
  ttl->registerEntry("later", 31s);
  ttl.world.runFor(35s - 1ns);
  CHECK(ttl.sweep().expired == 0);
  ttl.world.runFor(1ns);
  CHECK(ttl.sweep().expired == 3);
  CHECK(ttl.sweep().expired == 0);
  CHECK(ttl.expired == Lines{"0/@35000", "1/@35000", "2/@35000"});
  CHECK(ttl->getMetrics().sweepCount == 3);
}

TEST_CASE("a sweep works off more than one slice and others have their turns in between", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 10});
  fill(ttl, 1000);
  ttl.world.runFor(1h);
  std::size_t removed = 0;
  bool done = false;
  int turns = 0;
  ttl.watching.push_back(
      ttl->onExpired.connect([&](const EntryExpired&) { done = ttl.expired.size() == 1000; }));
  ttl.world.spawn(countTurns(ttl.world.environment(), done, turns));
  ttl.world.spawn(sweepInto(*ttl.engine, removed));
  ttl.world.run();
  CHECK(removed == 1000);
  CHECK(turns > 20);
}

TEST_CASE("a slice handles as many entries as it may and no more", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 10});
  fill(ttl, 21);
  ttl.world.runFor(1h);
  ttl->start();
  std::vector<std::size_t> slices;
  while (ttl.world.runSteps(1)) slices.push_back(ttl.expired.size());
  CHECK(slices == std::vector<std::size_t>{10, 10, 20, 20, 21});  // a second turn for others in between
}

TEST_CASE("a slice ends when its time is over however few entries it had", "[ttl]") {
  lukhas::Simulation world;
  const auto listening = std::make_shared<WorkingWorld>(world.environment());
  TTLEnforcementEngine engine(Environment(world.environment().executor(), listening),
                              {.maxSliceTime = 1ms, .gracePeriod = 0s});
  std::size_t reports = 0;
  const auto slow = engine.onExpired.connect([&](const EntryExpired&) {
    ++reports;
    listening->worked += 300us;
  });
  for (int i = 0; i < 10; ++i) engine.registerEntry(std::to_string(i), 30s);
  world.runFor(30s);
  engine.start();
  std::vector<std::size_t> slices;
  while (world.runSteps(1)) slices.push_back(reports);
  CHECK(slices == std::vector<std::size_t>{4, 4, 8, 8, 10});
}

TEST_CASE("concurrent sweeps share the work and report each entry once", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 7});
  ttl->start();
  fill(ttl, 500);
  ttl.world.runFor(34s);
  while (ttl.expired.empty()) ttl.world.runSteps(1);  // the engine's own run has begun
  std::size_t first = 0;
  std::size_t second = 0;
  ttl.world.spawn(sweepInto(*ttl.engine, first));
  ttl.world.spawn(sweepInto(*ttl.engine, second));
  ttl.world.run();
  CHECK(first > 0);
  CHECK(second > 0);
  CHECK(first + second < 500);
  CHECK(ttl.expired.size() == 500);
  CHECK(ttl->getMetrics().expiredEntries == 500);
}

TEST_CASE("a sweep ends with closed when the engine is destroyed meanwhile", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 10});
  fill(ttl, 100);
  ttl.world.runFor(1h);
  std::error_code code;
  ttl.world.spawn(awaitSweep(ttl->sweep(), code));
  ttl.world.runSteps(3);
  const std::size_t reported = ttl.expired.size();
  CHECK(reported > 0);
  ttl.engine.reset();
  ttl.world.run();
  CHECK(code == TtlErrc::closed);
  CHECK(ttl.expired.size() == reported);
}

TEST_CASE("a sweep whose listener destroys the engine ends with closed", "[ttl]") {
  TtlWorld ttl;
  fill(ttl, 3);
  ttl.world.runFor(1h);
  ttl.watching.push_back(ttl->onExpired.connect([&](const EntryExpired&) { ttl.engine.reset(); }));
  std::error_code code;
  ttl.world.spawn(awaitSweep(ttl->sweep(), code));
  ttl.world.run();
  CHECK(code == TtlErrc::closed);
  CHECK(ttl.expired.size() == 1);
}

TEST_CASE("a sweep of an engine that is gone before it begins ends with closed", "[ttl]") {
  TtlWorld ttl;
  auto sweep = ttl->sweep();
  ttl.engine.reset();
  std::error_code code;
  ttl.world.spawn(awaitSweep(std::move(sweep), code));
  ttl.world.run();
  CHECK(code == TtlErrc::closed);
}

TEST_CASE("a cancelled sweep stops between two slices and keeps what it did", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 10});
  fill(ttl, 100);
  ttl.world.runFor(1h);
  asio::cancellation_signal cancel;
  std::error_code code;
  asio::co_spawn(ttl.world.environment().executor(), awaitSweep(ttl->sweep(), code),
                 asio::bind_cancellation_slot(cancel.slot(), [](std::exception_ptr) {}));
  ttl.world.runSteps(3);
  cancel.emit(asio::cancellation_type::terminal);
  ttl.world.run();
  CHECK(code == asio::error::operation_aborted);
  CHECK((!ttl.expired.empty() && ttl.expired.size() < 100));
  CHECK(ttl.sweep().expired + ttl.expired.size() >= 100);
  CHECK(ttl.expired.size() == 100);
}

TEST_CASE("a started engine is healthy and so is one with nothing due", "[ttl]") {
  TtlWorld ttl;
  fill(ttl, 3);
  ttl.world.runFor(35s - 1ns);
  CHECK(ttl->healthCheck().healthy);
  ttl->start();
  ttl.world.runFor(1h);
  CHECK(ttl->healthCheck().healthy);
}

TEST_CASE("an engine that is not started while entries are due says so with its figure", "[ttl]") {
  TtlWorld ttl;
  fill(ttl, 3);
  ttl.world.runFor(36s);
  const auto health = ttl->healthCheck();
  CHECK_FALSE(health.healthy);
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "not_running");
  CHECK(health.issues[0].value == 1000);
  CHECK_THAT(health.issues[0].message, Catch::Matchers::Contains("1000 ms"));
}

TEST_CASE("a backlog beyond grace period and interval is reported with its figure", "[ttl]") {
  TtlWorld ttl;
  fill(ttl, 3);
  ttl.world.runFor(95s);
  CHECK(ttl->healthCheck().issues.size() == 1);
  ttl.world.runFor(1ms);
  ttl->start();  // but its first slice has not had its turn
  const auto health = ttl->healthCheck();
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "overdue_backlog");
  CHECK(health.issues[0].value == 60'001);
  CHECK(health.issues[0].limit == 60'000);
  ttl.world.run();
  CHECK(ttl->healthCheck().healthy);
}

TEST_CASE("a full engine is not healthy", "[ttl]") {
  TtlWorld ttl({.maxEntries = 3});
  fill(ttl, 2);
  CHECK(ttl->healthCheck().healthy);
  fill(ttl, 3);
  const auto health = ttl->healthCheck();
  REQUIRE(health.issues.size() == 1);
  CHECK(health.issues[0].code == "full");
  CHECK(health.issues[0].value == 3);
}

TEST_CASE("an entry with a long grace period does not hide another that is overdue", "[ttl]") {
  TtlWorld ttl({.policies = {{"patient", {.gracePeriod = 24h}}, {"strict", {.gracePeriod = 0s}}}});
  ttl->registerEntry("first", 30s, "patient");
  ttl->registerEntry("second", 31s, "strict");
  ttl.world.runFor(1h);
  const lukhas::HealthReport health = ttl->healthCheck();
  REQUIRE_FALSE(health.healthy);
  CHECK(health.issues[0].code == "not_running");
  CHECK(health.issues[0].value == 3569'000.0);
}
