#include "lukhas/journal/segment_reader.hpp"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/rapidcheck.hpp"
#include "support/segment_image.hpp"

using namespace lukhas;
using test::Reading;
using test::SegmentImage;
using End = SegmentReader::End;

namespace {

constexpr std::size_t sectorSize = 512;

// The whole range from the first case on: RapidCheck would begin with its lower end.
std::size_t below(std::size_t end) { return *rc::gen::resize(100, rc::gen::inRange<std::size_t>(0, end)); }

// From a seed, because a vector of random bytes would take RapidCheck longer than all that is tested here.
Bytes randomBytes(std::size_t size) {
  std::minstd_rand random(static_cast<std::uint32_t>(1 + below(1U << 30U)));
  Bytes bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random() >> 8U);
  return bytes;
}

// Often as short as can be, seldom longer than a sector; sometimes a copy of what was written before, as
// aligned as it was.
Bytes anyPayload(const Bytes& before, bool mayQuote) {
  const std::size_t kind = below(8);
  if (kind == 0) return randomBytes(below(1500));
  if (kind == 1 && mayQuote) {
    return {before.begin() + static_cast<std::ptrdiff_t>(SegmentHeader::size), before.end()};
  }
  return randomBytes(below(100));
}

void addGroup(SegmentImage& image, bool mayQuote) {
  const std::size_t records = 1 + below(6);
  std::vector<Bytes> payloads;
  for (std::size_t i = 0; i < records; ++i) payloads.push_back(anyPayload(image.bytes(), mayQuote && i == 0));
  image.group(payloads);
}

enum class Quotes { none, some };

SegmentImage anyHistory(Quotes quotes = Quotes::none) {
  SegmentImage image(Lsn{1 + below(1000)});
  const std::size_t groups = below(6);
  for (std::size_t i = 0; i < groups; ++i)
    addGroup(image, quotes == Quotes::some && image.bytes().size() < 8192);
  return image;
}

bool isWhole(const SegmentImage::Written& written, const Bytes& original, const Bytes& bytes) {
  if (written.offset + written.size > bytes.size()) return false;
  const auto begin = static_cast<std::ptrdiff_t>(written.offset);
  return std::equal(original.begin() + begin,
                    original.begin() + begin + static_cast<std::ptrdiff_t>(written.size),
                    bytes.begin() + begin);
}

// What a reader has to say about `bytes`, which were `image` once, told by comparing the two.
void checkAgainstWhatWasWritten(const SegmentImage& image, const Bytes& bytes) {
  const Reading reading = test::readAll(bytes, image.uuid(), image.first());
  const auto& written = image.written();
  std::size_t whole = 0;
  while (whole < written.size() && isWhole(written[whole], image.bytes(), bytes)) ++whole;
  const bool sealed = whole > 0 && written[whole - 1].isSeal();

  RC_ASSERT(reading.records.size() == whole - (sealed ? 1 : 0));
  for (std::size_t i = 0; i < reading.records.size(); ++i) {
    RC_ASSERT(reading.records[i].lsn == written[i].record.lsn);
    RC_ASSERT(reading.records[i].type == written[i].record.type);
    RC_ASSERT(reading.records[i].payload == written[i].record.payload);
  }
  const std::size_t end =
      whole == 0 ? SegmentHeader::size : written[whole - 1].offset + written[whole - 1].size;
  RC_ASSERT(reading.offset == end);
  RC_ASSERT(reading.provenOffset <= end);
  if (sealed) {
    RC_ASSERT(reading.end == End::sealed);
    return;
  }
  bool witness = false;
  for (std::size_t i = whole; i < written.size(); ++i) {
    witness =
        witness || (isWhole(written[i], image.bytes(), bytes) && written[i].record.durable >= reading.next);
  }
  const bool rest = std::any_of(bytes.begin() + static_cast<std::ptrdiff_t>(std::min(end, bytes.size())),
                                bytes.end(), [](std::byte byte) { return byte != std::byte{0}; });
  RC_ASSERT(reading.end == (witness ? End::corrupt : rest ? End::torn : End::open));
}

// What lay in the space of a segment before it was used, as many bytes as that.
Bytes anyOldContent(const SegmentImage& image, std::size_t size) {
  Bytes old(size);
  const std::size_t kind = below(4);
  if (kind == 1) {  // an older segment of this journal
    SegmentImage older(Lsn{1}, image.uuid());
    while (older.bytes().size() < size && older.written().size() + 6 < image.first().value)
      addGroup(older, false);
    if (!older.written().empty()) old = older.seal().bytes();
  } else if (kind == 2) {  // a segment of another one, record for record at the same places
    SegmentImage other(image.first(), "fedcba9876543210");
    for (const auto& written : image.written()) other.group({written.record.payload});
    while (other.bytes().size() < size) other.group({Bytes(20)});
    old = other.bytes();
  } else if (kind == 3) {
    old = randomBytes(size);
  }
  old.resize(size);
  return old;
}

}  // namespace

TEST_CASE("a segment that is cut at any byte gives what was whole before the cut", "[journal]") {
  test::holdsForAll("any cut, with and without zeros behind it", [] {
    SegmentImage image = anyHistory(Quotes::some);
    if (below(3) == 0) image.seal();
    const std::size_t step = 1 + image.bytes().size() / 1000;
    for (std::size_t cut = SegmentHeader::size + below(step); cut <= image.bytes().size(); cut += step) {
      Bytes bytes(image.bytes().begin(), image.bytes().begin() + static_cast<std::ptrdiff_t>(cut));
      RC_ASSERT(test::readAll(bytes, image.uuid(), image.first()).end != End::corrupt);
      if (cut / step % 7 == 0) bytes.resize(image.bytes().size() + 100);
      checkAgainstWhatWasWritten(image, bytes);
    }
  });
}

