// prefetch: asks for memory that will be needed soon.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lukhas {

// Starts to bring `bytes` from `address` on into the processor's caches and does not wait for them. A hint:
// the address need not be valid, null included. Worth it only where the caller has other work to do until
// then, or can ask for several at once.
template <std::size_t bytes>
inline void prefetch(const void* address) noexcept {
  constexpr std::size_t line = 64;
  const auto first = reinterpret_cast<std::uintptr_t>(address);  // a null pointer has no neighbours
  for (std::size_t offset = 0; offset < bytes; offset += line) {
    __builtin_prefetch(reinterpret_cast<const void*>(first + offset));
  }
}

}  // namespace lukhas
