// SegmentedOrder: W-TinyLFU as its authors describe it, for the peers; the library has one of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "store/hit_ratio/frequency_sketch.hpp"

namespace hit_ratio {

// Where an entry stands. An entry derives from OrderHook<Entry> and has charge(), what it takes of the
// capacity, and keyHash.
enum class Segment : std::uint8_t { none, window, probation, kept };

template <class Entry>
struct OrderHook {
  Entry* newer = nullptr;
  Entry* older = nullptr;
  Segment segment = Segment::none;
};

// W-TinyLFU (Einziger, Friedman and Manes 2017) whose window may take any part of the capacity, at any time:
//
//   a new entry comes into the window (LRU). When that is over its target, its oldest entry is the candidate
//   for the main part, and room is made by whichever was used less of late: candidate or main's oldest. Main
//   is a segmented LRU: a use in probation leads to the kept ones, which have 4/5 of main; what is too much
//   there goes back.
//
// Each call is O(1): after a change of the target, entries move a few a call. Intrusive, owns nothing and
// allocates nothing; an entry may be removed at any time. Not thread-safe.
template <class Entry>
class SegmentedOrder {
 public:
  SegmentedOrder(std::size_t capacity, double windowPart) noexcept : capacity_(capacity) {
    setWindow(windowPart);
  }

  void setWindow(double part) noexcept {
    target_ = std::clamp<std::size_t>(static_cast<std::size_t>(part * static_cast<double>(capacity_) + 0.5),
                                      1, capacity_);
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t charge() const noexcept {
    return list(Segment::window).charge + list(Segment::probation).charge + list(Segment::kept).charge;
  }

  void add(Entry& entry) noexcept {
    ++size_;
    push(entry, Segment::window);
    for (int moves = 0; moves < mostMoves && list(Segment::window).charge > target_; ++moves) {
      move(*list(Segment::window).oldest, Segment::probation);
    }
  }
  void use(Entry& entry) noexcept {
    if (entry.segment == Segment::window) return move(entry, Segment::window);
    move(entry, Segment::kept);
    const std::size_t keepable = (capacity_ - target_) / 5 * 4 + (capacity_ - target_) % 5 * 4 / 5;
    for (int moves = 0; moves < mostMoves && list(Segment::kept).charge > keepable; ++moves) {
      move(*list(Segment::kept).oldest, Segment::probation);
    }
  }
  void remove(Entry& entry) noexcept {
    unlink(entry);
    entry.segment = Segment::none;
    --size_;
  }
  // The entry that goes first when `incoming` comes; null when there is none.
  [[nodiscard]] Entry* victim(std::size_t incoming, const FrequencySketch& sketch) noexcept {
    Entry* const candidate = list(Segment::window).oldest;
    Entry* const rival =
        list(Segment::probation).oldest ? list(Segment::probation).oldest : list(Segment::kept).oldest;
    if (!rival) return candidate;
    if (!candidate || list(Segment::window).charge + incoming <= target_) return rival;
    if (sketch.estimate(candidate->keyHash) <= sketch.estimate(rival->keyHash)) return candidate;
    move(*candidate, Segment::probation);
    return rival;
  }

 private:
  static constexpr int mostMoves = 4;  // in one call, so that a shrinking window stalls nobody

  struct List {
    Entry* oldest = nullptr;
    Entry* newest = nullptr;
    std::size_t charge = 0;
  };

  [[nodiscard]] List& list(Segment segment) noexcept { return lists_[static_cast<std::size_t>(segment) - 1]; }
  [[nodiscard]] const List& list(Segment segment) const noexcept {
    return lists_[static_cast<std::size_t>(segment) - 1];
  }
  void push(Entry& entry, Segment segment) noexcept {
    List& to = list(segment);
    entry.segment = segment;
    entry.newer = nullptr;
    entry.older = to.newest;
    (to.newest ? to.newest->newer : to.oldest) = &entry;
    to.newest = &entry;
    to.charge += entry.charge();
  }
  void unlink(Entry& entry) noexcept {
    List& from = list(entry.segment);
    (entry.newer ? entry.newer->older : from.newest) = entry.older;
    (entry.older ? entry.older->newer : from.oldest) = entry.newer;
    from.charge -= entry.charge();
  }
  void move(Entry& entry, Segment segment) noexcept {
    unlink(entry);
    push(entry, segment);
  }

  std::size_t capacity_;
  std::size_t target_ = 1;
  std::size_t size_ = 0;
  std::array<List, 3> lists_;
};

}  // namespace hit_ratio