TEST_CASE("any flipped bit is refused or cuts what nothing proves to be durable", "[journal]") {
  test::holdsForAll("any bit of any record and of the zeros behind", [] {
    SegmentImage image = anyHistory();
    if (below(3) == 0) image.seal();
    Bytes bytes = image.bytes();
    bytes.resize(bytes.size() + below(200));
    const std::size_t step = 1 + bytes.size() / 1000;
    for (std::size_t at = SegmentHeader::size + below(step); at < bytes.size(); at += step) {
      const auto mask = static_cast<std::byte>(1U << (at * 5 % 8));
      bytes[at] ^= mask;
      checkAgainstWhatWasWritten(image, bytes);
      bytes[at] ^= mask;
    }
  });
}

TEST_CASE("each single flipped bit of a whole segment is detected", "[journal]") {
  SegmentImage image(Lsn{3});
  image.group({toBytes("first"), toBytes("")}).group({toBytes("third"), toBytes("a longer fourth one")});
  image.group({toBytes("fifth")}).seal();
  for (std::size_t bit = 8 * SegmentHeader::size; bit < 8 * image.bytes().size(); ++bit) {
    Bytes bytes = image.bytes();
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    const Reading reading = test::readAll(bytes, image.uuid(), image.first());
    std::size_t sound = 0;
    while (image.written()[sound].offset + image.written()[sound].size <= bit / 8) ++sound;
    CHECK(reading.records.size() == sound);
    // Only the seal itself has no witness behind it.
    CHECK(reading.end == (image.written()[sound].isSeal() ? End::torn : End::corrupt));
  }
}

TEST_CASE("any lost sectors of a write that was not synced are cut and never refused", "[journal]") {
  test::holdsForAll("any subset of the sectors, whatever lay there before", [] {
    SegmentImage image = anyHistory(Quotes::some);
    const std::size_t durableSize = image.bytes().size();
    const std::size_t durableRecords = image.written().size();
    if (below(6) == 0) {
      image.seal();
    } else {
      addGroup(image, true);
    }
    const Bytes old = anyOldContent(image, image.bytes().size() + below(2000));

    Bytes after = old;  // all is written
    std::copy(image.bytes().begin(), image.bytes().end(), after.begin());
    Bytes before = old;  // none of what was not synced is
    std::copy_n(image.bytes().begin(), durableSize, before.begin());

    const std::size_t firstSector = durableSize / sectorSize;
    const std::size_t sectors = (image.bytes().size() - 1) / sectorSize + 1 - firstSector;
    const std::size_t all = std::size_t{1} << std::min<std::size_t>(sectors, 20U);
    for (std::size_t tries = 0; tries < std::min<std::size_t>(all, 64); ++tries) {
      const std::size_t kept = all <= 64 ? tries : below(all);
      Bytes bytes = before;
      for (std::size_t sector = 0; sector < sectors; ++sector) {
        if (((kept >> std::min<std::size_t>(sector, 19U)) & 1U) == 0) continue;
        const std::size_t begin = (firstSector + sector) * sectorSize;
        const std::size_t size = std::min(sectorSize, bytes.size() - begin);
        std::copy_n(after.begin() + static_cast<std::ptrdiff_t>(begin), size,
                    bytes.begin() + static_cast<std::ptrdiff_t>(begin));
      }
      const Reading reading = test::readAll(bytes, image.uuid(), image.first());
      RC_ASSERT(reading.end != End::corrupt);
      RC_ASSERT(reading.records.size() >= durableRecords);
      checkAgainstWhatWasWritten(image, bytes);
    }
  });
}

TEST_CASE("whatever happens to a segment no wrong record is read and no proven one is dropped", "[journal]") {
  test::holdsForAll("zeroed and overwritten stretches, lost sectors, flipped bits, all together", [] {
    SegmentImage image = anyHistory();
    if (below(3) == 0) image.seal();
    Bytes bytes = image.bytes();
    const Bytes old = anyOldContent(image, bytes.size());
    const std::size_t faults = 1 + below(4);
    for (std::size_t fault = 0; fault < faults && bytes.size() > SegmentHeader::size; ++fault) {
      const std::size_t begin = SegmentHeader::size + below(bytes.size() - SegmentHeader::size);
      const std::size_t size = std::min(below(700) + 1, bytes.size() - begin);
      const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(begin);
      switch (below(4)) {
        case 0: std::fill_n(at, size, std::byte{0}); break;
        case 1: std::copy_n(old.begin() + static_cast<std::ptrdiff_t>(begin), size, at); break;
        case 2: *at ^= static_cast<std::byte>(1U << below(8)); break;
        default: bytes.resize(begin); break;
      }
    }
    checkAgainstWhatWasWritten(image, bytes);
  });
}

TEST_CASE("bytes that no journal wrote hold no records", "[journal]") {
  test::holdsForAll("random bytes", [] {
    const Bytes bytes = randomBytes(below(3000));
    const Reading reading = test::readAll(bytes, "0123456789abcdef", Lsn{1});
    RC_ASSERT(reading.records.empty());
    RC_ASSERT(reading.end == End::torn || reading.end == End::open);
  });
}
