// FrequencySketch: how often keys were used of late, roughly.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "lukhas/core/allocated_bytes.hpp"
#include "lukhas/core/chunked_array.hpp"

namespace lukhas::detail {

// A count-min sketch (Cormode and Muthukrishnan 2005) of counters that end at 15 and are halved once in a
// period of ten additions an entry (Einziger, Friedman and Manes, "TinyLFU", 2017). All counters age at once,
// in O(1): a word knows how often it was halved, and is halved when it is next looked at. A hand that goes
// over one word an addition sees to it that none falls behind by more than four bits can tell.
//
// All counters of a key lie in one block of 64 bytes, so that a look costs one cache line (Putze, Sanders and
// Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). Blocks are split and joined one at a
// time by linear hashing (see KeyTable): a split copies its block, after which each key finds what it found
// before. So the sketch grows and shrinks with the cache, in pages of 1 KiB, without a stall.
//
// Costs. O(1). Memory: 8 bytes an entry and 9 % for pages and their directory, at most twice that after the
// cache shrank. A key is 32 bits of a good hash. reserve() is the only call that can fail. Not thread-safe.
class FrequencySketch {
 public:
  static constexpr unsigned most = 15;

  FrequencySketch() = default;
  FrequencySketch(const FrequencySketch&) = delete;
  FrequencySketch& operator=(const FrequencySketch&) = delete;
  ~FrequencySketch() { shrinkTo(0); }

  // Room to follow so many entries. Throws std::bad_alloc, and then no less has room than before.
  void reserve(std::size_t entries) {
    const std::size_t needed = pagesFor(blocksFor(entries));
    pages_.reserve(needed);
    while (pageCount_ < needed) {
      pages_[pageCount_] = static_cast<std::uint64_t*>(::operator new(pageBytes));
      ++pageCount_;
    }
  }
  // The cache holds so many entries. Precondition: room was reserved. A change by one costs O(1).
  void follow(std::size_t entries) noexcept {
    entries_ = entries;
    const std::size_t wanted = blocksFor(entries);
    while (blocks_ < wanted) split();
    if (blocks_ <= 2 * wanted) return;
    while (blocks_ > 2 * wanted) merge();
    shrinkTo(pagesFor(blocks_));
  }
  // Forgets all, and gives the memory back.
  void clear() noexcept {
    shrinkTo(0);
    entries_ = blocks_ = additions_ = hand_ = 0;
  }

  [[nodiscard]] unsigned estimate(std::uint32_t hash) const noexcept {
    if (blocks_ == 0) return 0;
    const std::uint64_t mixed = mix(hash);
    const std::size_t block = blockOf(mixed);
    unsigned least = most;
    for (unsigned row = 0; row < rows; ++row) {
      const Place place = placeOf(mixed, row);
      least = std::min(least, counter(word(block + place.word), place));
    }
    return least;
  }
  // Only the lowest of the key's counters go up, which keeps the others' errors small.
  void add(std::uint32_t hash) noexcept {
    if (blocks_ == 0) return;
    if (++hand_ >= blocks_ * blockWords) hand_ = 0;
    refresh(word(hand_));
    const unsigned least = estimate(hash);
    if (least == most) return;
    const std::uint64_t mixed = mix(hash);
    const std::size_t block = blockOf(mixed);
    for (unsigned row = 0; row < rows; ++row) {
      const Place place = placeOf(mixed, row);
      std::uint64_t& counted = word(block + place.word);
      refresh(counted);
      if (counter(counted, place) == least) counted += std::uint64_t{1} << place.shift;
    }
    if (++additions_ < additionsPerEntry * std::max(entries_, fewest)) return;
    additions_ /= 2;  // as the counters are
    ++halvings_;
  }

  [[nodiscard]] std::size_t memoryBytes() const noexcept {
    return pageCount_ * allocationBound(pageBytes) + pages_.memoryBytes();
  }
  [[nodiscard]] std::size_t memoryBytesFor(std::size_t entries) const noexcept {
    const std::size_t pages = std::max(pageCount_, pagesFor(blocksFor(entries)));
    return pages * allocationBound(pageBytes) + pages_.memoryBytesFor(pages);
  }
  [[nodiscard]] static constexpr std::size_t memoryBound(std::size_t entries) noexcept {
    const std::size_t pages = pagesFor(2 * blocksFor(entries));
    return pages * allocationBound(pageBytes) + Pages::memoryBound(pages);
  }

