// FrequencySketch: how often keys were used of late, roughly.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hit_ratio {

// A count-min sketch of four rows (Cormode and Muthukrishnan 2005) whose counters end at 15 and are halved
// once in a period of ten additions an entry (Einziger, Friedman and Manes, "TinyLFU", 2017). All counters
// age at once, in O(1): a word knows how often it was halved, and is halved when it is next looked at. A hand
// that goes over one word an addition sees to it that none falls behind by more than four bits can tell.
//
// Takes all its memory when it is made: 8 to 16 bytes for each of `entries`. Not thread-safe.
class FrequencySketch {
 public:
  static constexpr unsigned most = 15;

  explicit FrequencySketch(std::size_t entries)
      : words_(std::bit_ceil(std::max<std::size_t>(entries, 16))),
        period_(10 * std::max<std::size_t>(entries, 16)) {}

  [[nodiscard]] unsigned estimate(std::uint64_t hash) const noexcept {
    unsigned least = most;
    for (const Place place : placesOf(hash)) least = std::min(least, counter(words_[place.word], place));
    return least;
  }
  // Only the lowest of the key's counters go up, which keeps the others' errors small.
  void add(std::uint64_t hash) noexcept {
    refresh(words_[hand_++ & (words_.size() - 1)]);
    const unsigned least = estimate(hash);
    if (least == most) return;
    for (const Place place : placesOf(hash)) {
      std::uint64_t& word = words_[place.word];
      refresh(word);
      if (counter(word, place) == least) word += std::uint64_t{1} << place.shift;
    }
    if (++additions_ < period_) return;
    additions_ /= 2;  // as the counters are
    ++halvings_;
  }
  [[nodiscard]] std::size_t memoryBytes() const noexcept { return words_.capacity() * sizeof(std::uint64_t); }

 private:
  // A word: fifteen counters of four bits, and above them the number of halvings they went through, mod 16.
  static constexpr unsigned counters = 15;
  static constexpr unsigned ageShift = 60;
  struct Place {
    std::size_t word;
    unsigned shift;
  };

  [[nodiscard]] std::array<Place, 4> placesOf(std::uint64_t hash) const noexcept {
    std::array<Place, 4> places{};
    for (Place& place : places) {
      hash = (hash ^ (hash >> 32)) * 0x9e3779b97f4a7c15U;
      place.word = static_cast<std::size_t>(hash >> 20) & (words_.size() - 1);
      place.shift = 4 * (static_cast<unsigned>(hash >> 52) % counters);
    }
    return places;
  }
  [[nodiscard]] unsigned behind(std::uint64_t word) const noexcept {
    return (halvings_ - static_cast<unsigned>(word >> ageShift)) & 15U;
  }
  [[nodiscard]] unsigned counter(std::uint64_t word, Place place) const noexcept {
    return static_cast<unsigned>((word >> place.shift) & 15U) >> behind(word);
  }
  void refresh(std::uint64_t& word) const noexcept {
    constexpr std::uint64_t halves = 0x777777777777777;  // what is left of each counter after a shift by one
    for (unsigned left = std::min(behind(word), 4U); left > 0; --left) word = (word >> 1) & halves;
    word = (word & ((std::uint64_t{1} << ageShift) - 1)) | (std::uint64_t{halvings_ & 15U} << ageShift);
  }

  std::vector<std::uint64_t> words_;
  std::size_t period_;
  std::size_t additions_ = 0;  // in this period
  std::size_t hand_ = 0;
  unsigned halvings_ = 0;
};

}  // namespace hit_ratio
