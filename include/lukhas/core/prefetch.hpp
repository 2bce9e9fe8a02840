// prefetch: asks the processor to fetch memory that is needed soon.
#pragma once

#include <cstddef>

namespace lukhas {

inline constexpr std::size_t cacheLineBytes = 64;

// Only a hint: it reads nothing, and any address will do. The wait for memory is most of what an operation on
// one of a million elements costs; several that are fetched together wait once.
inline void prefetch([[maybe_unused]] const void* address) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#endif
}

}  // namespace lukhas
