// SegmentedOrder: entries between a window of new ones and those that proved to be used often.
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
  std::uint32_t lastUse = 0;
  Segment segment = Segment::none;
};

// W-TinyLFU (Einziger, Friedman and Manes 2017) whose window may take any part of the capacity, at any time:
//
//   a new entry comes into the window (LRU). When that is over its target, its oldest entry is the candidate
//   for the main part, and room is made by whichever was used less of late: candidate or main's oldest. Main
//   is a segmented LRU: a use in probation leads to the kept ones, which have 4/5 of main; what is too much
//   there goes back.
//
//   A window of the whole capacity is plain LRU: the entry goes that was used longest ago, whatever its
//   segment. What other targets left in main stays there meanwhile, so that a target that comes back soon
//   finds its main part. Until that left, LRU is near, not exact: probation is not in the order of use.
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
  [[nodiscard]] bool isLru() const noexcept { return target_ == capacity_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t charge() const noexcept {
    return list(Segment::window).charge + list(Segment::probation).charge + list(Segment::kept).charge;
  }

  void add(Entry& entry) noexcept {
    ++size_;
    entry.lastUse = ++uses_;
    push(entry, Segment::window);
    for (int moves = 0; moves < mostMoves && list(Segment::window).charge > target_ && !isLru(); ++moves) {
      move(*list(Segment::window).oldest, Segment::probation);
    }
  }
  void use(Entry& entry) noexcept {
    entry.lastUse = ++uses_;
    if (entry.segment == Segment::window) return move(entry, Segment::window);
    move(entry, Segment::kept);
    if (isLru()) return;
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
    if (isLru()) return longestUnused();
    Entry* const candidate = list(Segment::window).oldest;
    Entry* const rival =
        list(Segment::probation).oldest ? list(Segment::probation).oldest : list(Segment::kept).oldest;
    if (!rival) return candidate;
    if (!candidate || list(Segment::window).charge + incoming <= target_) return rival;
    if (sketch.estimate(candidate->keyHash) <= sketch.estimate(rival->keyHash)) return candidate;
    move(*candidate, Segment::probation);
    return rival;
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t listed = 0;
    for (std::size_t i = 0; i < lists_.size(); ++i) {
      std::size_t charged = 0;
      const Entry* older = nullptr;
      for (const Entry* entry = lists_[i].oldest; entry; older = entry, entry = entry->newer, ++listed) {
        if (entry->older != older || static_cast<std::size_t>(entry->segment) != i + 1) return false;
        charged += entry->charge();
      }
      if (lists_[i].newest != older || lists_[i].charge != charged) return false;
    }
    return listed == size_ && target_ >= 1 && target_ <= capacity_;
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
  [[nodiscard]] Entry* longestUnused() const noexcept {
    Entry* longest = nullptr;
    for (const List& from : lists_) {
      Entry* const oldest = from.oldest;
      if (oldest && (!longest || uses_ - oldest->lastUse > uses_ - longest->lastUse)) longest = oldest;
    }
    return longest;
  }

  std::size_t capacity_;
  std::size_t target_ = 1;
  std::size_t size_ = 0;
  std::uint32_t uses_ = 0;  // wraps: an entry unused for 2^32 uses seems younger than it is
  std::array<List, 3> lists_;
};

}  // namespace hit_ratio
