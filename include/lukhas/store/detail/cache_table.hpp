// CacheTable: finds an entry by its key, and grows and shrinks one bucket at a time.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string_view>

#include "lukhas/store/detail/allocated_bytes.hpp"
#include "lukhas/store/detail/cache_entry.hpp"

namespace lukhas::detail {

// An intrusive hash table by linear hashing (Litwin, "Linear hashing: a new tool for file and table
// addressing", 1980): with b buckets and m the power of two at or above b, an entry lies in bucket hash % m,
// or, where that is b or more, in hash % (m/2). Each insert beyond one entry a bucket splits one bucket, so
// no insert ever stops to rehash the whole: an ordinary table of a million keys does for tens of
// milliseconds.
//
// The buckets lie in chunks that never move, each as large as all before it. A bucket is written when it is
// split off, so a new large chunk costs no time, though it counts in full in memoryBytes().
//
// The table does not own the entries. Not thread-safe.
class CacheTable {
 public:
  CacheTable() = default;
  CacheTable(const CacheTable&) = delete;
  CacheTable& operator=(const CacheTable&) = delete;
  ~CacheTable() { release(); }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return bytesForChunks(chunkCount_); }
  // What memoryBytes() is when reserve(entries) has been called.
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t entries) const noexcept {
    return bytesForChunks(std::max(chunkCount_, chunksFor(entries)));
  }
  // The most that memoryBytes() can be with so many entries in it, whatever was in it before.
  [[nodiscard]] static constexpr std::size_t memoryBound(std::size_t entries) noexcept {
    return bytesForChunks(chunksFor(entries * 2));
  }

  [[nodiscard]] CacheEntry* find(std::string_view key, std::uint64_t hash) const noexcept {
    if (size_ == 0) return nullptr;
    for (CacheEntry* entry = bucket(indexOf(hash)); entry; entry = entry->nextInBucket) {
      if (entry->hash() == hash && entry->key() == key) return entry;
    }
    return nullptr;
  }

  // Room for so many entries in all: that many inserts do not allocate. Throws std::bad_alloc.
  void reserve(std::size_t entries) {
    for (const std::size_t needed = chunksFor(entries); chunkCount_ < needed;) {
      const std::size_t bytes = chunkBuckets(chunkCount_) * sizeof(CacheEntry*);
      auto* const chunk = static_cast<CacheEntry**>(std::malloc(bytes));
      if (!chunk) throw std::bad_alloc();
      chunks_[chunkCount_++] = chunk;
    }
  }

  // Precondition: room was reserved, and no entry has its key.
  void insert(CacheEntry& entry) noexcept {
    if (bucketCount_ == 0) {
      bucketCount_ = smallest;
      for (std::size_t i = 0; i < smallest; ++i) bucket(i) = nullptr;
    }
    if (++size_ > bucketCount_) split();
    CacheEntry*& head = bucket(indexOf(entry.hash()));
    entry.nextInBucket = head;
    head = &entry;
  }

  // Precondition: the entry is in the table.
  void erase(CacheEntry& entry) noexcept {
    CacheEntry** link = &bucket(indexOf(entry.hash()));
    while (*link != &entry) link = &(*link)->nextInBucket;
    *link = entry.nextInBucket;
    if (--size_ == 0) return release();
    while (bucketCount_ > smallest && bucketCount_ > size_ * 2) merge();
    while (chunkCount_ > chunksFor(bucketCount_)) std::free(chunks_[--chunkCount_]);
  }

  // `fresh` takes the place of `old`, which has the same key.
  void replace(CacheEntry& old, CacheEntry& fresh) noexcept {
    CacheEntry** link = &bucket(indexOf(old.hash()));
    while (*link != &old) link = &(*link)->nextInBucket;
    fresh.nextInBucket = old.nextInBucket;
    *link = &fresh;
  }

  // Forgets all entries and gives the memory back.
  void release() noexcept {
    while (chunkCount_ > 0) std::free(chunks_[--chunkCount_]);
    bucketCount_ = size_ = 0;
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t seen = 0;
    for (std::size_t i = 0; i < bucketCount_; ++i) {
      for (const CacheEntry* entry = bucket(i); entry; entry = entry->nextInBucket) {
        if (indexOf(entry->hash()) != i) return false;
        ++seen;
      }
    }
    std::size_t allocated = 0;
    for (std::size_t i = 0; i < chunkCount_; ++i) {
      allocated += allocatedBytes(chunks_[i], chunkBuckets(i) * sizeof(CacheEntry*));
    }
    return seen == size_ && allocated <= memoryBytes() && memoryBytes() <= memoryBound(size_);
  }

 private:
  static constexpr std::size_t smallest = 512;
  static constexpr std::size_t mostChunks = 32;

  static constexpr std::size_t chunkBuckets(std::size_t chunk) noexcept {
    return chunk == 0 ? smallest : smallest << (chunk - 1);
  }
  static constexpr std::size_t chunksFor(std::size_t buckets) noexcept {
    if (buckets == 0) return 0;
    return static_cast<std::size_t>(std::bit_width((buckets - 1) / smallest)) + 1;
  }
  static constexpr std::size_t bytesForChunks(std::size_t chunks) noexcept {
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < chunks; ++i) {
      bytes += allocationBound(chunkBuckets(i) * sizeof(CacheEntry*));
    }
    return bytes;
  }

  [[nodiscard]] CacheEntry*& bucket(std::size_t index) const noexcept {
    const auto chunk = static_cast<std::size_t>(std::bit_width(index / smallest));
    const std::size_t first = chunk == 0 ? 0 : chunkBuckets(chunk);
    return chunks_[chunk][index - first];
  }
  [[nodiscard]] std::size_t indexOf(std::uint64_t hash) const noexcept {
    const std::size_t mask = std::bit_ceil(bucketCount_) - 1;
    const std::size_t index = hash & mask;
    return index < bucketCount_ ? index : index & (mask >> 1U);
  }

  // Bucket b takes over, from the bucket that had its place, the entries that now belong to b.
  void split() noexcept {
    const std::size_t added = bucketCount_++;
    CacheEntry** from = &bucket(added ^ std::bit_floor(added));
    CacheEntry** to = &bucket(added);
    *to = nullptr;
    while (*from) {
      CacheEntry* const entry = *from;
      if (indexOf(entry->hash()) != added) {
        from = &entry->nextInBucket;
        continue;
      }
      *from = entry->nextInBucket;
      entry->nextInBucket = nullptr;
      *to = entry;
      to = &entry->nextInBucket;
    }
  }
  void merge() noexcept {
    const std::size_t removed = --bucketCount_;
    CacheEntry** end = &bucket(removed ^ std::bit_floor(removed));
    while (*end) end = &(*end)->nextInBucket;
    *end = bucket(removed);
  }

  std::array<CacheEntry**, mostChunks> chunks_{};
  std::size_t chunkCount_ = 0;
  std::size_t bucketCount_ = 0;  // 0, or at least `smallest`
  std::size_t size_ = 0;
};

}  // namespace lukhas::detail
