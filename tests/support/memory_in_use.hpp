// memoryInUse(): what this thread has asked of operator new and not given back.
#pragma once

#include <cstddef>

namespace lukhas::test {

// In bytes, as the allocator rounds them. Only what this thread allocates and frees itself counts, so other
// threads, and what the allocator keeps at hand for later, do not disturb it. May be negative: a thread that
// frees what another one allocated. (The operator new that counts is in allocator.cpp.)
[[nodiscard]] std::ptrdiff_t memoryInUse() noexcept;

}  // namespace lukhas::test
