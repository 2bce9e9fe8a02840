// FailingMemory: an allocator that fails once, at the allocation that the test names.
#pragma once

namespace lukhas::test {

// While it lives, the nth `new` of this thread, counted from 0, throws std::bad_alloc; all others succeed.
// (The operator new that does so is in allocator.cpp.)
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
