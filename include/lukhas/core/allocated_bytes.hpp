// What a block of memory really takes of the allocator.
#pragma once

#include <cstddef>

#if defined(__APPLE__)
#include <malloc/malloc.h>
#elif __has_include(<malloc.h>)
#include <malloc.h>
#endif

namespace lukhas {

// glibc keeps 8 bytes in front of a block, 16 in front of one that is mapped by itself.
inline constexpr std::size_t blockHeaderBytes = 16;

// At least what std::malloc(bytes) can come to, known before it is called: rounding to 16 bytes and a
// remainder too small to be split off; from 64 KiB on the block may be mapped by itself, in whole pages.
[[nodiscard]] constexpr std::size_t allocationBound(std::size_t bytes) noexcept {
  constexpr std::size_t page = 4096;
  constexpr std::size_t mayBeMapped = std::size_t{64} << 10U;
  if (bytes == 0) return 0;
  return bytes + 4 * blockHeaderBytes + (bytes < mayBeMapped ? 0 : page);
}

// What a small block comes to on glibc, where all blocks are multiples of 16 bytes with 8 bytes in front:
// exact but for a remainder of 16 bytes that is now and then too small to be split off. From 64 KiB on it is
// allocationBound. For accounts that are to depend on the sizes alone.
[[nodiscard]] constexpr std::size_t expectedAllocation(std::size_t bytes) noexcept {
  constexpr std::size_t unit = 16;
  constexpr std::size_t least = 32;
  if (bytes == 0) return 0;
  if (bytes >= std::size_t{64} << 10U) return allocationBound(bytes);
  const std::size_t rounded = (bytes + 8 + unit - 1) / unit * unit;
  return rounded < least ? least : rounded;
}

// What a block from std::malloc(asked) takes: as the allocator says, or the bound where it does not say.
[[nodiscard]] inline std::size_t allocatedBytes([[maybe_unused]] void* block,
                                                [[maybe_unused]] std::size_t asked) noexcept {
#if defined(__APPLE__)
  return malloc_size(block) + blockHeaderBytes;
#elif __has_include(<malloc.h>)
  return malloc_usable_size(block) + blockHeaderBytes;
#else
  return allocationBound(asked);
#endif
}

}  // namespace lukhas
