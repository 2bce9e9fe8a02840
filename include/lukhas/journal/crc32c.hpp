// CRC-32C, the checksum of journal records.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "lukhas/core/bytes.hpp"

namespace lukhas {

namespace detail {

// The Castagnoli polynomial, reflected: the bit of weight 1 is the coefficient of x^31.
inline constexpr std::uint32_t crc32cPolynomial = 0x82F63B78U;

// Slicing by 8: table k says what a byte does to the register when k more bytes follow it, so that eight
// bytes are taken at a time (Kounavis and Berry, "A Systematic Approach to Building High Performance,
// Software-based, CRC Generators", ISCC 2005).
constexpr std::array<std::array<std::uint32_t, 256>, 8> makeCrc32cTables() noexcept {
  std::array<std::array<std::uint32_t, 256>, 8> tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? crc32cPolynomial : 0U);
    tables[0][byte] = crc;
  }
  for (std::size_t table = 1; table < tables.size(); ++table) {
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t previous = tables[table - 1][byte];
      tables[table][byte] = (previous >> 8U) ^ tables[0][previous & 0xFFU];
    }
  }
  return tables;
}

inline constexpr auto crc32cTables = makeCrc32cTables();

// The bare shift register: linear in `state` and in `bytes`, which is what Crc32cRanges builds on.
[[nodiscard]] constexpr std::uint32_t advanceCrc32c(std::uint32_t state, ByteView bytes) noexcept {
  const auto& tables = crc32cTables;
  const auto at = [bytes](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  std::size_t i = 0;
  for (; bytes.size() - i >= 8; i += 8) {
    const std::uint32_t low = state ^ (at(i) | at(i + 1) << 8U | at(i + 2) << 16U | at(i + 3) << 24U);
    state = tables[7][low & 0xFFU] ^ tables[6][(low >> 8U) & 0xFFU] ^ tables[5][(low >> 16U) & 0xFFU] ^
            tables[4][low >> 24U] ^ tables[3][at(i + 4)] ^ tables[2][at(i + 5)] ^ tables[1][at(i + 6)] ^
            tables[0][at(i + 7)];
  }
  for (; i < bytes.size(); ++i) state = (state >> 8U) ^ tables[0][(state ^ at(i)) & 0xFFU];
  return state;
}

}  // namespace detail

// Continues `crc` (0 to begin) over `bytes`: crc32c(b, crc32c(a)) is the checksum of a followed by b. Check
// value of "123456789": 0xE3069283. Finds every error of up to 32 bits in a row and every odd number of
// flipped bits; it is no protection against somebody who means to deceive.
[[nodiscard]] constexpr std::uint32_t crc32c(ByteView bytes, std::uint32_t crc = 0) noexcept {
  return ~detail::advanceCrc32c(~crc, bytes);
}

// A checksum that is stored beside the data it covers is rotated and shifted first: the CRC of data that
// itself contains CRCs is a weak one (LevelDB, util/crc32c.h and doc/log_format.md).
[[nodiscard]] constexpr std::uint32_t maskCrc(std::uint32_t crc) noexcept {
  return std::rotr(crc, 15) + 0xA282EAD8U;
}

}  // namespace lukhas
