#include <map>

#include "simulation/journal/journal_script.hpp"
#include "support/catch.hpp"
#include "support/segment_image.hpp"

using namespace lukhas;

namespace {

constexpr const char* directory = "journal";

std::string pathOf(std::uint64_t number) { return fmt::format("{}/segment-{:010}.log", directory, number); }

// Three segments of records, then another life: all records have a witness behind them.
asio::awaitable<void> makeJournal(Simulation& world) {
  std::unique_ptr<Journal> journal =
      co_await Journal::open(world.environment(), world.disk(), directory, test::scriptOptions);
  for (std::uint64_t i = 0; i < 40; ++i) (void)co_await journal->appendDurable(7, Bytes(150 + i));
  co_await journal->close();
  journal = co_await Journal::open(world.environment(), world.disk(), directory, test::scriptOptions);
  co_await journal->close();
}

struct Opening {
  std::size_t records = 0;
  std::optional<Error> error;
};
asio::awaitable<void> tryOpen(Simulation& world, Opening& opening) {
  try {
    const std::unique_ptr<Journal> journal =
        co_await Journal::open(world.environment(), world.disk(), directory, test::scriptOptions);
    opening.records = journal->takeRecovered().size();
    co_await journal->close();
  } catch (const Error& error) {
    opening.error = error;
  }
}

// Where the records of a segment begin; 0 is the header's place.
std::vector<std::size_t> recordsOf(const Bytes& bytes) {
  const auto header = SegmentHeader::decode(bytes);
  SegmentReader reader(bytes, header.value().uuid, header.value().firstLsn);
  std::vector<std::size_t> offsets{0, reader.offset()};
  while (reader.next()) offsets.push_back(reader.offset());
  if (reader.end() == SegmentReader::End::sealed) offsets.push_back(reader.offset());
  return offsets;
}

}  // namespace

TEST_CASE("a flipped bit in what was durable is refused with file and offset", "[journal]") {
  for (std::uint64_t number = 1; number <= 3; ++number) {
    for (std::size_t nth = 0;; ++nth) {
      Simulation world({.seed = nth + 1});
      world.spawn(makeJournal(world));
      world.run();
      const Bytes before = world.disk()->contents(pathOf(number));
      const std::vector<std::size_t> offsets = recordsOf(before);
      const bool newest = !world.disk()->exists(pathOf(number + 1));
      if (nth + (newest ? 2 : 1) >= offsets.size()) break;  // of the newest record nobody knows yet
      const std::size_t place = offsets[nth] + splitMix64(nth) % (offsets[nth + 1] - offsets[nth]);
      world.disk()->flipBit(pathOf(number), place, static_cast<unsigned>(nth));
      const Bytes damaged = world.disk()->contents(pathOf(number));
      Opening opening;
      world.spawn(tryOpen(world, opening));
      world.run();
      INFO("segment " << number << ", record " << nth << ", offset " << place);
      REQUIRE(opening.error);
      CHECK(opening.error->code() == JournalErrc::corrupt);
      CHECK(opening.error->details().at("file") == pathOf(number));
      CHECK(opening.error->details().at("offset") == offsets[nth]);
      CHECK(world.disk()->contents(pathOf(number)) == damaged);  // nothing was cut or repaired
    }
  }
}

TEST_CASE("a flipped bit where nothing was written yet is cleared and loses nothing", "[journal]") {
  Simulation world;
  world.spawn(makeJournal(world));
  world.run();
  std::uint64_t number = 1;
  while (world.disk()->exists(pathOf(number + 1))) ++number;
  world.disk()->flipBit(pathOf(number), 4090);
  Opening opening;
  world.spawn(tryOpen(world, opening));
  world.run();
  CHECK_FALSE(opening.error);
  CHECK(opening.records == 40);
  CHECK(world.disk()->contents(pathOf(number)).at(4090) == std::byte{0});
}

TEST_CASE("a segment that is cut short before its seal is refused", "[journal]") {
  Simulation world;
  world.spawn(makeJournal(world));
  world.run();
  auto cut = [&]() -> asio::awaitable<void> {
    const std::shared_ptr<File> file = co_await world.disk()->open(pathOf(2), OpenMode::read_write);
    co_await file->truncate(2000);
  };
  world.spawn(cut());
  world.run();
  Opening opening;
  world.spawn(tryOpen(world, opening));
  world.run();
  REQUIRE(opening.error);
  CHECK(opening.error->code() == JournalErrc::corrupt);
  CHECK(opening.error->details().at("file") == pathOf(2));
}
