// SliceBudget: when a slice of work is over. Reads no clock itself.
#pragma once

#include <algorithm>
#include <cstddef>

#include "lukhas/async/world.hpp"

namespace lukhas::detail {

// A slice ends after so many entries or after so much time, whichever comes first, and has one entry at
// least. A look at the clock costs a good part of what an entry costs, so it is not asked for after each, but
// after half as many as the time that is left has room for at the pace so far: a slice of slow listeners ends
// on time, and one of quick ones looks at the clock every 16 entries, or every 4 where listeners are called:
// they may become slow without a warning.
//
//   SliceBudget budget(1000, 1ms, clock.now());
//   while (!budget.spent()) {
//     handle(next());
//     budget.count();
//     if (budget.wantsTime()) budget.tell(clock.now());
//   }
class SliceBudget {
 public:
  // How many entries there may be between two looks.
  static constexpr Duration::rep rarest = 16;
  static constexpr Duration::rep rarestBetweenCalls = 4;

  SliceBudget(std::size_t maxEntries, Duration maxTime, TimePoint begun,
              Duration::rep rarestLook = rarest) noexcept
      : maxEntries_(maxEntries), maxTime_(maxTime), begun_(begun), rarest_(rarestLook) {}

  void count() noexcept { ++entries_; }
  [[nodiscard]] bool wantsTime() const noexcept { return entries_ >= nextLook_; }
  void tell(TimePoint now) noexcept {
    const Duration taken = now - begun_;
    const Duration left = maxTime_ - taken;
    late_ = left <= Duration::zero();
    nextLook_ = entries_ + lookAfter(left, taken);
  }
  [[nodiscard]] bool spent() const noexcept { return late_ || entries_ >= maxEntries_; }

 private:
  [[nodiscard]] std::size_t lookAfter(Duration left, Duration taken) const noexcept {
    if (taken <= Duration::zero()) return static_cast<std::size_t>(rarest_);
    const Duration::rep pace =
        std::max<Duration::rep>(taken.count() / static_cast<Duration::rep>(entries_), 1);
    return static_cast<std::size_t>(std::clamp<Duration::rep>(left.count() / pace / 2, 1, rarest_));
  }

  std::size_t maxEntries_;
  Duration maxTime_;
  TimePoint begun_;
  Duration::rep rarest_;
  std::size_t entries_ = 0;
  std::size_t nextLook_ = 1;
  bool late_ = false;
};

}  // namespace lukhas::detail
