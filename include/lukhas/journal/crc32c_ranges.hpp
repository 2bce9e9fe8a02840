// Crc32cRanges: the CRC-32C of any part of some bytes, without reading the part again.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lukhas/journal/crc32c.hpp"

namespace lukhas {

namespace detail {

// a · b modulo the polynomial, both reflected.
[[nodiscard]] constexpr std::uint32_t multiplyCrc32c(std::uint32_t a, std::uint32_t b) noexcept {
  std::uint32_t product = 0;
  for (std::uint32_t bit = 0x80000000U; bit != 0; bit >>= 1U) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1U) ^ ((b & 1U) != 0 ? crc32cPolynomial : 0U);
  }
  return product;
}

// powers[k][d] is x^(8 · d · 256^k): what d · 256^k bytes do to the register when all are zero.
constexpr std::array<std::array<std::uint32_t, 256>, sizeof(std::size_t)> makeCrc32cPowers() noexcept {
  std::array<std::array<std::uint32_t, 256>, sizeof(std::size_t)> powers{};
  std::uint32_t base = 0x00800000U;  // x^8
  for (auto& row : powers) {
    row[0] = 0x80000000U;  // 1
    for (std::size_t digit = 1; digit < row.size(); ++digit)
      row[digit] = multiplyCrc32c(row[digit - 1], base);
    base = multiplyCrc32c(row[255], base);
  }
  return powers;
}

inline constexpr auto crc32cPowers = makeCrc32cPowers();

}  // namespace detail

// Made in one pass over the bytes; after that each range costs about half a microsecond, however long it is.
// Whoever has to try many ranges that overlap is linear then instead of quadratic. Keeps 4 bytes for 256, and
// a view: the bytes must outlive it.
//
// The register is linear (zlib's crc32_combine rests on the same): with P(n) the register after the first n
// bytes, begun at 0, and s before the range, it is (s ^ P(begin)) · x^(8 · (end - begin)) ^ P(end) after it.
class Crc32cRanges {
 public:
  explicit Crc32cRanges(ByteView bytes) : bytes_(bytes) {
    marks_.reserve(bytes.size() / spacing + 1);
    std::uint32_t state = 0;
    for (std::size_t at = 0; at + spacing <= bytes.size(); at += spacing) {
      marks_.push_back(state);
      state = detail::advanceCrc32c(state, bytes.subspan(at, spacing));
    }
    marks_.push_back(state);
  }

  // The same as crc32c(bytes.subspan(begin, size), crc).
  [[nodiscard]] std::uint32_t crc(std::size_t begin, std::size_t size, std::uint32_t crc = 0) const noexcept {
    assert(begin <= bytes_.size() && size <= bytes_.size() - begin);
    std::uint32_t state = ~crc ^ prefix(begin);
    std::size_t rest = size;
    for (std::size_t k = 0; rest != 0; ++k, rest >>= 8U) {
      const std::size_t digit = rest & 0xFFU;
      if (digit != 0) state = detail::multiplyCrc32c(state, detail::crc32cPowers[k][digit]);
    }
    return ~(state ^ prefix(begin + size));
  }

 private:
  static constexpr std::size_t spacing = 256;

  [[nodiscard]] std::uint32_t prefix(std::size_t end) const noexcept {
    const std::size_t mark = end / spacing;
    return detail::advanceCrc32c(marks_[mark], bytes_.subspan(mark * spacing, end % spacing));
  }

  ByteView bytes_;
  std::vector<std::uint32_t> marks_;  // the register at each multiple of `spacing`
};

}  // namespace lukhas
