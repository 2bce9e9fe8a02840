// ChunkedArray: an array that grows and shrinks at its end, and whose elements never move.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <type_traits>

#include "lukhas/core/allocated_bytes.hpp"

namespace lukhas {

// Memory for plain elements, in chunks of 64, 128, 256, … of them. A vector that is full copies all it has,
// which at a million elements stops an io_context for many milliseconds; here growing is one allocation, and
// shrinking gives one back.
//
// The memory is not initialised: the owner writes an element before it reads it. So a new large chunk costs
// no time, though it counts in full in memoryBytes(). Elements from a multiple of 64 on lie side by side up
// to the next one.
//
// Costs. operator[]: O(1), two dependent loads. reserve and shrinkTo: one call of the allocator for each
// chunk.
//
// Not thread-safe: the component that owns it guards it.
template <class T>
class ChunkedArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

 public:
  static constexpr std::size_t firstChunk = 64;

  // Null: operator new and delete. The resource outlives the array.
  explicit ChunkedArray(std::pmr::memory_resource* memory = nullptr) noexcept : memory_(memory) {}
  ChunkedArray(const ChunkedArray&) = delete;
  ChunkedArray& operator=(const ChunkedArray&) = delete;
  ~ChunkedArray() { shrinkTo(0); }

  // Precondition: index < capacity().
  [[nodiscard]] T& operator[](std::size_t index) const noexcept {
    const std::size_t place = index + firstChunk;  // chunk c holds the places from 64 * 2^c to twice that
    const auto width = static_cast<std::size_t>(std::bit_width(place));
    return chunks_[width - firstWidth][place ^ (std::size_t{1} << (width - 1))];
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return capacityOf(chunkCount_); }
  // What it takes of the allocator, at most: see allocationBound.
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return memoryBytes_; }
  // What memoryBytes() is when reserve(elements) has been called.
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t elements) const noexcept {
    const std::size_t chunks = chunksFor(elements);
    return chunks <= chunkCount_ ? memoryBytes_ : bytesOf(chunks);
  }
  // What memoryBytes() is at most after shrinkTo(elements), and is with room for so many and no more.
  [[nodiscard]] static constexpr std::size_t memoryBound(std::size_t elements) noexcept {
    return bytesOf(chunksFor(elements));
  }

  // Room for so many elements in all. Throws std::bad_alloc, and then what was there is as it was.
  void reserve(std::size_t elements) {
    for (const std::size_t needed = chunksFor(elements); chunkCount_ < needed;) {
      const std::size_t bytes = chunkBytes(chunkCount_);
      chunks_[chunkCount_] = static_cast<T*>(memory_ ? memory_->allocate(bytes) : ::operator new(bytes));
      memoryBytes_ = bytesOf(++chunkCount_);
    }
  }
  // Gives back the chunks that so many elements do not need.
  void shrinkTo(std::size_t elements) noexcept {
    for (const std::size_t needed = chunksFor(elements); chunkCount_ > needed;) {
      T* const chunk = chunks_[--chunkCount_];
      if (memory_) {
        memory_->deallocate(chunk, chunkBytes(chunkCount_));
      } else {
        ::operator delete(chunk);
      }
      memoryBytes_ = bytesOf(chunkCount_);
    }
  }

 private:
  static constexpr std::size_t firstWidth = std::bit_width(firstChunk);
  static constexpr std::size_t mostChunks = 32;

  static constexpr std::size_t chunksFor(std::size_t elements) noexcept {
    return static_cast<std::size_t>(std::bit_width((elements + firstChunk - 1) / firstChunk));
  }
  static constexpr std::size_t capacityOf(std::size_t chunks) noexcept {
    return firstChunk * ((std::size_t{1} << chunks) - 1);
  }
  static constexpr std::size_t chunkBytes(std::size_t chunk) noexcept {
    return (firstChunk << chunk) * sizeof(T);
  }
  static constexpr std::size_t bytesOf(std::size_t chunks) noexcept {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < chunks; ++i) bytes += allocationBound(chunkBytes(i));
    return bytes;
  }

  std::pmr::memory_resource* memory_;
  std::array<T*, mostChunks> chunks_{};
  std::size_t chunkCount_ = 0;
  std::size_t memoryBytes_ = 0;
};

}  // namespace lukhas
