#include "lukhas/journal/journal_scan.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/journal/journal.hpp"
#include "support/catch.hpp"
#include "support/forwarding_disk.hpp"
#include "unit/journal/journal_place.hpp"

namespace journal_scan_test {

using namespace lukhas;
using test::codeOf;
using test::ForwardingDisk;
using test::ForwardingFile;
using test::onEachPlace;
using test::Place;
using test::SimulatedPlace;
using JournalPtr = std::unique_ptr<Journal>;

namespace {

constexpr JournalOptions small{.segmentBytes = 4096, .maxQueuedBytes = 8192};

std::string folderOf(Place& place) { return place.directory() + "/journal"; }

asio::awaitable<JournalPtr> openIn(Place& place) {
  return Journal::open(place.environment(), place.disk(), folderOf(place), small);
}

// "lsn:text " for each record that is the user's.
struct Seen {
  std::string texts;
  std::uint64_t last = 0;
  bool ordered = true;

  UniqueFunction<void(const ParsedRecord&)> visitor() {
    return [this](const ParsedRecord& record) {
      ordered = ordered && record.lsn.value > last;
      last = record.lsn.value;
      if (record.type != Record::bootType) texts += std::string(asText(record.payload)) + " ";
    };
  }
};

asio::awaitable<JournalScan> scan(Place& place, Seen& seen) {
  return scanJournal(place.disk(), folderOf(place), seen.visitor());
}

asio::awaitable<void> appendAll(Journal& journal, int from, int to) {
  for (int i = from; i < to; ++i) {
    std::string text = std::to_string(i);
    text.resize(900, '.');
    (void)co_await journal.appendDurable(1, toBytes(text));
  }
}

// Reads what a page showed before it was written: once, zeros instead of the bytes [from, to).
class StaleFile final : public ForwardingFile {
 public:
  StaleFile(std::shared_ptr<File> file, std::uint64_t from, std::uint64_t to)
      : ForwardingFile(std::move(file)), from_(from), to_(to) {}

  asio::awaitable<Bytes> read(std::uint64_t offset, std::size_t size) override {
    Bytes bytes = co_await file()->read(offset, size);
    for (; from_ < to_; ++from_) bytes.at(from_ - offset) = std::byte{0};
    co_return bytes;
  }

 private:
  std::uint64_t from_;
  std::uint64_t to_;
};

// A disk on which each file that is opened is stale in the same place.
class StaleDisk final : public ForwardingDisk {
 public:
  StaleDisk(std::shared_ptr<Disk> disk, std::uint64_t from, std::uint64_t to)
      : ForwardingDisk(std::move(disk)), from_(from), to_(to) {}

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    std::shared_ptr<File> file = co_await disk()->open(path, mode);
    co_return std::make_shared<StaleFile>(std::move(file), from_, to_);
  }

 private:
  std::uint64_t from_;
  std::uint64_t to_;
};

asio::awaitable<void> flipByte(Place& place, std::string file, std::uint64_t offset) {
  const std::string path = folderOf(place) + "/" + file;
  const std::shared_ptr<File> opened = co_await place.disk()->open(path, OpenMode::read_write);
  Bytes byte = co_await opened->read(offset, 1);
  byte[0] ^= std::byte{0x20};
  co_await opened->write(offset, std::move(byte));
  co_await opened->sync();
}

}  // namespace

TEST_CASE("a journal in use can be read beside it and nothing is changed", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    (void)co_await journal->appendDurable(1, toBytes("a"));
    (void)co_await journal->appendDurable(2, toBytes("b"));
    const std::vector<std::string> before = co_await place.disk()->list(folderOf(place));

    Seen seen;
    const JournalScan found = co_await scan(place, seen);
    CHECK(seen.texts == "a b ");
    CHECK(found.uuid == journal->uuid());
    CHECK(found.epoch == 1);
    CHECK(found.records == 3);
    CHECK(found.lastLsn == journal->durableLsn());
    CHECK_FALSE(found.damage);
    CHECK_FALSE(found.isTorn());
    const std::vector<std::string> after = co_await place.disk()->list(folderOf(place));
    CHECK(after == before);
    (void)co_await journal->appendDurable(1, toBytes("c"));
  });
}

