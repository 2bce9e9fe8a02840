#include "lukhas/journal/journal_format.hpp"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "support/catch.hpp"

using namespace lukhas;

namespace {

const std::string uuid = "0123456789abcdef";

std::string hex(ByteView bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) >> 4U];
    text += "0123456789abcdef"[std::to_integer<unsigned>(byte) & 15U];
  }
  return text;
}

SegmentHeader someHeader() {
  SegmentHeader header;
  header.uuid = uuid;
  header.number = 3;
  header.firstLsn = Lsn{0x0102030405060708};
  header.previousChecksum = 0xA1B2C3D4;
  header.epoch = 9;
  return header;
}

Bytes someRecord(std::string_view payload) {
  Bytes bytes;
  encodeRecord(bytes, uuid, 7, Lsn{42}, Lsn{40}, asBytes(payload));
  return bytes;
}

void flip(Bytes& bytes, std::size_t bit) { bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8)); }

// Makes a changed record sound again.
void correctChecksum(Bytes& bytes) {
  const std::uint32_t crc = crc32c(ByteView(bytes).subspan(4), crc32c(asBytes(uuid)));
  detail::setNumber(bytes, 0, maskCrc(crc));
}

}  // namespace

TEST_CASE("a segment header survives the way to bytes and back", "[journal]") {
  const Bytes bytes = someHeader().encode();
  REQUIRE(bytes.size() == SegmentHeader::size);
  const auto header = SegmentHeader::decode(bytes);
  REQUIRE(header);
  CHECK(header->uuid == uuid);
  CHECK(header->number == 3);
  CHECK(header->firstLsn == Lsn{0x0102030405060708});
  CHECK(header->previousChecksum == 0xA1B2C3D4);
  CHECK(header->epoch == 9);
}

TEST_CASE("a segment header with a flipped bit or a missing byte is none", "[journal]") {
  Bytes bytes = someHeader().encode();
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    flip(bytes, bit);
    CHECK_FALSE(SegmentHeader::decode(bytes));
    flip(bytes, bit);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(SegmentHeader::decode(ByteView(bytes).first(size)));
  }
  CHECK_FALSE(SegmentHeader::decode(Bytes(SegmentHeader::size)));
  CHECK(SegmentHeader::decode(bytes));
}

TEST_CASE("a segment header of another format version is none", "[journal]") {
  Bytes bytes = someHeader().encode();
  detail::setNumber(bytes, 8, std::uint32_t{SegmentHeader::formatVersion + 1});
  const std::uint32_t crc = crc32c(ByteView(bytes).subspan(16), crc32c(ByteView(bytes).first(12)));
  detail::setNumber(bytes, 12, maskCrc(crc));
  CHECK_FALSE(SegmentHeader::decode(bytes));
}

TEST_CASE("the bytes of header and record are the documented ones", "[journal]") {
  // Computed by another program from the table in journal_format.hpp; journals on disk depend on them.
  CHECK(hex(someHeader().encode()) ==
        "6c756b6861734a010100000098ab101a"
        "30313233343536373839616263646566"
        "03000000000000000807060504030201"
        "d4c3b2a1000000000900000000000000");
  CHECK(hex(someRecord("hello")) ==
        "78b09f320500000007000000000000002a000000000000002800000000000000"
        "68656c6c6f000000");
}

TEST_CASE("a record survives the way to bytes and back whatever its length", "[journal]") {
  for (std::size_t length = 0; length < 40; ++length) {
    const std::string payload(length, 'x');
    Bytes bytes = toBytes("behind what is there");
    const std::size_t begin = bytes.size();
    const std::uint32_t checksum = encodeRecord(bytes, uuid, 7, Lsn{42}, Lsn{40}, asBytes(payload));
    CHECK(bytes.size() - begin == Record::encodedSize(length));
    CHECK(Record::encodedSize(length) % 8 == 0);
    bytes.resize(bytes.size() + 3);  // what follows does not matter

    const auto record = parseRecord(ByteView(bytes).subspan(begin), uuid);
    REQUIRE(record);
    CHECK(record->type == 7);
    CHECK(record->lsn == Lsn{42});
    CHECK(record->durable == Lsn{40});
    CHECK(asText(record->payload) == payload);
    CHECK(record->size == Record::encodedSize(length));
    CHECK(record->checksum == checksum);
  }
}

TEST_CASE("a record with a flipped bit is none", "[journal]") {
  for (const char* payload : {"", "hello", "sixteen letters!"}) {
    Bytes bytes = someRecord(payload);
    bytes.resize(bytes.size() + 4096);  // room for what a wrong length claims
    for (std::size_t bit = 0; bit < 8 * someRecord(payload).size(); ++bit) {
      flip(bytes, bit);
      CHECK_FALSE(parseRecord(bytes, uuid));
      flip(bytes, bit);
    }
    CHECK(parseRecord(bytes, uuid));
  }
}

TEST_CASE("a record that is cut anywhere is none", "[journal]") {
  const Bytes bytes = someRecord("hello");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK_FALSE(parseRecord(ByteView(bytes).first(size), uuid));
  }
}

TEST_CASE("a record of another journal is none", "[journal]") {
  CHECK_FALSE(parseRecord(someRecord("hello"), "0123456789abcdeF"));
}

TEST_CASE("zeros are no record", "[journal]") { CHECK_FALSE(parseRecord(Bytes(4096), uuid)); }

TEST_CASE("a sound checksum does not make a record of type zero or of a future durable one", "[journal]") {
  Bytes bytes = someRecord("hello");
  correctChecksum(bytes);
  REQUIRE(parseRecord(bytes, uuid));
  detail::setNumber(bytes, 24, std::uint64_t{43});
  correctChecksum(bytes);
  CHECK_FALSE(parseRecord(bytes, uuid));
  detail::setNumber(bytes, 24, std::uint64_t{42});
  correctChecksum(bytes);
  CHECK(parseRecord(bytes, uuid));
  bytes[8] = std::byte{0};
  correctChecksum(bytes);
  CHECK_FALSE(parseRecord(bytes, uuid));
}

TEST_CASE("a length is believed up to the limit of the format and not one past it", "[journal]") {
  const std::size_t size = Record::encodedSize(Record::maxPayloadBytes + 8);
  const std::unique_ptr<void, void (*)(void*)> memory(std::calloc(size, 1),
                                                      &std::free);  // never touched but for the header
  REQUIRE(memory);
  Bytes header = someRecord("");
  const ByteView room(static_cast<const std::byte*>(memory.get()), size);
  const auto claims = [&](std::size_t length) {
    detail::setNumber(header, 4, static_cast<std::uint32_t>(length));
    std::copy(header.begin(), header.end(), static_cast<std::byte*>(memory.get()));
    return detail::parseClaim(room).has_value();
  };
  CHECK(claims(Record::maxPayloadBytes));
  CHECK_FALSE(claims(Record::maxPayloadBytes + 1));
  CHECK_FALSE(claims(0xFFFFFFFF));
}
