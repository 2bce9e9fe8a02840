// BlockPool: many small blocks of memory that come and go, without a header each and without a stall.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>

#include "lukhas/core/prefetch.hpp"

namespace lukhas {

// Blocks lie in slabs of a page, each for blocks of one size; an empty slab goes back to the allocator.
//
// Why not malloc for each: glibc keeps blocks of this size apart when they are freed, and joins all of them
// in one go as soon as something large is freed or asked for. After 700,000 entries that was a stall of
// 30 ms. And it puts 8 bytes in front of each block, and rounds up to 16.
//
//   void* const block = pool.allocate(bytes);
//   pool.release(block, bytes);                 // with the same size
//
// Each size, in steps of 8 bytes, keeps at most one slab that is empty, so that a block that comes and goes
// does not ask the allocator each time. Under AddressSanitizer each block is one of the allocator's own, so
// that it sees a use after the end.
//
// Costs. O(1). Memory: about 3 % over the sizes, and what is free in slabs that are partly used.
//
// Lifetime. All blocks are released before the pool is destroyed. Not thread-safe: the component that owns it
// guards it.
class BlockPool {
 public:
  static constexpr std::size_t largestBlock = 512;

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() {
    for (Slab* const slab : open_) {
      assert(!slab || (slab->used == 0 && !slab->next));
      if (slab) discard(slab);
    }
  }

  // Precondition: 1 to largestBlock bytes. Aligned for pointers. Throws std::bad_alloc.
  [[nodiscard]] void* allocate(std::size_t bytes) {
    assert(bytes > 0 && bytes <= largestBlock);
    if constexpr (watched) return ::operator new(bytes);
    const std::size_t size = sizeClass(bytes);
    Slab*& first = open_[size];
    if (!first) link(makeSlab(size));
    Slab& slab = *first;
    void* block = slab.free;
    if (block) {
      slab.free = slab.free->next;
    } else {
      block = reinterpret_cast<std::byte*>(&slab) + sizeof(Slab) + slab.cut++ * blockBytes(size);
    }
    if (++slab.used == slab.capacity) unlink(slab);
    return block;
  }

  // To be called some time before release(): fetches what that writes to.
  static void prefetchRelease(const void* block) noexcept {
    prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(block) & ~(slabAlignment - 1)));
  }

  void release(void* block, [[maybe_unused]] std::size_t bytes) noexcept {
    if constexpr (watched) return ::operator delete(block);
    Slab& slab = *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(slabAlignment - 1));
    assert(slab.size == sizeClass(bytes));
    if (slab.used == slab.capacity) link(&slab);
    slab.free = new (block) Free{slab.free};
    const bool isOnly = open_[slab.size] == &slab && !slab.next;
    if (--slab.used > 0 || isOnly) return;
    unlink(slab);
    discard(&slab);
  }

 private:
  static constexpr std::size_t step = 8;
  static constexpr std::size_t slabAlignment = 4096;
  // A page less what the allocator needs for itself, so that slabs lie one page after the other.
  static constexpr std::size_t slabBytes = slabAlignment - 64;
#if defined(__SANITIZE_ADDRESS__)
  static constexpr bool watched = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
  static constexpr bool watched = true;
#else
  static constexpr bool watched = false;
#endif
#else
  static constexpr bool watched = false;
#endif

  struct Free {
    Free* next;
  };
  // At the begin of its memory; the blocks follow.
  struct Slab {
    Slab* next;  // of those of its size with a free block
    Slab* previous;
    Free* free;              // blocks that were released
    std::uint16_t cut;       // blocks that were ever handed out
    std::uint16_t used;      // blocks that are handed out now
    std::uint16_t capacity;  // blocks in all
    std::uint16_t size;      // class of its blocks
  };

  static constexpr std::size_t sizeClass(std::size_t bytes) noexcept { return (bytes - 1) / step; }
  static constexpr std::size_t blockBytes(std::size_t size) noexcept { return (size + 1) * step; }

  static Slab* makeSlab(std::size_t size) {
    void* const memory = ::operator new (slabBytes, std::align_val_t{slabAlignment});
    const std::size_t capacity = (slabBytes - sizeof(Slab)) / blockBytes(size);
    return new (memory) Slab{nullptr,
                             nullptr,
                             nullptr,
                             0,
                             0,
                             static_cast<std::uint16_t>(capacity),
                             static_cast<std::uint16_t>(size)};
  }
  static void discard(Slab* slab) noexcept { ::operator delete (slab, std::align_val_t{slabAlignment}); }

  void link(Slab* slab) noexcept {
    Slab*& first = open_[slab->size];
    slab->previous = nullptr;
    slab->next = first;
    if (first) first->previous = slab;
    first = slab;
  }
  void unlink(Slab& slab) noexcept {
    (slab.previous ? slab.previous->next : open_[slab.size]) = slab.next;
    if (slab.next) slab.next->previous = slab.previous;
  }

  std::array<Slab*, largestBlock / step> open_{};  // by size: the slabs with a free block
};

}  // namespace lukhas