TEST_CASE("all segments are read in order with what each of them holds", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    co_await appendAll(*journal, 0, 10);
    co_await journal->close();
    Seen seen;
    const JournalScan found = co_await scan(place, seen);
    CHECK(seen.ordered);
    CHECK(found.records == 11);
    REQUIRE(found.segments.size() == 3);
    CHECK(found.segments[0].end == SegmentReader::End::sealed);
    CHECK(found.segments[2].end == SegmentReader::End::open);
    std::uint64_t records = 0;
    for (const JournalScan::Segment& segment : found.segments) records += segment.records;
    CHECK(records == 11);
    CHECK(found.segments[1].firstLsn.value == found.segments[0].records + 1);
    CHECK(found.segments[0].usedBytes <= found.segments[0].fileBytes);
  });
}

TEST_CASE("damage is reported with file and offset and what lies before it is read", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    co_await appendAll(*journal, 0, 10);
    co_await journal->close();
    co_await flipByte(place, "segment-0000000002.log", SegmentHeader::size + 100);
    Seen seen;
    const JournalScan found = co_await scan(place, seen);
    REQUIRE(found.damage);
    CHECK(found.damage->code() == JournalErrc::corrupt);
    CHECK(found.damage->details()["offset"] == SegmentHeader::size);
    CHECK(found.damage->details()["file"].get<std::string>().ends_with("segment-0000000002.log"));
    CHECK(found.segments.size() == 2);
    CHECK(seen.ordered);
    CHECK(seen.last + 1 == found.segments[1].firstLsn.value);
  });
}

TEST_CASE("a segment that is missing between two others is damage", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    co_await appendAll(*journal, 0, 10);
    co_await journal->close();
    const std::string path = folderOf(place) + "/segment-0000000002.log";
    co_await place.disk()->remove(path);
    Seen seen;
    const JournalScan found = co_await scan(place, seen);
    REQUIRE(found.damage);
    CHECK(found.damage->code() == JournalErrc::missing_segment);
    CHECK(found.damage->details()["number"] == 2);
  });
}

TEST_CASE("a directory that is not there or has no journal is refused by name", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    Seen seen;
    const std::error_code absent = co_await codeOf(scan(place, seen));
    CHECK(absent == JournalErrc::not_found);
    const std::string folder = folderOf(place);
    co_await place.disk()->createDirectories(folder);
    const std::error_code empty = co_await codeOf(scan(place, seen));
    CHECK(empty == JournalErrc::not_found);
  });
}

TEST_CASE("a record that was written while the file was read is no damage", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const JournalPtr journal = co_await openIn(place);
    co_await appendAll(*journal, 0, 3);
    // The second of the three looks as if it were not there yet, though the third one is.
    const std::uint64_t second = SegmentHeader::size + Record::encodedSize(8) + Record::encodedSize(900);
    const auto stale = std::make_shared<StaleDisk>(place.disk(), second, second + Record::encodedSize(900));
    Seen seen;
    const JournalScan found = co_await scanJournal(stale, folderOf(place), seen.visitor());
    CHECK_FALSE(found.damage);
    CHECK(seen.ordered);
    CHECK(found.records == 4);
    CHECK(found.segments.size() == 1);
  });
}

// The simulated disk takes time for each call, so that the two get in each other's way in many ways.
TEST_CASE("a journal that is written and shortened meanwhile is never read wrong", "[journal]") {
  std::size_t scans = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SimulatedPlace place(seed);
    bool opened = false;
    bool writing = true;
    const auto write = [&]() -> asio::awaitable<void> {
      const JournalPtr journal = co_await openIn(place);
      opened = true;
      for (int i = 0; i < 60; i += 3) {
        co_await appendAll(*journal, i, i + 3);
        if (i % 9 == 0) journal->dropBefore(journal->durableLsn());
      }
      co_await journal->close();
      writing = false;
    };
    const auto read = [&]() -> asio::awaitable<void> {
      while (!opened) co_await place.environment().sleepFor(std::chrono::microseconds(10));
      while (writing) {
        Seen seen;
        const JournalScan found = co_await scan(place, seen);
        if (found.damage) FAIL("seed " << seed << ": " << found.damage->what());
        CHECK(seen.ordered);
        ++scans;
      }
    };
    place.world.spawn(write());
    place.world.spawn(read());
    place.world.run();
    CHECK_FALSE(writing);
  }
  CHECK(scans > 100);
}

}  // namespace journal_scan_test
