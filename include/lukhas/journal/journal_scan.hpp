// scanJournal: reads a journal that may be in use, and never writes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <fmt/format.h>

#include "lukhas/core/error.hpp"
#include "lukhas/core/unique_function.hpp"
#include "lukhas/journal/disk.hpp"
#include "lukhas/journal/journal_error.hpp"
#include "lukhas/journal/journal_format.hpp"
#include "lukhas/journal/segment_chain.hpp"

namespace lukhas {

// What there is in a journal's directory.
struct JournalScan {
  struct Segment {
    std::uint64_t number = 0;
    Lsn firstLsn;
    std::uint64_t records = 0;
    std::uint64_t fileBytes = 0;
    std::uint64_t usedBytes = 0;  // header, records and seal
    SegmentReader::End end = SegmentReader::End::open;
  };

  std::string uuid;           // 32 hexadecimal digits
  std::uint64_t epoch = 0;    // the last one that began
  std::uint64_t records = 0;  // those that begin an epoch included
  std::vector<Segment> segments;
  std::optional<Error> damage;  // the first that was met; what lies behind it was not read

  // Of the newest record; 0: none.
  Lsn lastLsn;
  // Whether the last write was not finished. The process that has the journal open may just be at it;
  // without one, its bytes were never acknowledged, and the next open cuts them.
  [[nodiscard]] bool isTorn() const noexcept {
    return !segments.empty() && segments.back().end == SegmentReader::End::torn;
  }
};

// Calls visit(record) for each record of the journal in `directory`, oldest first; payloads are valid during
// the call. Takes no lock and changes nothing, so it may run beside the process that has the journal open:
// what that one appends and drops meanwhile is seen in part, but no record is seen wrong, twice or out of
// order, and no damage is reported that is not there.
//
// Damage ends the reading and is reported in the result. Throws JournalErrc::not_found when the directory is
// not there or has no journal in it, io_failed, and what `visit` throws. Memory: one segment.
[[nodiscard]] asio::awaitable<JournalScan> scanJournal(std::shared_ptr<Disk> disk, std::string directory,
                                                       UniqueFunction<void(const ParsedRecord&)> visit);

namespace detail {

// The reading of one journal. Its methods are called one after the other.
class JournalScanner {
 public:
  JournalScanner(std::shared_ptr<Disk> disk, std::string directory,
                 UniqueFunction<void(const ParsedRecord&)> visit)
      : disk_(std::move(disk)), directory_(std::move(directory)), visit_(std::move(visit)) {}

  static asio::awaitable<JournalScan> run(std::shared_ptr<JournalScanner> self) {
    std::optional<std::uint64_t> suspected;  // a segment that was not to be had, and is needed
    for (unsigned listing = 0; listing < maxListings; ++listing) {
      const std::vector<std::uint64_t> numbers = co_await list(self);
      if (numbers.empty() && !self->last_) {
        nlohmann::json details{{"path", self->directory_}};
        throw Error(JournalErrc::not_found, fmt::format("there is no journal in '{}'", self->directory_),
                    std::move(details));
      }
      const std::optional<std::uint64_t> absent = co_await readListed(self, numbers);
      if (!absent || self->scan_.damage) co_return std::move(self->scan_);
      // Twice in a row the same one, though an older one is there: it is gone for good.
      if (absent == suspected) {
        self->missing(*absent);
        co_return std::move(self->scan_);
      }
      suspected = absent;
    }
    throw Error(JournalErrc::io_failed,
                fmt::format("the journal in '{}' is shortened faster than it can be read", self->directory_),
                {{"path", self->directory_}});
  }

 private:
  static constexpr unsigned maxListings = 1000;

  // Reads on, behind what was read before. The number of a segment that should have been there; nullopt when
  // all were.
  static asio::awaitable<std::optional<std::uint64_t>> readListed(std::shared_ptr<JournalScanner> self,
                                                                  std::vector<std::uint64_t> numbers) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::uint64_t number = numbers[i];
      if (self->last_ && number <= *self->last_) continue;
      const std::uint64_t wanted = self->last_ ? *self->last_ + 1 : number;
      if (number != wanted) {
        // Segments are dropped from the oldest on. One between two that are there cannot have been.
        if (i > 0) co_return wanted;
        self->chain_ = SegmentChain();  // those in between were dropped meanwhile: it goes on behind them
      }
      const bool found = co_await readSegment(self, number, i + 1 == numbers.size());
      if (!found) co_return number;
      if (self->scan_.damage) co_return std::nullopt;
      self->last_ = number;
    }
    co_return std::nullopt;
  }

