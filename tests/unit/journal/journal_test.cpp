#include "lukhas/journal/journal.hpp"

#include <set>

#include "lukhas/async/child_task.hpp"
#include "support/catch.hpp"
#include "unit/journal/journal_place.hpp"

using namespace lukhas;
using test::codeOf;
using test::errorOf;
using test::onEachPlace;
using test::Place;
using test::SimulatedPlace;
using JournalPtr = std::unique_ptr<Journal>;

namespace {

constexpr JournalOptions small{.segmentBytes = 4096, .maxQueuedBytes = 8192};

asio::awaitable<JournalPtr> openIn(Place& place, JournalOptions options = small) {
  return Journal::open(place.environment(), place.disk(), place.directory() + "/journal", options);
}

std::string textsOf(const std::vector<Record>& records) {
  std::string texts;
  for (const Record& record : records) texts += std::string(asText(record.payload)) + " ";
  return texts;
}

// As many records as make so many segments, and one more.
asio::awaitable<void> fill(Journal& journal, std::uint64_t segments) {
  while (journal.getMetrics().segments < segments) {
    Bytes payload(900);
    (void)co_await journal.appendDurable(1, std::move(payload));
  }
}

}  // namespace

TEST_CASE("what was appended is found again in order", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place);
    CHECK(journal->takeRecovered().empty());
    const Lsn first = co_await journal->appendDurable(1, toBytes("a"));
    journal->append(2, toBytes("b"));
    const Lsn third = co_await journal->appendDurable(253, toBytes("c"));
    CHECK(third.value == first.value + 2);
    CHECK(journal->nextLsn().value == third.value + 1);
    co_await journal->close();

    JournalPtr again = co_await openIn(place);
    CHECK(again->uuid() == journal->uuid());
    const std::vector<Record> found = again->takeRecovered();
    CHECK(textsOf(found) == "a b c ");
    CHECK(found.at(0).lsn == first);
    CHECK(found.at(1).type == 2);
    CHECK(found.at(2).lsn == third);
    CHECK(again->takeRecovered().empty());
  });
}

TEST_CASE("each open begins a new epoch and opening changes nothing else", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    for (std::uint64_t life = 1; life <= 4; ++life) {
      const JournalPtr journal = co_await openIn(place);
      CHECK(journal->epoch() == life);
      const std::vector<Record> found = journal->takeRecovered();
      CHECK(textsOf(found) == (life == 1 ? "" : "a "));
      if (life == 1) (void)co_await journal->appendDurable(1, toBytes("a"));
      co_await journal->close();
    }
  });
}

TEST_CASE("a uuid is 32 hexadecimal digits and differs from journal to journal", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr one =
        co_await Journal::open(place.environment(), place.disk(), place.directory() + "/1");
    const JournalPtr two =
        co_await Journal::open(place.environment(), place.disk(), place.directory() + "/2");
    CHECK(one->uuid().size() == 32);
    CHECK(one->uuid().find_first_not_of("0123456789abcdef") == std::string::npos);
    CHECK(one->uuid() != two->uuid());
  });
}

TEST_CASE("full segments are followed by new ones and all are read", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place);
    std::string texts;
    for (int i = 0; i < 50; ++i) {
      std::string text = fmt::format("{:0>400}", i);
      (void)co_await journal->appendDurable(1, toBytes(text));
      texts += text + " ";
    }
    CHECK(journal->getMetrics().segments >= 5);
    co_await journal->close();
    journal = co_await openIn(place);
    CHECK(textsOf(journal->takeRecovered()) == texts);
  });
}

TEST_CASE("records up to the size of a segment are taken and bigger ones are refused", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    const std::size_t limit = 4096 - SegmentHeader::size - Record::encodedSize(8) - Record::headerSize;
    for (int i = 0; i < 3; ++i) {
      Bytes largest(limit);
      (void)co_await journal->appendDurable(1, std::move(largest));
    }
    Bytes tooLarge(limit + 1);
    std::optional<Error> refused;
    try {
      journal->append(1, std::move(tooLarge));
    } catch (const Error& error) {
      refused = error;
    }
    REQUIRE(refused);
    CHECK(refused->code() == JournalErrc::record_too_large);
    CHECK(refused->details().at("maximum") == limit);
    CHECK(journal->nextLsn() == Lsn{5});
  });
}

TEST_CASE("types that the journal keeps for itself are refused", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    for (const unsigned type : {0U, 254U, 255U}) {
      CHECK_THROWS_AS(journal->append(static_cast<std::uint8_t>(type), {}), Error);
      CHECK_THROWS_AS(journal->appendDurable(static_cast<std::uint8_t>(type), {}), Error);
    }
    CHECK(journal->nextLsn() == Lsn{2});
  });
}

