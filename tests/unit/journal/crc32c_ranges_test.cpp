#include "lukhas/journal/crc32c_ranges.hpp"

#include <cstdint>

#include "support/catch.hpp"

using namespace lukhas;

namespace {

Bytes varied(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t state = 1;
  for (std::byte& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::byte>(state >> 24U);
  }
  return bytes;
}

}  // namespace

TEST_CASE("the checksum of every range is that of its bytes", "[journal]") {
  const Bytes bytes = varied(600);  // twice across the distance of two marks, and a rest
  const ByteView all(bytes);
  const Crc32cRanges ranges(all);
  std::size_t wrong = 0;
  for (std::size_t begin = 0; begin <= bytes.size(); ++begin) {
    for (std::size_t size = 0; begin + size <= bytes.size(); ++size) {
      if (ranges.crc(begin, size) != crc32c(all.subspan(begin, size))) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("the checksum of a range continues another one", "[journal]") {
  const Bytes bytes = varied(300);
  const std::uint32_t before = crc32c(asBytes("before"));
  CHECK(Crc32cRanges(bytes).crc(17, 250, before) == crc32c(ByteView(bytes).subspan(17, 250), before));
}

TEST_CASE("the checksum of a range of every order of length is that of its bytes", "[journal]") {
  const Bytes bytes = varied((std::size_t{1} << 24U) + 1000);
  const ByteView all(bytes);
  const Crc32cRanges ranges(all);
  for (const std::size_t size :
       {std::size_t{255}, std::size_t{256}, std::size_t{65535}, std::size_t{65536},
        std::size_t{(1U << 24U) - 1}, std::size_t{1U << 24U}, std::size_t{(1U << 24U) + 999}}) {
    CHECK(ranges.crc(1, size) == crc32c(all.subspan(1, size)));
  }
}

TEST_CASE("bytes that end at a mark and no bytes at all have ranges too", "[journal]") {
  const Bytes bytes = varied(512);
  CHECK(Crc32cRanges(bytes).crc(0, 512) == crc32c(bytes));
  CHECK(Crc32cRanges(bytes).crc(512, 0) == 0);
  CHECK(Crc32cRanges({}).crc(0, 0) == 0);
}