  static asio::awaitable<std::vector<std::uint64_t>> list(std::shared_ptr<JournalScanner> self) {
    const std::vector<std::string> names = co_await self->disk_->list(self->directory_);
    std::vector<std::uint64_t> numbers;
    for (const std::string& name : names) {
      if (const std::optional<std::uint64_t> number = segmentNumberOf(name)) numbers.push_back(*number);
    }
    std::sort(numbers.begin(), numbers.end());
    co_return numbers;
  }

  // False when there is no such file.
  static asio::awaitable<bool> readSegment(std::shared_ptr<JournalScanner> self, std::uint64_t number,
                                           bool isLast) {
    const std::string path = fmt::format("{}/{}", self->directory_, segmentName(number));
    std::shared_ptr<File> file;
    try {
      file = co_await self->disk_->open(path, OpenMode::read);
    } catch (const Error& error) {
      if (error.code() != JournalErrc::not_found) throw;
      co_return false;
    }
    // A segment that is being written may show a record that was written after the place was read at which
    // the one before it belongs: that looks like damage. Read once more, the one before it is there, since a
    // record is only written when all before it are. So damage is real when the second look, which begins
    // after the first has ended, meets it at the same place.
    std::optional<std::uint64_t> suspected;
    while (true) {
      const std::uint64_t size = co_await file->size();
      const Bytes bytes = co_await file->read(0, size);
      const std::optional<Error> damage = self->take(number, path, bytes, isLast);
      if (!damage) co_return true;
      const auto offset = damage->details().value("offset", std::uint64_t{0});
      if (suspected == offset) {
        self->scan_.damage = damage;
        co_return true;
      }
      suspected = offset;
    }
  }

  // Visits the records of a segment that were not visited yet; the damage that ends it, if there is any.
  std::optional<Error> take(std::uint64_t number, const std::string& path, ByteView bytes, bool isLast) {
    SegmentChain chain = chain_;
    JournalScan::Segment segment{number, {}, 0, bytes.size(), 0, SegmentReader::End::corrupt};
    std::optional<Error> damage;
    std::exception_ptr thrown;  // by the visitor: whatever it is, it is no damage
    try {
      chain.read(number, path, bytes, [&](const ParsedRecord& record) {
        ++segment.records;
        if (record.lsn <= scan_.lastLsn || thrown) return;
        scan_.lastLsn = record.lsn;
        ++scan_.records;
        try {
          visit_(record);
        } catch (...) {
          thrown = std::current_exception();
        }
      });
      if (!isLast) chain.requireSealed();
      segment.usedBytes = chain.offset();
      segment.end = chain.end();
    } catch (const Error& error) {
      if (error.code() != JournalErrc::corrupt && error.code() != JournalErrc::foreign_segment) throw;
      damage = error;
      segment.usedBytes = error.details().value("offset", std::uint64_t{0});
    }
    if (thrown) std::rethrow_exception(thrown);
    const std::string uuid = toHex(asBytes(chain.uuid()));
    if (!damage && !scan_.uuid.empty() && scan_.uuid != uuid) {
      damage = Error(JournalErrc::foreign_segment, fmt::format("'{}' belongs to another journal", path),
                     {{"file", path}, {"offset", 0}});
    }
    segment.firstLsn = chain.firstLsn();
    if (!scan_.segments.empty() && scan_.segments.back().number == number) scan_.segments.pop_back();
    scan_.segments.push_back(segment);
    if (damage) return damage;
    scan_.uuid = uuid;
    scan_.epoch = std::max(scan_.epoch, chain.epoch());
    chain_ = std::move(chain);
    return std::nullopt;
  }

  void missing(std::uint64_t number) {
    nlohmann::json details{{"number", number}, {"path", directory_}};
    scan_.damage =
        Error(JournalErrc::missing_segment,
              fmt::format("segment {} of journal '{}' is missing", number, directory_), std::move(details));
  }

  std::shared_ptr<Disk> disk_;
  std::string directory_;
  UniqueFunction<void(const ParsedRecord&)> visit_;
  SegmentChain chain_;
  std::optional<std::uint64_t> last_;  // the segment that was read last
  JournalScan scan_;
};

}  // namespace detail

inline asio::awaitable<JournalScan> scanJournal(std::shared_ptr<Disk> disk, std::string directory,
                                                UniqueFunction<void(const ParsedRecord&)> visit) {
  auto scanner =
      std::make_shared<detail::JournalScanner>(std::move(disk), std::move(directory), std::move(visit));
  return detail::JournalScanner::run(std::move(scanner));
}

}  // namespace lukhas