TEST_CASE("journal options out of range are refused by name", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    auto error = co_await errorOf(openIn(place, {.segmentBytes = 4095}));
    REQUIRE(error);
    CHECK(error->details().at("option") == "segmentBytes");
    error = co_await errorOf(openIn(place, {.maxQueuedBytes = 4095}));
    REQUIRE(error);
    CHECK(error->details().at("option") == "maxQueuedBytes");
  });
}

TEST_CASE("a queue takes so many bytes and not one record more", "[journal]") {
  SimulatedPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    // 8192 bytes are 8 records of 1024. The first is not taken off the queue before the caller suspends.
    for (int i = 0; i < 8; ++i) journal->append(1, Bytes(1024 - Record::headerSize));
    std::optional<Error> refused;
    try {
      journal->append(1, {});
    } catch (const Error& error) {
      refused = error;
    }
    REQUIRE(refused);
    CHECK(refused->code() == JournalErrc::overloaded);
    CHECK(refused->details().at("queuedBytes") == 8192);
    CHECK(journal->nextLsn() == Lsn{10});
    co_await journal->close();
    const JournalPtr again = co_await openIn(place);
    CHECK(again->takeRecovered().size() == 8);
  };
  place.run(rule());
}

TEST_CASE("those who come while a group is being synced go to disk together", "[journal]") {
  SimulatedPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place, {});
    const std::uint64_t before = journal->getMetrics().groups;
    auto one = [&]() -> asio::awaitable<void> { (void)co_await journal->appendDurable(1, Bytes(10)); };
    std::vector<ChildTask<void>> writers;
    for (int i = 0; i < 100; ++i) writers.emplace_back(place.environment(), one());
    for (ChildTask<void>& writer : writers) co_await writer.join();
    CHECK(journal->getMetrics().groups - before <= 5);
    CHECK(journal->getMetrics().appends == 101);
  };
  place.run(rule());
}

TEST_CASE("cancelling a caller never takes its record back", "[journal]") {
  SimulatedPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    std::optional<ChildTask<Lsn>> writer;
    writer.emplace(place.environment(), journal->appendDurable(1, toBytes("cancelled")));
    writer->cancel();
    std::optional<Error> error;
    try {
      (void)co_await writer->join();
    } catch (const Error& thrown) {
      error = thrown;
    }
    REQUIRE(error);
    CHECK(error->code() == asio::error::operation_aborted);
    co_await journal->close();
    const JournalPtr again = co_await openIn(place);
    CHECK(textsOf(again->takeRecovered()) == "cancelled ");
  };
  place.run(rule());
}

TEST_CASE("segments whose records are all older are removed and the newest always stays", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place);
    co_await fill(*journal, 4);
    journal->dropBefore(Lsn{2});  // in the middle of the first
    (void)co_await journal->appendDurable(1, toBytes("x"));
    CHECK(journal->getMetrics().segments == 4);
    journal->dropBefore(journal->nextLsn());
    co_await journal->close();  // without another append: the segments stay at most until the next open
    journal = co_await openIn(place);
    const Lsn next = journal->nextLsn();
    journal->dropBefore(next);
    while (journal->getMetrics().segments > 1)
      co_await place.environment().sleepFor(std::chrono::milliseconds(1));
    co_await journal->close();
    journal = co_await openIn(place);
    CHECK(journal->nextLsn().value == next.value + 1);
    CHECK(journal->epoch() == 3);
    for (const Record& record : journal->takeRecovered()) CHECK(record.lsn.value + 4 >= next.value);
  });
}

TEST_CASE("close writes what is queued and then releases the directory", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place);
    const std::error_code whileOpen = co_await codeOf(openIn(place));
    CHECK(whileOpen == JournalErrc::locked);
    for (int i = 0; i < 20; ++i) journal->append(1, Bytes(300));
    co_await journal->close();
    co_await journal->close();  // once more is no harm
    CHECK_THROWS_AS(journal->append(1, {}), Error);
    const JournalPtr again = co_await openIn(place);
    CHECK(again->takeRecovered().size() == 20);
    journal.reset();
    const std::error_code whileOpenAgain = co_await codeOf(openIn(place));
    CHECK(whileOpenAgain == JournalErrc::locked);
  });
}

