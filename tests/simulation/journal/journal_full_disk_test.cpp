#include "simulation/journal/journal_script.hpp"
#include "support/catch.hpp"

using namespace lukhas;
using test::JournalHistory;
using test::scriptOptions;

namespace {

asio::awaitable<std::error_code> codeOf(asio::awaitable<Lsn> append) {
  std::error_code code;
  try {
    (void)co_await std::move(append);
  } catch (const Error& error) {
    code = error.code();
  }
  co_return code;
}

asio::awaitable<void> playWithSpaceFor(Simulation& world, JournalHistory& history, std::uint64_t seed) {
  SplitMix random(seed);
  try {
    const std::unique_ptr<Journal> journal = co_await test::openAndCompare(world, history);
    co_await test::playRounds(world, history, *journal, random, 12);
    world.disk()->freeUp();
    co_await test::playRounds(world, history, *journal, random, 6);
    CHECK(journal->healthCheck().healthy);
    co_await journal->close();
  } catch (const Error& error) {  // no space for the first segment, or for a new epoch
    CHECK(error.code() == JournalErrc::disk_full);
  }
  world.disk()->freeUp();
}

asio::awaitable<void> openOnceMore(Simulation& world, JournalHistory& history) {
  const std::unique_ptr<Journal> journal = co_await test::openAndCompare(world, history);
  co_await journal->close();
}

}  // namespace

TEST_CASE("a full disk refuses cleanly and takes records again when there is space", "[journal]") {
  Simulation world;
  auto rule = [&]() -> asio::awaitable<void> {
    std::unique_ptr<Journal> journal =
        co_await Journal::open(world.environment(), world.disk(), "journal", scriptOptions);
    world.disk()->fillUp();
    Lsn last;
    while (journal->healthCheck().healthy) {
      const Lsn expected = journal->nextLsn();
      const std::error_code code = co_await codeOf(journal->appendDurable(1, Bytes(900)));
      if (!code) last = expected;
      CHECK((!code || code == JournalErrc::disk_full));
    }
    CHECK(journal->nextLsn().value == last.value + 1);
    CHECK(journal->healthCheck().issues.at(0).code == "disk_full");
    CHECK(journal->getMetrics().refused == 1);
    CHECK(journal->getMetrics().segments == 1);
    CHECK_FALSE(world.disk()->exists("journal/segment.new"));

    const Lsn small = co_await journal->appendDurable(1, toBytes("small"));  // still fits
    const std::error_code again = co_await codeOf(journal->appendDurable(1, Bytes(900)));
    world.disk()->freeUp();
    const Lsn afterwards = co_await journal->appendDurable(1, Bytes(900));
    CHECK(small.value == last.value + 1);
    CHECK(again == JournalErrc::disk_full);
    CHECK(afterwards.value == last.value + 2);
    CHECK(journal->healthCheck().healthy);
    co_await journal->close();
    journal = co_await Journal::open(world.environment(), world.disk(), "journal", scriptOptions);
    const std::vector<Record> found = journal->takeRecovered();
    CHECK(found.back().lsn.value == last.value + 2);
    CHECK(found.size() == last.value + 1);  // all but the boot record
  };
  world.spawn(rule());
  world.run();
}

TEST_CASE("records that are appended while a segment cannot be reserved are refused with it", "[journal]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation world({.seed = seed});
    auto rule = [&]() -> asio::awaitable<void> {
      const std::unique_ptr<Journal> journal =
          co_await Journal::open(world.environment(), world.disk(), "journal", scriptOptions);
      for (int i = 0; i < 4; ++i) (void)co_await journal->appendDurable(1, Bytes(900));
      world.disk()->fillUp();
      const Lsn before = journal->nextLsn();
      std::vector<ChildTask<std::error_code>> writers;
      for (int i = 0; i < 10; ++i) {
        writers.emplace_back(world.environment(), codeOf(journal->appendDurable(1, Bytes(900))));
        co_await world.environment().sleepFor(std::chrono::microseconds(20));
      }
      for (ChildTask<std::error_code>& writer : writers) {
        const std::error_code code = co_await writer.join();
        CHECK(code == JournalErrc::disk_full);
      }
      CHECK(journal->nextLsn().value == before.value);
      world.disk()->freeUp();
      const Lsn next = co_await journal->appendDurable(1, Bytes(900));
      CHECK(next.value == before.value);
    };
    world.spawn(rule());
    world.run();
  }
}

TEST_CASE("whatever fits a full disk is kept and what is refused is never found", "[journal]") {
  for (std::uint64_t seed = 1; seed <= test::runs(10); ++seed) {
    for (std::uint64_t capacity = 0; capacity < 24'000; capacity += 700) {
      Simulation world({.seed = seed});
      JournalHistory history;
      history.mayLoseUnawaited();
      world.disk()->setCapacity(capacity);
      world.spawn(playWithSpaceFor(world, history, seed));
      world.run();
      world.spawn(openOnceMore(world, history));
      world.run();
      world.crash();
      world.spawn(openOnceMore(world, history));
      world.run();
      INFO("seed " << seed << ", capacity " << capacity);
      if (!history.violations.empty()) FAIL(history.violations);
    }
  }
}
