// prefetch: asks for memory that will be needed soon.
#pragma once

#include <cstddef>

namespace lukhas {

// Starts to bring `bytes` from `address` on into the processor's caches and does not wait for them. A hint:
// the address need not be valid, null included. Worth it only where the caller has other work to do until
// then, or can ask for several at once.
template <std::size_t bytes>
inline void prefetch(const void* address) noexcept {
  constexpr std::size_t line = 64;
  for (std::size_t offset = 0; offset < bytes; offset += line) {
    __builtin_prefetch(static_cast<const std::byte*>(address) + offset);
  }
}

}  // namespace lukhas