TEST_CASE("destroying a journal ends its waiters and releases the directory by itself", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place);
    ChildTask<Lsn> first(place.environment(), journal->appendDurable(1, toBytes("a")));
    co_await place.environment().sleepFor(std::chrono::microseconds(10));
    ChildTask<Lsn> second(place.environment(), journal->appendDurable(1, toBytes("b")));
    journal.reset();
    const auto error = co_await errorOf(second.join());
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::closed);
    (void)co_await errorOf(first.join());
    for (;;) {
      const auto locked = co_await errorOf(openIn(place));
      if (!locked) break;
      REQUIRE(locked->code() == JournalErrc::locked);
      co_await place.environment().sleepFor(std::chrono::microseconds(50));
    }
  });
}

TEST_CASE("a journal that waits for its disk when the context goes away leaves nothing", "[journal]") {
  Simulation world;
  auto rule = [&]() -> asio::awaitable<void> {
    const JournalPtr journal = co_await Journal::open(world.environment(), world.disk(), "journal", small);
    (void)co_await journal->appendDurable(1, toBytes("the frame that waits owns the journal"));
  };
  for (std::uint64_t step = 1; step < 200; ++step) {
    world.spawn(rule());
    world.runSteps(step);
    world.crash();
  }
}

TEST_CASE("a missing segment is refused by its number", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    co_await fill(*journal, 4);
    co_await journal->close();
    co_await place.disk()->remove(place.directory() + "/journal/segment-0000000002.log");
    const auto error = co_await errorOf(openIn(place));
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::missing_segment);
    CHECK(error->details().at("number") == 2);
  });
}

TEST_CASE("a segment of another journal is refused", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    co_await fill(*journal, 3);
    co_await journal->close();
    const std::string other = place.directory() + "/other";
    const JournalPtr foreign = co_await Journal::open(place.environment(), place.disk(), other, small);
    co_await fill(*foreign, 3);
    co_await foreign->close();
    co_await place.disk()->rename(other + "/segment-0000000002.log",
                                  place.directory() + "/journal/segment-0000000002.log");
    const auto error = co_await errorOf(openIn(place));
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::foreign_segment);
    CHECK(error->details().at("file") == place.directory() + "/journal/segment-0000000002.log");
  });
}

TEST_CASE("other files in the directory are left alone", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place);
    co_await journal->close();
    const std::string directory = place.directory() + "/journal";
    (void)co_await place.disk()->open(directory + "/notes.txt", OpenMode::create);
    (void)co_await place.disk()->open(directory + "/segment-7.log", OpenMode::create);
    (void)co_await place.disk()->open(directory + "/segment-0000000009.log.bak", OpenMode::create);
    (void)co_await place.disk()->open(directory + "/segment.new", OpenMode::create);  // but this is ours
    journal = co_await openIn(place);
    CHECK(journal->epoch() == 2);
    const std::string names = test::joined(co_await place.disk()->list(directory));
    CHECK(names == "lock notes.txt segment-0000000001.log segment-0000000009.log.bak segment-7.log");
  });
}

TEST_CASE("a journal in a directory that cannot be written says so", "[journal]") {
  SimulatedPlace place;
  place.world.disk()->setWritable("base/journal", false);
  auto rule = [&]() -> asio::awaitable<void> {
    const auto error = co_await errorOf(openIn(place));
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::not_writable);
    CHECK(error->details().at("path") == "base/journal");
  };
  place.run(rule());
}

TEST_CASE("a segment that lost its reserved space is used up and followed by a new one", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    JournalPtr journal = co_await openIn(place);
    (void)co_await journal->appendDurable(1, toBytes("a"));
    co_await journal->close();
    const std::string path = place.directory() + "/journal/segment-0000000001.log";
    const std::shared_ptr<File> file = co_await place.disk()->open(path, OpenMode::read_write);
    co_await file->truncate(SegmentHeader::size + Record::encodedSize(8) + Record::encodedSize(1));
    journal = co_await openIn(place);
    (void)co_await journal->appendDurable(1, toBytes("b"));
    CHECK(journal->getMetrics().segments == 2);
    co_await journal->close();
    journal = co_await openIn(place);
    CHECK(textsOf(journal->takeRecovered()) == "a b ");
  });
}

TEST_CASE("a journal's metrics have the names that are documented", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    const nlohmann::json metrics = journal->getMetrics().toJson();
    std::set<std::string> names;
    for (const auto& [name, value] : metrics.items()) names.insert(name);
    const std::set<std::string> expected{"appends",  "refused",   "groups",
                                         "segments", "p99SyncMs", "bytesWritten"};
    CHECK(names == expected);
    CHECK(metrics.at("segments") == 1);
    CHECK(metrics.at("groups") == 1);
    CHECK(metrics.at("bytesWritten") == Record::encodedSize(8));
    CHECK(journal->healthCheck().healthy);
  });
}
