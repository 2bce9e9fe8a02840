// The operator new and delete of every suite: they count what is in use, and fail when a test asks for it.
#include <malloc.h>

#include <cstddef>
#include <cstdlib>
#include <new>

#include "support/failing_memory.hpp"
#include "support/memory_in_use.hpp"

namespace lukhas::test {
namespace {

thread_local std::ptrdiff_t bytesInUse = 0;

void* counted(void* memory) {
  if (!memory) throw std::bad_alloc();
  bytesInUse += static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  return memory;
}
void release(void* memory) noexcept {
  if (!memory) return;
  bytesInUse -= static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

std::ptrdiff_t memoryInUse() noexcept { return bytesInUse; }

}  // namespace lukhas::test

void* operator new(std::size_t size) {
  if (lukhas::test::FailingMemory::fails()) throw std::bad_alloc();
  return lukhas::test::counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (lukhas::test::FailingMemory::fails()) throw std::bad_alloc();
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<std::size_t>(alignment), size) != 0) throw std::bad_alloc();
  return lukhas::test::counted(memory);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  try {
    return operator new(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
void operator delete(void* memory, const std::nothrow_t&) noexcept { lukhas::test::release(memory); }
void operator delete(void* memory) noexcept { lukhas::test::release(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { lukhas::test::release(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { lukhas::test::release(memory); }
void operator delete(void* memory, std::size_t) noexcept { lukhas::test::release(memory); }
