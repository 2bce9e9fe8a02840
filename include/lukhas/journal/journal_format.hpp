// The journal's format on disk: segment header and records. Pure.
#pragma once

#include <algorithm>
#include <cassert>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lukhas/core/bytes.hpp"
#include "lukhas/journal/crc32c.hpp"

namespace lukhas {

// Number of a record in its journal: 1, 2, 3, … without gaps inside a segment. 0: none.
struct Lsn {
  std::uint64_t value = 0;
  friend auto operator<=>(const Lsn&, const Lsn&) = default;
};

// A segment file is its header, then records without space between them, then zeros or the end of the file.
// All numbers are little-endian and written byte by byte, so that a journal can be read on any machine.
//
//   header   offset  bytes                          record   offset  bytes
//            0       8   magic                               0       4   masked CRC-32C
//            8       4   format version                      4       4   payload's length
//            12      4   masked CRC-32C                      8       1   type, never 0
//            16      16  journal's uuid                      9       7   zeros
//            32      8   segment's number                    16      8   LSN
//            40      8   LSN of its first record             24      8   durable LSN
//            48      8   checksum before                     32      …   payload, padded with zeros to 8
//            56      8   epoch
//
// Each CRC covers everything but itself. That of a record begins with the journal's uuid, so that bytes of
// another journal never pass, whatever they are. What an older use of the same space left does pass its CRC,
// and is told by its LSN: a reader takes only the one it expects. The durable LSN is that of a record which
// was certainly on disk, with all before it, when this one was written; it is what tells a torn tail from
// damage (SegmentReader).
struct SegmentHeader {
  static constexpr std::size_t size = 64;
  static constexpr std::uint32_t formatVersion = 1;
  static constexpr std::string_view magic = "lukhasJ\x01";

  std::string uuid;  // 16 raw bytes
  std::uint64_t number = 0;
  Lsn firstLsn;
  std::uint64_t previousChecksum = 0;  // of the seal of the segment before; 0 in the first segment
  std::uint64_t epoch = 0;             // of the life of the journal that made the segment

  [[nodiscard]] Bytes encode() const;
  // nullopt when the bytes are no sound header of this format version.
  [[nodiscard]] static std::optional<SegmentHeader> decode(ByteView bytes);
};

struct Record {
  static constexpr std::size_t headerSize = 32;
  static constexpr std::uint8_t bootType = 254;  // payload: the epoch that begins
  // Ends a full segment. LSN and durable LSN: of the record before it, or one less than the segment's first
  // when there is none. Payload: how many records the segment has, 8 bytes.
  static constexpr std::uint8_t sealType = 255;
  // A length above it is never written, and therefore no record. Who appends sets a limit below it.
  static constexpr std::size_t maxPayloadBytes = std::size_t{1} << 30U;

  std::uint8_t type = 0;
  Lsn lsn;
  Lsn durable;
  Bytes payload;

  [[nodiscard]] static constexpr std::size_t encodedSize(std::size_t payloadSize) noexcept {
    return headerSize + (payloadSize + 7) / 8 * 8;
  }
};

// Appends an encoded record to `out` and returns its checksum. The type is not 0, `durable` not above `lsn`,
// the payload not above Record::maxPayloadBytes: what breaks these would be written but never read.
inline std::uint32_t encodeRecord(Bytes& out, std::string_view uuid, std::uint8_t type, Lsn lsn, Lsn durable,
                                  ByteView payload);

// A record that lies at the beginning of `bytes`, whole and sound.
struct ParsedRecord {
  std::uint8_t type = 0;
  Lsn lsn;
  Lsn durable;
  ByteView payload;  // into `bytes`
  std::size_t size = 0;
  std::uint32_t checksum = 0;
};
[[nodiscard]] inline std::optional<ParsedRecord> parseRecord(ByteView bytes, std::string_view uuid) noexcept;

namespace detail {

template <class Number>
void setNumber(Bytes& out, std::size_t offset, Number number) noexcept {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    out[offset + i] = static_cast<std::byte>((number >> (8 * i)) & 0xFFU);
  }
}
template <class Number>
void putNumber(Bytes& out, Number number) {
  out.resize(out.size() + sizeof(Number));
  setNumber(out, out.size() - sizeof(Number), number);
}
template <class Number>
[[nodiscard]] Number getNumber(ByteView bytes, std::size_t offset) noexcept {
  Number number = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    number = static_cast<Number>(number |
                                 static_cast<Number>(std::to_integer<Number>(bytes[offset + i]) << (8 * i)));
  }
  return number;
}

