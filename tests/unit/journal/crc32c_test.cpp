#include "lukhas/journal/crc32c.hpp"

#include <algorithm>
#include <cstdint>

#include "support/catch.hpp"

using namespace lukhas;

namespace {

Bytes counting(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i);
  return bytes;
}

// Bit by bit, from the definition.
std::uint32_t slowCrc32c(ByteView bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const std::byte byte : bytes) {
    crc ^= std::to_integer<std::uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82F63B78U : 0U);
  }
  return ~crc;
}

}  // namespace

TEST_CASE("CRC-32C gives the values of RFC 3720 B.4", "[journal]") {
  CHECK(crc32c(Bytes(32, std::byte{0x00})) == 0x8A9136AAU);
  CHECK(crc32c(Bytes(32, std::byte{0xFF})) == 0x62A8AB43U);
  Bytes bytes = counting(32);
  CHECK(crc32c(bytes) == 0x46DD794EU);
  std::reverse(bytes.begin(), bytes.end());
  CHECK(crc32c(bytes) == 0x113FDB5CU);

  Bytes command(48);  // an iSCSI SCSI Read (10) command
  command[0] = std::byte{0x01};
  command[1] = std::byte{0xC0};
  command[16] = std::byte{0x14};
  command[22] = std::byte{0x04};
  command[27] = std::byte{0x14};
  command[31] = std::byte{0x18};
  command[32] = std::byte{0x28};
  command[40] = std::byte{0x02};
  CHECK(crc32c(command) == 0xD9963A56U);
}

TEST_CASE("CRC-32C gives its check value and zero for nothing", "[journal]") {
  CHECK(crc32c(asBytes("123456789")) == 0xE3069283U);
  CHECK(crc32c({}) == 0);
}

TEST_CASE("CRC-32C can be computed by the compiler", "[journal]") {
  constexpr std::uint32_t crc = [] {
    std::array<std::byte, 32> zeros{};
    return crc32c(zeros);
  }();
  STATIC_REQUIRE(crc == 0x8A9136AAU);
}

TEST_CASE("eight bytes at a time give the same CRC-32C as one bit at a time", "[journal]") {
  const Bytes bytes = counting(80);
  for (std::size_t begin = 0; begin < 16; ++begin) {
    for (std::size_t size = 0; begin + size <= bytes.size(); ++size) {
      const ByteView part = ByteView(bytes).subspan(begin, size);
      CHECK(crc32c(part) == slowCrc32c(part));
    }
  }
}

TEST_CASE("a CRC-32C is continued over the next bytes", "[journal]") {
  const Bytes bytes = counting(40);
  const ByteView all(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    CHECK(crc32c(all.subspan(cut), crc32c(all.first(cut))) == crc32c(all));
  }
}

TEST_CASE("a masked checksum is another one and can be told from its mask", "[journal]") {
  CHECK(maskCrc(0) == 0xA282EAD8U);
  for (const std::uint32_t crc : {0U, 1U, 0xE3069283U, 0xFFFFFFFFU}) {
    CHECK(maskCrc(crc) != crc);
    const std::uint32_t unmasked = std::rotl(maskCrc(crc) - 0xA282EAD8U, 15);
    CHECK(unmasked == crc);
  }
}
