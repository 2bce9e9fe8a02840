#include "lukhas/journal/segment_reader.hpp"

#include <cstdint>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/segment_image.hpp"

using namespace lukhas;
using test::Reading;
using test::SegmentImage;
using End = SegmentReader::End;

namespace {

std::vector<Bytes> payloads(std::size_t count, std::size_t size = 20) {
  return std::vector<Bytes>(count, Bytes(size, std::byte{0x5a}));
}

void damage(SegmentImage& image, std::uint64_t lsn) {
  image.bytes()[image.at(lsn).offset + 33] ^= std::byte{4};
}

void zero(SegmentImage& image, std::size_t begin, std::size_t end) {
  std::fill(image.bytes().begin() + static_cast<std::ptrdiff_t>(begin),
            image.bytes().begin() + static_cast<std::ptrdiff_t>(end), std::byte{0});
}

}  // namespace

TEST_CASE("a reader gives each record once and in order", "[journal]") {
  SegmentImage image(Lsn{10});
  image.group({toBytes("a"), toBytes("")}).group({toBytes("third")});
  const Reading reading = image.read();
  REQUIRE(reading.records.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(reading.records[i].lsn == Lsn{10 + i});
    CHECK(reading.records[i].type == 7);
    CHECK(reading.records[i].payload == image.written()[i].record.payload);
    CHECK(reading.records[i].durable == image.written()[i].record.durable);
  }
  CHECK(reading.next == Lsn{13});
}

TEST_CASE("a segment ends open at the end of the file and at zeros", "[journal]") {
  for (const std::size_t zeros : {0U, 1U, 7U, 8U, 31U, 32U, 4096U}) {
    SegmentImage image;
    image.group(payloads(2));
    const std::size_t written = image.bytes().size();
    image.zerosUpTo(written + zeros);
    CHECK(image.read().records.size() == 2);
    CHECK(image.read().end == End::open);
    CHECK(image.read().offset == written);
  }
}

TEST_CASE("a segment without records is open behind its header", "[journal]") {
  SegmentImage image(Lsn{5});
  image.zerosUpTo(1024);
  CHECK(image.read().end == End::open);
  CHECK(image.read().offset == SegmentHeader::size);
  CHECK(image.read().next == Lsn{5});
}

TEST_CASE("a file that is shorter than a header has no records", "[journal]") {
  const Bytes bytes(10);
  CHECK(test::readAll(bytes, "0123456789abcdef", Lsn{1}).end == End::open);
}

TEST_CASE("a seal ends a segment and nothing is read behind it", "[journal]") {
  SegmentImage image;
  image.group(payloads(2)).seal();
  const std::size_t sealed = image.bytes().size();
  image.group(payloads(1));
  const Reading reading = image.read();
  CHECK(reading.end == End::sealed);
  CHECK(reading.records.size() == 2);
  CHECK(reading.offset == sealed);
}

TEST_CASE("a segment is sealed without records too", "[journal]") {
  SegmentImage image(Lsn{8});
  image.seal();
  CHECK(image.read().end == End::sealed);
  CHECK(image.read().next == Lsn{8});
}

TEST_CASE("a seal that counts other records is damage", "[journal]") {
  SegmentImage image;
  image.group(payloads(2));
  Bytes count;
  detail::putNumber(count, std::uint64_t{3});
  image.put(Record::sealType, Lsn{2}, Lsn{2}, count);
  CHECK(image.read().end == End::corrupt);
  CHECK(image.read().offset == image.written().back().offset);
}

TEST_CASE("the checksum is that of the last record or of the seal", "[journal]") {
  SegmentImage image;
  SegmentReader empty(image.bytes(), image.uuid(), image.first());
  CHECK_FALSE(empty.next());
  CHECK(empty.checksum() == 0);
  image.group(payloads(1)).seal();
  SegmentReader reader(image.bytes(), image.uuid(), image.first());
  const auto record = reader.next();
  REQUIRE(record);
  CHECK(reader.checksum() == record->checksum);
  CHECK_FALSE(reader.next());
  CHECK(reader.checksum() == detail::getNumber<std::uint32_t>(image.bytes(), image.written().back().offset));
  CHECK_FALSE(reader.next());  // and it stays at the end
  CHECK(reader.end() == End::sealed);
}

TEST_CASE("a record that is cut short is a torn tail", "[journal]") {
  SegmentImage image;
  image.group(payloads(3)).bytes().resize(image.at(3).offset + 5);
  CHECK(image.read().end == End::torn);
  CHECK(image.read().offset == image.at(3).offset);
  CHECK(image.read().records.size() == 2);
}

TEST_CASE("good records behind a bad one of the same group are a torn tail", "[journal]") {
  SegmentImage image;
  image.group(payloads(2)).group(payloads(3));
  damage(image, 3);
  const Reading reading = image.read();
  CHECK(reading.end == End::torn);
  CHECK(reading.offset == image.at(3).offset);
  CHECK(reading.next == Lsn{3});
}

