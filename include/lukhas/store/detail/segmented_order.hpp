// SegmentedOrder: entries between a window of new ones and those that proved to be used often.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "lukhas/store/detail/frequency_sketch.hpp"

namespace lukhas::detail {

// Where an entry stands: the low bits of its state.
enum class Segment : std::uint8_t { window, probation, kept };

// W-TinyLFU (Einziger, Friedman and Manes 2017) whose window may take any part of the capacity, at any time:
//
//   a new entry comes into the window (LRU). When that is over its target, its oldest entry is the candidate
//   for the main part, and room is made by whichever was used less of late: candidate or main's oldest. Main
//   is a segmented LRU: a use in probation leads to the kept ones, which have 4/5 of main; what is too much
//   there goes back.
//
//   A candidate wins when it was used more often by `advantage` + 1. With an advantage of one, a loop longer
//   than the cache keeps the part that it found: the newer of two keys of the loop has always been counted
//   once more, so that without advantage each would push out the one that is needed next.
//
//   A window of the whole capacity is LRU: a use leads into the window, whose order is the order of use. What
//   is left in main was not used since the window became whole, and goes first. An entry that came out of
//   main is marked, and goes back there when the window becomes small again: changing to and fro loses no
//   order.
//
// Each call is O(1): after a change of the target, entries move a few a call. Owns nothing and allocates
// nothing; an entry may be removed at any time. Not thread-safe.
//
// `Space` says how to reach an entry: Ref, `none`, newer(ref), older(ref), state(ref) as references,
// charge(ref) and hash(ref) as values.
template <class Space>
class SegmentedOrder {
 public:
  using Ref = typename Space::Ref;
  static constexpr unsigned whole = 128;  // windows are in parts of this

  // Precondition: 1 <= window <= whole.
  explicit SegmentedOrder(unsigned window, Space space = {}) noexcept : space_(space), window_(window) {}

  void setSpace(Space space) noexcept { space_ = space; }
  void setWindow(unsigned window) noexcept { window_ = window; }
  void setAdvantage(unsigned uses) noexcept { advantage_ = uses; }
  // What all entries together may weigh, for the shares of the segments.
  void setCapacity(std::size_t bytes) noexcept { capacity_ = bytes; }
  [[nodiscard]] unsigned window() const noexcept { return window_; }
  [[nodiscard]] bool isLru() const noexcept { return window_ == whole; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t charge() const noexcept {
    return lists_[0].charge + lists_[1].charge + lists_[2].charge;
  }

  void add(Ref entry) noexcept {
    ++size_;
    push(entry, Segment::window, isNew);
    if (isLru()) return;
    const List& window = list(Segment::window);
    for (int moves = 0; moves < mostMoves && window.charge > target() && window.oldest != entry; ++moves) {
      leaveWindow(window.oldest);
    }
  }
  void use(Ref entry) noexcept {
    const Segment from = segmentOf(entry);
    if (from == Segment::window) return touch(entry);
    unlink(entry);
    if (isLru()) return push(entry, Segment::window, wasMain);
    push(entry, Segment::kept, isNew);
    const std::size_t main = capacity_ - target();
    const std::size_t keepable = main / 5 * 4 + main % 5 * 4 / 5;
    for (int moves = 0; moves < mostMoves && list(Segment::kept).charge > keepable; ++moves) {
      move(list(Segment::kept).oldest, Segment::probation);
    }
  }
  void remove(Ref entry) noexcept {
    unlink(entry);
    --size_;
  }
  // `fresh` takes the place of `old`.
  void replace(Ref old, Ref fresh) noexcept {
    List& in = list(segmentOf(old));
    space_.state(fresh) = space_.state(old);
    space_.newer(fresh) = space_.newer(old);
    space_.older(fresh) = space_.older(old);
    setOlderOf(space_.newer(fresh), in, fresh);
    setNewerOf(space_.older(fresh), in, fresh);
    in.charge += space_.charge(fresh);
    in.charge -= space_.charge(old);
  }
  // The entry that goes first when `incoming` comes; none when there is none.
  [[nodiscard]] Ref victim(std::size_t incoming, const FrequencySketch& sketch) noexcept {
    const Ref candidate = list(Segment::window).oldest;
    const Ref rival = list(Segment::probation).oldest != Space::none ? list(Segment::probation).oldest
                                                                     : list(Segment::kept).oldest;
    if (rival == Space::none) return candidate;
    if (isLru() || candidate == Space::none) return rival;
    if (list(Segment::window).charge + incoming <= target()) return rival;
    if (sketch.estimate(space_.hash(candidate)) <= sketch.estimate(space_.hash(rival)) + advantage_)
      return candidate;
    leaveWindow(candidate);
    return rival;
  }
  // Forgets all entries without touching them.
  void clear() noexcept {
    lists_ = {};
    size_ = 0;
  }

  [[nodiscard]] Segment segmentOf(Ref entry) const noexcept {
    return static_cast<Segment>(space_.state(entry) & 3U);
  }
  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t listed = 0;
    for (std::size_t i = 0; i < lists_.size(); ++i) {
      std::size_t charged = 0;
      Ref older = Space::none;
      for (Ref entry = lists_[i].oldest; entry != Space::none;
           older = std::exchange(entry, space_.newer(entry)), ++listed) {
        if (space_.older(entry) != older || static_cast<std::size_t>(segmentOf(entry)) != i) return false;
        charged += space_.charge(entry);
      }
      if (lists_[i].newest != older || lists_[i].charge != charged) return false;
    }
    return listed == size_ && window_ >= 1 && window_ <= whole;
  }

