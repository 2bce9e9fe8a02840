// SegmentChain: reads the segments of a journal one after the other, and sees that they belong together.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/error.hpp"
#include "lukhas/journal/journal_error.hpp"
#include "lukhas/journal/journal_format.hpp"
#include "lukhas/journal/segment_reader.hpp"

namespace lukhas {

namespace detail {

[[noreturn]] inline void throwJournalError(JournalErrc code, const std::string& file, std::uint64_t offset,
                                           std::string_view what) {
  nlohmann::json details{{"file", file}, {"offset", offset}};
  throw Error(code, fmt::format("'{}' at offset {}: {}", file, offset, what), std::move(details));
}

}  // namespace detail

[[nodiscard]] inline std::string segmentName(std::uint64_t number) {
  return fmt::format("segment-{:010}.log", number);
}
// The number in "segment-0000000007.log", written exactly so; nullopt for any other name.
[[nodiscard]] inline std::optional<std::uint64_t> segmentNumberOf(std::string_view name) {
  constexpr std::size_t prefix = std::string_view("segment-").size();
  std::uint64_t number = 0;
  if (name.size() <= prefix) return std::nullopt;
  (void)std::from_chars(name.data() + prefix, name.data() + name.size(), number);
  if (name != segmentName(number)) return std::nullopt;
  return number;
}

// Pure. The first segment says which journal it is; what was before it has been dropped. Each next one has to
// name the same journal, the next number and LSN, and the checksum of the seal before it.
//
//   SegmentChain chain;
//   for (…) {                                              // in the order of their numbers
//     chain.read(number, path, bytes, [](const ParsedRecord& record) { … });
//     if (more are to come) chain.requireSealed();
//   }
class SegmentChain {
 public:
  // Calls visit(record) for each record of the segment, those that begin an epoch included; payloads point
  // into `bytes`. Throws JournalErrc::corrupt or foreign_segment, with `path` and the offset; records before
  // the damage have been visited then.
  template <class Visit>
  void read(std::uint64_t number, std::string path, ByteView bytes, Visit&& visit) {
    path_ = std::move(path);
    first_ = Lsn{};
    const std::optional<SegmentHeader> header = SegmentHeader::decode(bytes);
    if (!header) detail::throwJournalError(JournalErrc::corrupt, path_, 0, "the segment's header is damaged");
    if (uuid_.empty()) {
      uuid_ = header->uuid;
      next_ = header->firstLsn;
      checksum_ = header->previousChecksum;
    }
    if (header->uuid != uuid_ || header->number != number || header->firstLsn != next_ ||
        header->previousChecksum != checksum_) {
      detail::throwJournalError(JournalErrc::foreign_segment, path_, 0,
                                "it does not belong to this journal, or not at this place");
    }
    first_ = header->firstLsn;
    epoch_ = std::max(epoch_, header->epoch);

    SegmentReader reader(bytes, uuid_, first_);
    while (const std::optional<ParsedRecord> record = reader.next()) {
      if (const std::optional<std::uint64_t> begun = epochOf(*record)) epoch_ = std::max(epoch_, *begun);
      visit(*record);
    }
    if (reader.end() == SegmentReader::End::corrupt) {
      detail::throwJournalError(JournalErrc::corrupt, path_, reader.offset(),
                                "a record that was durable is damaged");
    }
    next_ = reader.nextLsn();
    checksum_ = reader.checksum();
    end_ = reader.end();
    offset_ = reader.offset();
    provenOffset_ = reader.provenOffset();
  }
  // Of the segment that was read last, when it is not the last one. Throws JournalErrc::corrupt.
  void requireSealed() const {
    if (end_ == SegmentReader::End::sealed) return;
    detail::throwJournalError(JournalErrc::corrupt, path_, offset_, "the segment ends before its seal");
  }

  // The epoch that this record begins, if it does.
  [[nodiscard]] static std::optional<std::uint64_t> epochOf(const ParsedRecord& record) noexcept {
    if (record.type != Record::bootType || record.payload.size() != 8) return std::nullopt;
    return detail::getNumber<std::uint64_t>(record.payload, 0);
  }

  // 16 raw bytes; empty before the first segment.
  [[nodiscard]] const std::string& uuid() const noexcept { return uuid_; }
  // The newest that was seen.
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  // Of the segment that was read last (see SegmentReader); 0 where its header is damaged.
  [[nodiscard]] Lsn firstLsn() const noexcept { return first_; }
  [[nodiscard]] SegmentReader::End end() const noexcept { return end_; }
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
  [[nodiscard]] std::size_t provenOffset() const noexcept { return provenOffset_; }
  // What the next segment has to begin with, and which checksum it has to name.
  [[nodiscard]] Lsn nextLsn() const noexcept { return next_; }
  [[nodiscard]] std::uint32_t checksum() const noexcept { return static_cast<std::uint32_t>(checksum_); }

 private:
  std::string path_;
  std::string uuid_;
  std::uint64_t epoch_ = 0;
  Lsn first_;
  Lsn next_;
  std::uint64_t checksum_ = 0;
  SegmentReader::End end_ = SegmentReader::End::sealed;
  std::size_t offset_ = 0;
  std::size_t provenOffset_ = 0;
};

}  // namespace lukhas
