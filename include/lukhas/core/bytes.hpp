// Bytes: how values are kept and sent, and the 64-bit hash that guards them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// xxHash is compiled into this header, under names of its own: nothing to link, and no clash with a program
// that includes or links xxHash itself, before or after.
#ifdef XXH_INLINE_ALL
#include <xxhash.h>
#else
#define XXH_INLINE_ALL
#include <xxhash.h>
#undef XXH_INLINE_ALL
#endif

namespace lukhas {

// Bytes own, a ByteView looks.
//
//   lukhas::Bytes kept = lukhas::toBytes("hello");
//   lukhas::asText(kept) == "hello";
//   const std::uint64_t checksum = lukhas::hash64(kept);
using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

// The bytes of a text, not copied: the text must outlive the view.
[[nodiscard]] inline ByteView asBytes(std::string_view text) noexcept {
  return std::as_bytes(std::span(text));
}

[[nodiscard]] inline Bytes toBytes(std::string_view text) {
  const ByteView view = asBytes(text);
  return {view.begin(), view.end()};
}

// Bytes seen as text, not copied and not checked: nothing says that they are UTF-8.
[[nodiscard]] inline std::string_view asText(ByteView bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Two lower-case hexadecimal digits a byte.
[[nodiscard]] inline std::string toHex(ByteView bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string hex;
  hex.reserve(bytes.size() * 2);
  for (const std::byte byte : bytes) {
    hex += digits[std::to_integer<std::size_t>(byte >> 4U)];
    hex += digits[std::to_integer<std::size_t>(byte & std::byte{15})];
  }
  return hex;
}

// XXH3, 64 bits (Yann Collet, xxHash 0.8). The same on every machine, so it may be stored. It finds
// accidents; against somebody who makes collisions on purpose it is no help, with or without a seed.
[[nodiscard]] inline std::uint64_t hash64(ByteView bytes, std::uint64_t seed = 0) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace lukhas