 private:
  static constexpr int mostMoves = 4;  // in one call, so that a shrinking window stalls nobody
  static constexpr std::uint8_t isNew = 0;
  static constexpr std::uint8_t wasMain = 4;  // in the window only

  struct List {
    Ref oldest = Space::none;
    Ref newest = Space::none;
    std::size_t charge = 0;
  };

  [[nodiscard]] std::size_t target() const noexcept {
    return capacity_ / whole * window_ + capacity_ % whole * window_ / whole;
  }
  [[nodiscard]] List& list(Segment segment) noexcept { return lists_[static_cast<std::size_t>(segment)]; }
  // Of no entry: of the list, which then ends with `to`.
  void setNewerOf(Ref entry, List& in, Ref to) noexcept {
    if (entry == Space::none) {
      in.oldest = to;
    } else {
      space_.newer(entry) = to;
    }
  }
  void setOlderOf(Ref entry, List& in, Ref to) noexcept {
    if (entry == Space::none) {
      in.newest = to;
    } else {
      space_.older(entry) = to;
    }
  }
  void push(Ref entry, Segment segment, std::uint8_t mark) noexcept {
    List& to = list(segment);
    space_.state(entry) = static_cast<std::uint8_t>(static_cast<unsigned>(segment) | mark);
    space_.newer(entry) = Space::none;
    space_.older(entry) = to.newest;
    setNewerOf(to.newest, to, entry);
    to.newest = entry;
    to.charge += space_.charge(entry);
  }
  void unlink(Ref entry) noexcept {
    List& from = list(segmentOf(entry));
    const Ref newer = space_.newer(entry);
    const Ref older = space_.older(entry);
    setOlderOf(newer, from, older);
    setNewerOf(older, from, newer);
    from.charge -= space_.charge(entry);
  }
  void touch(Ref entry) noexcept {
    if (list(segmentOf(entry)).newest == entry) return;
    const std::uint8_t state = space_.state(entry);
    unlink(entry);
    push(entry, static_cast<Segment>(state & 3U), static_cast<std::uint8_t>(state & wasMain));
  }
  void move(Ref entry, Segment segment) noexcept {
    unlink(entry);
    push(entry, segment, isNew);
  }
  void leaveWindow(Ref entry) noexcept {
    move(entry, (space_.state(entry) & wasMain) != 0 ? Segment::kept : Segment::probation);
  }

  [[no_unique_address]] Space space_;
  std::size_t capacity_ = 0;
  unsigned window_;
  unsigned advantage_ = 1;
  std::size_t size_ = 0;
  std::array<List, 3> lists_;
};

}  // namespace lukhas::detail
