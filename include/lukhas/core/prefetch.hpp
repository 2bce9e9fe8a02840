// prefetch: asks the processor to fetch memory that is needed soon.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lukhas {

inline constexpr std::size_t cacheLineBytes = 64;

// Only a hint: it reads nothing, and any address will do, null included. The wait for memory is most of what
// an operation on one of a million elements costs; several that are fetched together wait once.
inline void prefetch([[maybe_unused]] const void* address) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#endif
}

// All of `bytes` from `address` on.
template <std::size_t bytes>
inline void prefetch(const void* address) noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(address);  // a null pointer has no neighbours
  for (std::size_t offset = 0; offset < bytes; offset += cacheLineBytes) {
    prefetch(reinterpret_cast<const void*>(first + offset));
  }
}

}  // namespace lukhas