// What the first Record::headerSize bytes claim. nullopt when they cannot be a record that is whole in
// `bytes`; the checksum is not looked at. For `checksum` see parseRecord.
[[nodiscard]] inline std::optional<ParsedRecord> parseClaim(ByteView bytes) noexcept {
  if (bytes.size() < Record::headerSize) return std::nullopt;
  const auto length = getNumber<std::uint32_t>(bytes, 4);
  if (length > Record::maxPayloadBytes || Record::encodedSize(length) > bytes.size()) return std::nullopt;
  ParsedRecord claim;
  claim.checksum = getNumber<std::uint32_t>(bytes, 0);
  claim.type = std::to_integer<std::uint8_t>(bytes[8]);
  claim.lsn = Lsn{getNumber<std::uint64_t>(bytes, 16)};
  claim.durable = Lsn{getNumber<std::uint64_t>(bytes, 24)};
  claim.payload = bytes.subspan(Record::headerSize, length);
  claim.size = Record::encodedSize(length);
  if (claim.type == 0 || claim.lsn < claim.durable) return std::nullopt;
  return claim;
}

}  // namespace detail

inline Bytes SegmentHeader::encode() const {
  assert(uuid.size() == 16);
  Bytes out(size);
  const auto put = [&out](std::size_t offset, ByteView bytes) {
    std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<std::ptrdiff_t>(offset));
  };
  put(0, asBytes(magic));
  detail::setNumber(out, 8, formatVersion);
  put(16, asBytes(uuid));
  detail::setNumber(out, 32, number);
  detail::setNumber(out, 40, firstLsn.value);
  detail::setNumber(out, 48, previousChecksum);
  detail::setNumber(out, 56, epoch);
  const ByteView all(out);
  detail::setNumber(out, 12, maskCrc(crc32c(all.subspan(16), crc32c(all.first(12)))));
  return out;
}

inline std::optional<SegmentHeader> SegmentHeader::decode(ByteView bytes) {
  if (bytes.size() < size || asText(bytes.first(8)) != magic) return std::nullopt;
  if (detail::getNumber<std::uint32_t>(bytes, 8) != formatVersion) return std::nullopt;
  const std::uint32_t crc = crc32c(bytes.subspan(16, size - 16), crc32c(bytes.first(12)));
  if (detail::getNumber<std::uint32_t>(bytes, 12) != maskCrc(crc)) return std::nullopt;
  SegmentHeader header;
  header.uuid = std::string(asText(bytes.subspan(16, 16)));
  header.number = detail::getNumber<std::uint64_t>(bytes, 32);
  header.firstLsn = Lsn{detail::getNumber<std::uint64_t>(bytes, 40)};
  header.previousChecksum = detail::getNumber<std::uint64_t>(bytes, 48);
  header.epoch = detail::getNumber<std::uint64_t>(bytes, 56);
  return header;
}

inline std::uint32_t encodeRecord(Bytes& out, std::string_view uuid, std::uint8_t type, Lsn lsn, Lsn durable,
                                  ByteView payload) {
  assert(type != 0 && durable <= lsn && payload.size() <= Record::maxPayloadBytes);
  const std::size_t begin = out.size();
  detail::putNumber(out, std::uint32_t{0});
  detail::putNumber(out, static_cast<std::uint32_t>(payload.size()));
  detail::putNumber(out, std::uint64_t{type});
  detail::putNumber(out, lsn.value);
  detail::putNumber(out, durable.value);
  out.insert(out.end(), payload.begin(), payload.end());
  out.resize(begin + Record::encodedSize(payload.size()));
  const std::uint32_t crc = maskCrc(crc32c(ByteView(out).subspan(begin + 4), crc32c(asBytes(uuid))));
  detail::setNumber(out, begin, crc);
  return crc;
}

inline std::optional<ParsedRecord> parseRecord(ByteView bytes, std::string_view uuid) noexcept {
  const std::optional<ParsedRecord> claim = detail::parseClaim(bytes);
  if (!claim) return std::nullopt;
  if (claim->checksum != maskCrc(crc32c(bytes.subspan(4, claim->size - 4), crc32c(asBytes(uuid)))))
    return std::nullopt;
  return claim;
}

}  // namespace lukhas
