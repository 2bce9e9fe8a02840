// SegmentReader: reads one segment's bytes, and tells a torn tail from damage. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "lukhas/journal/crc32c_ranges.hpp"
#include "lukhas/journal/journal_format.hpp"

namespace lukhas {

// A crash in the middle of writing a group may leave any subset of the group's sectors: a bad record may then
// be followed by a good one although nothing that was ever acknowledged is lost. A bad record can also be
// damage to something that was durable. What lies there looks the same in both cases, but for one thing: each
// record carries the newest LSN that was durable when it was written. So at the first place where the
// expected record n does not lie, whole and sound:
//
//   a sound record further on says that n was durable   → damage: the journal is refused, with the offset
//   none says so                                        → n was never acknowledged: the tail is cut here
//
// Never refused without damage. A sound record with durable LSN D was written when D, and all before it, had
// been synced, and a crash does not touch what was synced: the reader comes past D, so D < n.
// Never cut although a witness is left. Records lie at multiples of 8; the search tries each of them, and one
// sound record with D ≥ n is enough. A seal is one for all before it: they are durable when it is written.
// Never a wrong record. The checksum begins with the journal's uuid, and the LSN is exactly the expected one.
//
// Rejected: "a good record after a bad one is damage" refuses a journal after an ordinary power failure; "a
// bad record ends the log" silently drops acknowledged records after a flipped bit.
// Assumed: a sector of 512 bytes is written whole or not at all (a group begins in the sector in which the
// one before it ended).
// Out of reach: damage to the newest group, before anything was written after it, leaves no witness and is
// cut. A payload made on purpose to hold a future record of this journal's uuid can turn a cut into a
// refusal, never into a wrong record.
//
// What the caller has to do before anything is written behind offset(), or to a next segment:
//   - Only the last segment may end open or torn; in any other, everything but `sealed` is damage.
//   - torn: cut the file at offset() and fill with zeros, durably. The LSNs that were cut are given out
//     again, and what is left of their old records could pass for the new ones.
//   - Write [provenOffset(), offset()) again and sync. Those bytes were read, but nothing proves that they
//     are on the disk: after a failed sync the kernel may keep pages in memory, as clean, that it could not
//     write, and a sync alone would then succeed without writing them (Rebello et al., "Can Applications
//     Recover from fsync Failures?", 2020).
//
// Cost: linear in the segment, whatever it holds; memory 1/64 of the rest of the segment, and only when a
// search meets something that looks like a witness.
class SegmentReader {
 public:
  enum class End {
    open,    // the end of what was written: the next record goes to offset()
    sealed,  // the segment is full and complete; offset() is behind the seal
    torn,    // as open, but bytes of an unfinished write follow: cut at offset()
    corrupt  // damage at offset()
  };

  // `bytes`: the whole segment file, its header checked by the caller. The view must outlive the reader.
  SegmentReader(ByteView bytes, std::string uuid, Lsn firstLsn)
      : bytes_(bytes), uuid_(std::move(uuid)), first_(firstLsn), next_(firstLsn) {}

  // The next record, or nullopt at the end; end() then says which. Payloads point into the bytes.
  [[nodiscard]] std::optional<ParsedRecord> next() {
    if (done_) return std::nullopt;
    const std::optional<ParsedRecord> record =
        parseRecord(bytes_.subspan(std::min(offset_, bytes_.size())), uuid_);
    if (record && record->type == Record::sealType && record->lsn.value + 1 == next_.value) {
      if (!countMatches(*record)) return finish(End::corrupt);
      accept(*record);
      return finish(End::sealed);
    }
    if (!record || record->type == Record::sealType || record->lsn != next_) return finish(judge());
    if (record->durable.value + 1 == next_.value) provenOffset_ = offset_;
    accept(*record);
    next_.value += 1;
    return record;
  }

  // Valid once next() gave nullopt.
  [[nodiscard]] End end() const noexcept { return end_; }
  // Behind the last record that next() gave.
  [[nodiscard]] std::size_t offset() const noexcept { return offset_; }
  // The LSN that is expected there.
  [[nodiscard]] Lsn nextLsn() const noexcept { return next_; }
  // Of the last record read, the seal included; 0 before the first.
  [[nodiscard]] std::uint32_t checksum() const noexcept { return checksum_; }
  // What lies before it is on the disk for certain: a later record says so. (Exact for a writer that syncs
  // each group before it writes the next one, otherwise on the safe side.)
  [[nodiscard]] std::size_t provenOffset() const noexcept { return provenOffset_; }

 private:
  void accept(const ParsedRecord& record) noexcept {
    if (record.type == Record::sealType) provenOffset_ = offset_;
    offset_ += record.size;
    checksum_ = record.checksum;
  }
  std::optional<ParsedRecord> finish(End end) noexcept {
    end_ = end;
    done_ = true;
    return std::nullopt;
  }

  [[nodiscard]] bool countMatches(const ParsedRecord& seal) const noexcept {
    return seal.payload.size() == 8 &&
           detail::getNumber<std::uint64_t>(seal.payload, 0) == next_.value - first_.value;
  }

  // Why there is no record at offset_.
  [[nodiscard]] End judge() const {
    const auto isZero = [](std::byte byte) { return byte == std::byte{0}; };
    const ByteView rest = bytes_.subspan(std::min(offset_, bytes_.size()));
    if (std::all_of(rest.begin(), rest.end(), isZero)) return End::open;
    return hasWitness(rest) ? End::corrupt : End::torn;
  }

  // Whether a sound record in `rest` says that the expected one was durable. What is not even such a claim
  // costs a few comparisons; the first claim pays for one pass over the rest, so that bytes full of claims
  // cost no more.
  [[nodiscard]] bool hasWitness(ByteView rest) const {
    std::size_t at = nextClaim(rest, 0);
    if (at == rest.size()) return false;
    const Crc32cRanges ranges(rest);
    const std::uint32_t salt = crc32c(asBytes(uuid_));
    for (; at < rest.size(); at = nextClaim(rest, at + 8)) {
      const std::size_t size = Record::encodedSize(detail::getNumber<std::uint32_t>(rest, at + 4));
      if (detail::getNumber<std::uint32_t>(rest, at) == maskCrc(ranges.crc(at + 4, size - 4, salt)))
        return true;
    }
    return false;
  }
  // Where bytes look like a witness, from `at` on; the size of `rest` when they nowhere do.
  [[nodiscard]] std::size_t nextClaim(ByteView rest, std::size_t at) const noexcept {
    for (; at + Record::headerSize <= rest.size(); at += 8) {
      if (detail::getNumber<std::uint64_t>(rest, at + 24) < next_.value) continue;  // the durable LSN
      if (detail::parseClaim(rest.subspan(at))) return at;
    }
    return rest.size();
  }

  ByteView bytes_;
  std::string uuid_;
  Lsn first_;
  Lsn next_;
  std::size_t offset_ = SegmentHeader::size;
  std::size_t provenOffset_ = SegmentHeader::size;
  std::uint32_t checksum_ = 0;
  End end_ = End::open;
  bool done_ = false;
};

}  // namespace lukhas