TEST_CASE("a bad record that a later one knows to be durable is damage", "[journal]") {
  for (std::uint64_t bad = 1; bad <= 4; ++bad) {
    SegmentImage image;
    image.group(payloads(2)).group(payloads(2)).group(payloads(2));
    damage(image, bad);
    CHECK(image.read().end == End::corrupt);
    CHECK(image.read().offset == image.at(bad).offset);
    CHECK(image.read().records.size() == bad - 1);
  }
}

TEST_CASE("one surviving witness is enough to tell damage", "[journal]") {
  SegmentImage image;
  image.group(payloads(4)).group(payloads(3));
  const std::size_t witness = image.at(7).offset;
  zero(image, image.at(2).offset, witness);
  CHECK(image.read().end == End::corrupt);
  damage(image, 7);  // without it nothing says that record 2 was ever acknowledged
  CHECK(image.read().end == End::torn);
}

TEST_CASE("a seal is a witness for all before it", "[journal]") {
  SegmentImage image;
  image.group(payloads(4)).seal();
  damage(image, 4);
  CHECK(image.read().end == End::corrupt);
  CHECK(image.read().offset == image.at(4).offset);
}

TEST_CASE("a damaged seal is a torn tail", "[journal]") {
  SegmentImage image;
  image.group(payloads(2)).seal();
  image.bytes().back() ^= std::byte{1};
  CHECK(image.read().end == End::torn);
  CHECK(image.read().offset == image.written().back().offset);
}

TEST_CASE("records that were taken out of the middle are damage", "[journal]") {
  SegmentImage image;
  image.group(payloads(2)).group(payloads(2)).group(payloads(2));
  const auto begin = image.bytes().begin();
  image.bytes().erase(begin + static_cast<std::ptrdiff_t>(image.at(3).offset),
                      begin + static_cast<std::ptrdiff_t>(image.at(5).offset));
  CHECK(image.read().end == End::corrupt);
  CHECK(image.read().next == Lsn{3});
}

TEST_CASE("records of an older use of the space are never read and are no witnesses", "[journal]") {
  SegmentImage old(Lsn{1});
  old.group(payloads(2)).group(payloads(4)).seal();
  SegmentImage image(Lsn{100});
  image.group(payloads(2));
  const std::size_t written = image.bytes().size();
  image.bytes().insert(image.bytes().end(), old.bytes().begin() + static_cast<std::ptrdiff_t>(written),
                       old.bytes().end());
  CHECK(image.read().records.size() == 2);
  CHECK(image.read().end == End::torn);
  CHECK(image.read().offset == written);
}

TEST_CASE("records of another journal are never read and are no witnesses", "[journal]") {
  SegmentImage other(Lsn{1}, "another journal!");
  other.group(payloads(2)).group(payloads(2)).seal();
  SegmentImage image(Lsn{1});
  image.group(payloads(2));
  const auto same = static_cast<std::ptrdiff_t>(image.bytes().size());
  image.bytes().insert(image.bytes().end(), other.bytes().begin() + same, other.bytes().end());
  CHECK(image.read().records.size() == 2);
  CHECK(image.read().end == End::torn);
}

TEST_CASE("only a sound record is a witness", "[journal]") {
  SegmentImage image;
  image.group(payloads(1)).group(payloads(1));
  damage(image, 1);
  CHECK(image.read().end == End::corrupt);
  const std::size_t witness = image.at(2).offset;
  for (std::size_t bit = 8 * witness; bit < 8 * image.bytes().size(); ++bit) {
    image.bytes()[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    CHECK(image.read().end == End::torn);
    image.bytes()[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
  }
}

TEST_CASE("a durable LSN of the expected record is enough and one less is not", "[journal]") {
  for (const std::uint64_t durable : {1U, 2U, 3U}) {
    SegmentImage image;
    image.group(payloads(1));
    image.put(7, Lsn{2}, Lsn{1}, toBytes("bad"));
    image.put(7, Lsn{9}, Lsn{durable}, toBytes("far on"));
    damage(image, 2);
    CHECK(image.read().end == (durable >= 2 ? End::corrupt : End::torn));
  }
}

TEST_CASE("what is proven to be on disk ends where the newest group begins", "[journal]") {
  SegmentImage image;
  CHECK(image.read().provenOffset == SegmentHeader::size);
  image.group(payloads(2));
  CHECK(image.read().provenOffset == SegmentHeader::size);
  image.group(payloads(3));
  CHECK(image.read().provenOffset == image.at(3).offset);
  image.seal();
  CHECK(image.read().end == End::sealed);
  CHECK(image.read().provenOffset == image.written().back().offset);
}

TEST_CASE("bytes that claim a witness at every place are searched in linear time", "[journal]") {
  // Each 8 bytes are length, type, LSN and durable LSN of a record of 1 MiB: computed one by one, these are
  // 100 GB.
  SegmentImage image;
  while (image.bytes().size() < std::size_t{2} << 20U)
    detail::putNumber(image.bytes(), std::uint64_t{1} << 52U | 1U);
  CHECK(image.read().end == End::torn);
}