 private:
  using Pages = ChunkedArray<std::uint64_t*>;
  static constexpr unsigned rows = 3;
  static constexpr std::size_t blockWords = 8;
  static constexpr std::size_t pageWords = 128;
  static constexpr std::size_t pageBytes = pageWords * sizeof(std::uint64_t);
  static constexpr std::size_t fewest = 16;
  static constexpr std::size_t additionsPerEntry = 10;
  // A word: fifteen counters of four bits, and above them the number of halvings they went through, mod 16.
  static constexpr unsigned counters = 15;
  static constexpr unsigned ageShift = 60;
  struct Place {
    std::size_t word;
    unsigned shift;
  };

  static constexpr std::size_t blocksFor(std::size_t entries) noexcept {
    return entries == 0 ? 0 : std::max<std::size_t>(2, (entries + blockWords - 1) / blockWords);
  }
  static constexpr std::size_t pagesFor(std::size_t blocks) noexcept {
    return (blocks * blockWords + pageWords - 1) / pageWords;
  }
  void shrinkTo(std::size_t pages) noexcept {
    while (pageCount_ > pages) ::operator delete(pages_[--pageCount_]);
    pages_.shrinkTo(pageCount_);
  }
  [[nodiscard]] std::uint64_t& word(std::size_t index) const noexcept {
    return pages_[index / pageWords][index % pageWords];
  }
  static constexpr std::uint64_t mix(std::uint32_t hash) noexcept {
    const std::uint64_t mixed = (hash + std::uint64_t{0x9e3779b9}) * 0xd6e8feb86659fd93U;
    return (mixed ^ (mixed >> 32U)) * 0xd6e8feb86659fd93U;
  }
  // The first word of the key's block.
  [[nodiscard]] std::size_t blockOf(std::uint64_t mixed) const noexcept {
    const std::size_t mask = std::bit_ceil(blocks_) - 1;
    const std::size_t index = (mixed >> 32U) & mask;
    return (index < blocks_ ? index : index & (mask >> 1U)) * blockWords;
  }
  // Seven bits a row choose one of 120 counters, nearly evenly.
  [[nodiscard]] static Place placeOf(std::uint64_t mixed, unsigned row) noexcept {
    const auto bits = static_cast<unsigned>(mixed >> (8 * row)) & 0xffU;
    return {bits & 7U, 4 * ((bits >> 3U) * counters >> 5U)};
  }
  [[nodiscard]] unsigned behind(std::uint64_t word) const noexcept {
    return (halvings_ - static_cast<unsigned>(word >> ageShift)) & 15U;
  }
  [[nodiscard]] unsigned counter(std::uint64_t word, Place place) const noexcept {
    return static_cast<unsigned>((word >> place.shift) & 15U) >> behind(word);
  }
  void refresh(std::uint64_t& word) const noexcept {
    constexpr std::uint64_t halves = 0x777777777777777;  // what is left of each counter after a shift by one
    const unsigned late = behind(word);
    if (late == 0) return;
    for (unsigned left = std::min(late, 4U); left > 0; --left) word = (word >> 1U) & halves;
    word = (word & ((std::uint64_t{1} << ageShift) - 1)) | (std::uint64_t{halvings_ & 15U} << ageShift);
  }

  void split() noexcept {
    const std::size_t added = blocks_++;
    const std::size_t from = added < 2 ? 0 : added ^ std::bit_floor(added);
    for (std::size_t i = 0; i < blockWords; ++i) {
      word(added * blockWords + i) =
          added < 2 ? std::uint64_t{halvings_ & 15U} << ageShift : word(from * blockWords + i);
    }
  }
  // The larger of the counters that two blocks have for a place holds for the keys of both.
  void merge() noexcept {
    const std::size_t removed = --blocks_;
    const std::size_t to = removed ^ std::bit_floor(removed);
    for (std::size_t i = 0; i < blockWords; ++i) {
      std::uint64_t& one = word(to * blockWords + i);
      std::uint64_t& other = word(removed * blockWords + i);
      refresh(one);
      refresh(other);
      std::uint64_t larger = one & ~((std::uint64_t{1} << ageShift) - 1);
      for (unsigned shift = 0; shift < ageShift; shift += 4) {
        larger |= std::max((one >> shift) & 15U, (other >> shift) & 15U) << shift;
      }
      one = larger;
    }
  }

  Pages pages_;
  std::size_t pageCount_ = 0;
  std::size_t entries_ = 0;
  std::size_t blocks_ = 0;     // 0, or at least two
  std::size_t additions_ = 0;  // in this period
  std::size_t hand_ = 0;
  unsigned halvings_ = 0;
};

}  // namespace lukhas::detail
