// PackedPointer: a pointer in six bytes that notices when one of its bits has flipped.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace lukhas {

// For headers of which there are millions. Addresses of user space have 48 bits (x86-64 and AArch64, unless a
// program asks for more by itself), and blocks of an allocator begin at multiples of 16: the four low bits
// hold the exclusive or of the others, four at a time, so that sound() sees each single bit that flips, and
// each run of up to four.
//
//   PackedPointer<Entry> next;      // null
//   next = &entry;                  // precondition: fits(&entry)
//   if (next) next->use();
//
// Reads and writes as a pointer to T does. get() trusts the bits; sound() is asked where they are doubted.
template <class T>
class PackedPointer {
 public:
  static constexpr std::size_t alignment = 16;

  PackedPointer() noexcept = default;
  PackedPointer(T* pointer) noexcept {  // NOLINT: it stands for a pointer
    const std::uint64_t address = reinterpret_cast<std::uintptr_t>(pointer);
    assert(fits(pointer));
    store(address | checkOf(address));
  }

  // Whether a pointer can be packed.
  [[nodiscard]] static bool fits(const void* pointer) noexcept {
    const std::uint64_t address = reinterpret_cast<std::uintptr_t>(pointer);
    return address >> 48U == 0 && address % alignment == 0;
  }

  [[nodiscard]] T* get() const noexcept {
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(load() & ~std::uint64_t{alignment - 1}));
  }
  operator T*() const noexcept { return get(); }  // NOLINT: it stands for a pointer
  [[nodiscard]] T* operator->() const noexcept { return get(); }

  [[nodiscard]] bool sound() const noexcept {
    const std::uint64_t bits = load();
    return checkOf(bits) == bits % alignment;
  }

 private:
  [[nodiscard]] static std::uint64_t checkOf(std::uint64_t address) noexcept {
    std::uint64_t folded = address >> 4U;
    folded ^= folded >> 32U;
    folded ^= folded >> 16U;
    folded ^= folded >> 8U;
    folded ^= folded >> 4U;
    return folded % alignment;
  }
  [[nodiscard]] std::uint64_t load() const noexcept {
    std::uint32_t low = 0;
    std::memcpy(&low, halves_, sizeof(low));
    return low | std::uint64_t{halves_[2]} << 32U;
  }
  void store(std::uint64_t bits) noexcept {
    const auto low = static_cast<std::uint32_t>(bits);
    std::memcpy(halves_, &low, sizeof(low));
    halves_[2] = static_cast<std::uint16_t>(bits >> 32U);
  }

  std::uint16_t halves_[3] = {};  // low half first
};

}  // namespace lukhas
