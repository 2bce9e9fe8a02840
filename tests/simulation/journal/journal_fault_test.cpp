#include "simulation/journal/journal_script.hpp"
#include "support/catch.hpp"

using namespace lukhas;
using test::JournalHistory;

namespace {

asio::awaitable<void> playUntilItFails(Simulation& world, JournalHistory& history, std::uint64_t seed) {
  try {
    co_await test::playScript(world, history, seed, 8);
  } catch (const Error&) {  // an open that met the fault
  }
}

// Opens, works, closes, opens.
asio::awaitable<void> settleDown(Simulation& world, JournalHistory& history) {
  SplitMix random(99);
  std::unique_ptr<Journal> journal = co_await test::openAndCompare(world, history);
  co_await test::playRounds(world, history, *journal, random, 2);
  co_await journal->close();
  journal = co_await test::openAndCompare(world, history);
  co_await journal->close();
}

// A run in which one operation fails; the process goes on without a crash, opens again, and works; then the
// power is cut after `steps`. Returns whether the operation was reached.
bool failOnce(DiskOperation operation, JournalErrc code, std::uint64_t seed, std::uint64_t skip,
              std::uint64_t steps) {
  Simulation world({.seed = seed});
  JournalHistory history;
  if (code == JournalErrc::disk_full) history.mayLoseUnawaited();
  world.disk()->failNext(operation, code, skip);
  world.spawn(playUntilItFails(world, history, seed));
  world.run();
  const bool reached = !world.disk()->faultPending();
  world.disk()->forgetFaults();
  if (reached) {
    world.spawn(settleDown(world, history));
    world.runSteps(steps);
    world.crash();
  }
  world.spawn(settleDown(world, history));
  world.run();
  INFO(toString(operation) << " failed after " << skip << ", seed " << seed << ", crash after " << steps);
  if (!history.violations.empty()) FAIL(history.violations);
  return reached;
}

// How many times the operation could fail.
std::uint64_t failEach(DiskOperation operation, JournalErrc code = JournalErrc::io_failed) {
  std::uint64_t count = 0;
  for (std::uint64_t seed = 1; seed <= test::runs(4); ++seed) {
    for (std::uint64_t skip = 0;; ++skip, ++count) {
      bool reached = false;
      for (const std::uint64_t steps : {20U, 60U, 150U, 10'000U})
        reached = failOnce(operation, code, seed, skip, steps);
      if (!reached) break;
    }
  }
  return count;
}

}  // namespace

TEST_CASE("a sync that fails loses nothing that was acknowledged before or after", "[journal]") {
  CHECK(failEach(DiskOperation::sync) > 40);
}

TEST_CASE("a write that fails loses nothing that was acknowledged before or after", "[journal]") {
  CHECK(failEach(DiskOperation::write) > 40);
  CHECK(failEach(DiskOperation::write, JournalErrc::disk_full) > 40);
}

TEST_CASE("a name that cannot be changed or synced loses nothing", "[journal]") {
  CHECK(failEach(DiskOperation::rename) > 5);
  CHECK(failEach(DiskOperation::sync_directory) > 10);
  CHECK(failEach(DiskOperation::remove) > 3);
}

TEST_CASE("a segment that cannot be made or read loses nothing", "[journal]") {
  CHECK(failEach(DiskOperation::open) > 5);
  CHECK(failEach(DiskOperation::open, JournalErrc::disk_full) > 5);
  CHECK(failEach(DiskOperation::preallocate) > 5);
  CHECK(failEach(DiskOperation::preallocate, JournalErrc::disk_full) > 5);
  CHECK(failEach(DiskOperation::read) > 3);
  CHECK(failEach(DiskOperation::size) > 3);
  CHECK(failEach(DiskOperation::list) > 3);
}

TEST_CASE("a journal that cannot be read is not a journal with a torn tail", "[journal]") {
  Simulation world;
  auto rule = [&]() -> asio::awaitable<void> {
    std::unique_ptr<Journal> journal = co_await Journal::open(world.environment(), world.disk(), "journal");
    (void)co_await journal->appendDurable(1, toBytes("a"));
    co_await journal->close();
    const Bytes before = world.disk()->contents("journal/segment-0000000001.log");
    world.disk()->failNext(DiskOperation::read);
    std::error_code code;
    try {
      journal = co_await Journal::open(world.environment(), world.disk(), "journal");
    } catch (const Error& error) {
      code = error.code();
    }
    CHECK(code == JournalErrc::io_failed);
    CHECK(world.disk()->contents("journal/segment-0000000001.log") == before);
  };
  world.spawn(rule());
  world.run();
}

TEST_CASE("a failed sync poisons the journal for all who wait and all who come", "[journal]") {
  Simulation world;
  auto rule = [&]() -> asio::awaitable<void> {
    std::unique_ptr<Journal> journal = co_await Journal::open(world.environment(), world.disk(), "journal");
    world.disk()->failNextSync();
    std::vector<ChildTask<Lsn>> writers;
    for (int i = 0; i < 5; ++i)
      writers.emplace_back(world.environment(), journal->appendDurable(1, Bytes(10)));
    int poisoned = 0;
    for (ChildTask<Lsn>& writer : writers) {
      try {
        (void)co_await writer.join();
      } catch (const Error& error) {
        poisoned += error.code() == JournalErrc::poisoned ? 1 : 0;
        CHECK(error.details().at("cause").get<std::string>().find("sync") != std::string::npos);
      }
    }
    CHECK(poisoned == 5);
    const std::uint64_t operations = world.disk()->operations();
    CHECK_THROWS_AS(journal->append(1, {}), Error);
    journal->dropBefore(Lsn{100});
    co_await world.environment().sleepFor(std::chrono::seconds(1));
    CHECK(world.disk()->operations() == operations);  // nothing is tried again
    CHECK(journal->healthCheck().issues.at(0).code == "poisoned");
    std::error_code closing;
    try {
      co_await journal->close();
    } catch (const Error& error) {
      closing = error.code();
    }
    CHECK(closing == JournalErrc::poisoned);
    journal = co_await Journal::open(world.environment(), world.disk(), "journal");  // it let go of the lock
  };
  world.spawn(rule());
  world.run();
}

TEST_CASE("a segment that cannot be removed is kept and shown", "[journal]") {
  Simulation world;
  auto rule = [&]() -> asio::awaitable<void> {
    std::unique_ptr<Journal> journal =
        co_await Journal::open(world.environment(), world.disk(), "journal", test::scriptOptions);
    for (int i = 0; i < 20; ++i) (void)co_await journal->appendDurable(1, Bytes(900));
    const std::uint64_t segments = journal->getMetrics().segments;
    world.disk()->failNext(DiskOperation::remove);
    journal->dropBefore(journal->nextLsn());
    co_await world.environment().sleepFor(std::chrono::seconds(1));
    CHECK(journal->getMetrics().segments == segments);
    CHECK(journal->healthCheck().issues.at(0).code == "segments_kept");
    (void)co_await journal->appendDurable(1, Bytes(10));  // and nothing else is harmed
    co_await journal->close();
    journal = co_await Journal::open(world.environment(), world.disk(), "journal", test::scriptOptions);
    journal->dropBefore(journal->nextLsn());
    co_await world.environment().sleepFor(std::chrono::seconds(1));
    CHECK(journal->getMetrics().segments == 1);
  };
  world.spawn(rule());
  world.run();
}
