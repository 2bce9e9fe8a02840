// Records that nobody waits for lie in memory for a while, so that they are synced with others.
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "lukhas/journal/journal.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "unit/journal/journal_place.hpp"

namespace journal_rest_test {

using lukhas::Duration;
using lukhas::Journal;
using lukhas::JournalOptions;
using lukhas::Lsn;
using lukhas::toBytes;
using lukhas::test::SimulatedPlace;
using namespace std::chrono_literals;
using JournalPtr = std::unique_ptr<Journal>;

constexpr JournalOptions options{.segmentBytes = 4096, .maxQueuedBytes = 4096, .restTime = 10ms};

asio::awaitable<JournalPtr> openIn(SimulatedPlace& place, JournalOptions given = options) {
  return Journal::open(place.environment(), place.disk(), place.directory() + "/journal", given);
}

// Runs `work(place, journal)` with a new journal.
template <class Work>
void inJournal(Work work, JournalOptions given = options) {
  SimulatedPlace place;
  const auto task = [&]() -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place, given);
    co_await work(place, journal);
  };
  place.run(task());
}

TEST_CASE("a record that nobody waits for is written after the rest time", "[journal]") {
  inJournal([](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
    const std::uint64_t before = journal->getMetrics().groups;
    const Lsn mine = journal->nextLsn();
    journal->append(1, toBytes("a"));
    co_await place.environment().sleepFor(9ms);
    CHECK(journal->durableLsn() < mine);
    CHECK(journal->getMetrics().groups == before);
    co_await place.environment().sleepFor(100ms);
    CHECK(journal->durableLsn() == mine);
    CHECK(journal->getMetrics().groups == before + 1);
  });
}

TEST_CASE("one that somebody waits for takes those that rest with it", "[journal]") {
  inJournal([](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
    const std::uint64_t before = journal->getMetrics().groups;
    for (int i = 0; i < 5; ++i) journal->append(1, toBytes("a"));
    co_await place.environment().sleepFor(2ms);
    const Lsn last = co_await journal->appendDurable(1, toBytes("b"));
    CHECK(journal->durableLsn() == last);
    CHECK(journal->getMetrics().groups == before + 1);
  });
}

TEST_CASE("nobody who waits for a record waits for the rest time", "[journal]") {
  inJournal(
      [](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
        for (const bool othersRest : {true, false}) {
          if (othersRest) journal->append(1, toBytes("a"));
          co_await place.environment().sleepFor(1ms);
          const lukhas::TimePoint began = place.environment().now();
          (void)co_await journal->appendDurable(1, toBytes("b"));
          CHECK(place.environment().now() - began < 30s);
        }
      },
      {.segmentBytes = 4096, .maxQueuedBytes = 4096, .restTime = 1min});
}

TEST_CASE("a queue that is half full rests no longer", "[journal]") {
  inJournal([](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
    const Lsn first = journal->nextLsn();
    for (int i = 0; i < 3; ++i) journal->append(1, lukhas::Bytes(800));
    co_await place.environment().sleepFor(9ms);
    CHECK(journal->durableLsn() >= first);
  });
}

TEST_CASE("without a rest time every record is written at once", "[journal]") {
  inJournal(
      [](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
        const Lsn mine = journal->nextLsn();
        journal->append(1, toBytes("a"));
        co_await place.environment().sleepFor(9ms);
        CHECK(journal->durableLsn() == mine);
      },
      {.segmentBytes = 4096, .maxQueuedBytes = 4096, .restTime = 0ms});
}

TEST_CASE("closing writes what rests, and at once", "[journal]") {
  inJournal(
      [](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
        journal->append(1, toBytes("a"));
        co_await place.environment().sleepFor(1ms);
        const lukhas::TimePoint began = place.environment().now();
        co_await journal->close();
        CHECK(place.environment().now() - began < 30s);
        JournalPtr again = co_await openIn(place);
        CHECK(again->takeRecovered().size() == 1);
      },
      {.segmentBytes = 4096, .maxQueuedBytes = 4096, .restTime = 1min});
}

TEST_CASE("a journal that is destroyed while records rest gives its directory back", "[journal]") {
  inJournal(
      [](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
        journal->append(1, toBytes("a"));
        co_await place.environment().sleepFor(1ms);
        journal.reset();
        co_await place.environment().sleepFor(1ms);
        JournalPtr again = co_await openIn(place);
        CHECK(again->takeRecovered().empty());
      },
      {.segmentBytes = 4096, .maxQueuedBytes = 4096, .restTime = 1min});
}

TEST_CASE("segments are dropped while records rest", "[journal]") {
  inJournal(
      [](SimulatedPlace& place, JournalPtr& journal) -> asio::awaitable<void> {
        while (journal->getMetrics().segments < 3) {
          lukhas::Bytes payload(900);
          (void)co_await journal->appendDurable(1, std::move(payload));
        }
        const Lsn mine = journal->nextLsn();
        journal->append(1, toBytes("a"));
        co_await place.environment().sleepFor(1ms);
        journal->dropBefore(mine);
        co_await place.environment().sleepFor(5s);
        CHECK(journal->durableLsn() == mine);  // durable before what it replaces is gone
        CHECK(journal->getMetrics().segments == 1);
      },
      {.segmentBytes = 4096, .maxQueuedBytes = 4096, .restTime = 1min});
}

}  // namespace journal_rest_test
