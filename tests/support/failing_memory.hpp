// FailingMemory: an allocator that fails once, at the allocation that the test names.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace lukhas::test {

// While it lives, the nth `new` of this thread, counted from 0, throws std::bad_alloc; all others succeed.
//
// This header replaces the program's operator new: exactly one file of a suite may include it.
class FailingMemory {
 public:
  explicit FailingMemory(int nth) noexcept { left() = nth; }
  FailingMemory(const FailingMemory&) = delete;
  FailingMemory& operator=(const FailingMemory&) = delete;
  ~FailingMemory() { left() = never; }

  // Whether the allocation that is asked for now is the one.
  static bool fails() noexcept { return left() != never && left()-- == 0; }

 private:
  static constexpr int never = -1;
  static int& left() noexcept {
    static thread_local int count = never;
    return count;
  }
};

}  // namespace lukhas::test

void* operator new(std::size_t size) {
  if (lukhas::test::FailingMemory::fails()) throw std::bad_alloc();
  if (void* const memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (lukhas::test::FailingMemory::fails()) throw std::bad_alloc();
  void* memory = nullptr;
  if (posix_memalign(&memory, static_cast<std::size_t>(alignment), size) == 0) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
