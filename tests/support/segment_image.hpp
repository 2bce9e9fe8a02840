// SegmentImage: a segment as the journal writes it, with a note of every record, for tests of what reads it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/journal/journal_format.hpp"
#include "lukhas/journal/segment_reader.hpp"

namespace lukhas::test {

// What a reader made of a segment.
struct Reading {
  std::vector<Record> records;
  SegmentReader::End end = SegmentReader::End::open;
  std::size_t offset = 0;
  std::size_t provenOffset = 0;
  Lsn next;
};

inline Reading readAll(ByteView bytes, const std::string& uuid, Lsn first) {
  SegmentReader reader(bytes, uuid, first);
  Reading reading;
  while (const auto found = reader.next()) {
    reading.records.push_back(
        {found->type, found->lsn, found->durable, Bytes(found->payload.begin(), found->payload.end())});
  }
  reading.end = reader.end();
  reading.offset = reader.offset();
  reading.provenOffset = reader.provenOffset();
  reading.next = reader.nextLsn();
  return reading;
}

class SegmentImage {
 public:
  struct Written {
    Record record;  // or the seal
    std::size_t offset = 0;
    std::size_t size = 0;
    [[nodiscard]] bool isSeal() const { return record.type == Record::sealType; }
  };

  explicit SegmentImage(Lsn first = Lsn{1}, std::string uuid = "0123456789abcdef")
      : uuid_(std::move(uuid)), first_(first), next_(first) {
    SegmentHeader header;
    header.uuid = uuid_;
    header.number = 1;
    header.firstLsn = first;
    bytes_ = header.encode();
  }

  // Records that are written together, after everything before them was synced.
  SegmentImage& group(const std::vector<Bytes>& payloads) {
    const Lsn durable{next_.value - 1};
    for (const Bytes& payload : payloads) {
      put(7, next_, durable, payload);
      next_.value += 1;
    }
    return *this;
  }
  SegmentImage& seal() {
    Bytes count;
    detail::putNumber(count, next_.value - first_.value);
    const Lsn last{next_.value - 1};
    put(Record::sealType, last, last, count);
    return *this;
  }
  SegmentImage& zerosUpTo(std::size_t size) {
    bytes_.resize(std::max(size, bytes_.size()));
    return *this;
  }
  // As the journal would never write it.
  void put(std::uint8_t type, Lsn lsn, Lsn durable, const Bytes& payload) {
    const std::size_t offset = bytes_.size();
    encodeRecord(bytes_, uuid_, type, lsn, durable, payload);
    written_.push_back({{type, lsn, durable, payload}, offset, bytes_.size() - offset});
  }

  [[nodiscard]] Reading read() const { return readAll(bytes_, uuid_, first_); }
  [[nodiscard]] const std::string& uuid() const { return uuid_; }
  [[nodiscard]] Lsn first() const { return first_; }
  [[nodiscard]] Bytes& bytes() { return bytes_; }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }
  [[nodiscard]] const std::vector<Written>& written() const { return written_; }
  // By LSN.
  [[nodiscard]] const Written& at(std::uint64_t lsn) const { return written_.at(lsn - first_.value); }

 private:
  std::string uuid_;
  Lsn first_;
  Lsn next_;
  Bytes bytes_;
  std::vector<Written> written_;
};

}  // namespace lukhas::test
