// JournalImage: the files of a whole journal as it wrote them, what is in them, and what may be made of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/split_mix.hpp"
#include "lukhas/journal/journal.hpp"
#include "lukhas/journal/journal_scan.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/memory_disk.hpp"

namespace lukhas::test {

inline constexpr const char* imageDirectory = "journal";

// What is found in a journal: all its records, or what is wrong with it.
struct JournalContent {
  std::vector<Record> records;  // without those that begin an epoch
  std::string damage;           // empty: none; otherwise the code, and where
  std::uint64_t changes = 0;    // of the disk

  [[nodiscard]] bool isSound() const { return damage.empty(); }
};

[[nodiscard]] inline std::string damageInWords(const Error& error) {
  const nlohmann::json& details = error.details();
  return fmt::format("{} {} {}", error.code().message(), details.value("file", std::string()),
                     details.value("offset", std::uint64_t{0}));
}

// Runs a coroutine to its end; rethrows what it throws.
inline void runToEnd(asio::io_context& io, asio::awaitable<void> task) {
  std::exception_ptr failure;
  asio::co_spawn(io, std::move(task), [&failure](std::exception_ptr error) { failure = std::move(error); });
  io.restart();
  io.run();
  if (failure) std::rethrow_exception(failure);
}

// As an open of the journal finds it; `after`: the files that it leaves.
[[nodiscard]] inline JournalContent openImage(const MemoryDisk::Files& files,
                                              MemoryDisk::Files* after = nullptr) {
  asio::io_context io;
  const auto disk = std::make_shared<MemoryDisk>(files);
  JournalContent content;
  auto open = [](asio::io_context& in, std::shared_ptr<MemoryDisk> from,
                 JournalContent& found) -> asio::awaitable<void> {
    try {
      const Environment environment(in.get_executor());
      const JournalOptions options{.segmentBytes = 4096};
      const std::unique_ptr<Journal> journal =
          co_await Journal::open(environment, from, imageDirectory, options);
      found.records = journal->takeRecovered();
      co_await journal->close();
    } catch (const Error& error) {
      found.damage = damageInWords(error);
    }
  };
  runToEnd(io, open(io, disk, content));
  content.changes = disk->changes();
  if (after != nullptr) *after = disk->files();
  return content;
}

// As lukhas-journal sees it.
[[nodiscard]] inline JournalContent scanImage(const MemoryDisk::Files& files) {
  asio::io_context io;
  const auto disk = std::make_shared<MemoryDisk>(files);
  JournalContent content;
  auto scan = [](std::shared_ptr<MemoryDisk> from, JournalContent& found) -> asio::awaitable<void> {
    UniqueFunction<void(const ParsedRecord&)> visit = [&found](const ParsedRecord& record) {
      if (SegmentChain::epochOf(record)) return;
      found.records.push_back({record.type, record.lsn, record.durable,
                               Bytes(record.payload.begin(), record.payload.end())});
    };
    const JournalScan seen = co_await scanJournal(from, imageDirectory, std::move(visit));
    if (seen.damage) found.damage = damageInWords(*seen.damage);
  };
  runToEnd(io, scan(disk, content));
  content.changes = disk->changes();
  return content;
}

// A journal that has lived: `lives` openings, in each of them rounds of records that are written together.
[[nodiscard]] inline MemoryDisk::Files writeImage(std::uint64_t seed, unsigned lives, unsigned rounds) {
  Simulation world{{.seed = seed}};
  const auto disk = std::make_shared<MemoryDisk>();
  auto live = [](Environment environment, std::shared_ptr<MemoryDisk> on, std::uint64_t chosen,
                 unsigned times) -> asio::awaitable<void> {
    SplitMix chance(chosen);
    const JournalOptions options{.segmentBytes = 4096};
    const std::unique_ptr<Journal> journal = co_await Journal::open(environment, on, imageDirectory, options);
    for (unsigned round = 0; round < times; ++round) {
      std::vector<ChildTask<Lsn>> group;
      for (std::uint64_t i = 1 + chance.below(4); i > 0; --i) {
        Bytes payload(chance.below(chance.below(4) == 0 ? 400 : 60));
        for (std::byte& byte : payload) byte = static_cast<std::byte>(chance.next());
        group.emplace_back(environment, journal->appendDurable(7, std::move(payload)));
      }
      for (ChildTask<Lsn>& one : group) (void)co_await one.join();
    }
    co_await journal->close();
  };
  for (unsigned life = 0; life < lives; ++life) {
    world.spawn(live(world.environment(), disk, seed * 100 + life, rounds));
    world.run();
  }
  MemoryDisk::Files files = disk->files();
  std::erase_if(files, [](const auto& file) { return file.first.find("segment-") == std::string::npos; });
  return files;
}

// Where the records of one segment lie, the seal and those that begin an epoch included.
struct RecordPlace {
  std::size_t begin = 0;
  std::size_t end = 0;
  Lsn lsn;
  Lsn durable;
  std::uint8_t type = 0;
};
[[nodiscard]] inline std::vector<RecordPlace> placesIn(const Bytes& segment) {
  const std::string uuid = SegmentHeader::decode(segment)->uuid;
  std::vector<RecordPlace> places;
  std::size_t at = SegmentHeader::size;
  while (const auto record = parseRecord(ByteView(segment).subspan(std::min(at, segment.size())), uuid)) {
    places.push_back({at, at + record->size, record->lsn, record->durable, record->type});
    at += record->size;
  }
  return places;
}

}  // namespace lukhas::test
