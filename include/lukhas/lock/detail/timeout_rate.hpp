// TimeoutRate: how many of the latest requests timed out, in constant memory.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "lukhas/async/world.hpp"

namespace lukhas::detail {

// Counts in slots of ten seconds; the last six, the present one included, make up the window, which is so 50
// to 60 seconds long. A slot is emptied when its turn comes again. O(1). What goes back in time counts now.
class TimeoutRate {
 public:
  static constexpr Duration slotLength = std::chrono::seconds(10);
  static constexpr std::size_t slotCount = 6;

  struct Counts {
    std::uint64_t requests = 0;  // granted or timed out
    std::uint64_t timeouts = 0;

    [[nodiscard]] double percent() const noexcept {
      return requests == 0 ? 0 : 100.0 * static_cast<double>(timeouts) / static_cast<double>(requests);
    }
  };

  void granted(TimePoint now) noexcept { ++slotOf(now).counts.requests; }
  void timedOut(TimePoint now) noexcept {
    Slot& slot = slotOf(now);
    ++slot.counts.requests;
    ++slot.counts.timeouts;
  }

  [[nodiscard]] Counts recent(TimePoint now) const noexcept {
    const std::int64_t present = numberOf(now);
    Counts sum;
    for (const Slot& slot : slots_) {
      if (slot.number <= present - static_cast<std::int64_t>(slotCount)) continue;
      sum.requests += slot.counts.requests;
      sum.timeouts += slot.counts.timeouts;
    }
    return sum;
  }

 private:
  struct Slot {
    std::int64_t number = 0;  // which ten seconds of the clock
    Counts counts;
  };

  static std::int64_t numberOf(TimePoint now) noexcept { return now.time_since_epoch() / slotLength; }
  // Divides only when a slot has ended: a division is a good part of what counting costs.
  Slot& slotOf(TimePoint now) noexcept {
    if (now < end_) return slots_[present_];
    const std::int64_t number = numberOf(now);
    present_ = static_cast<std::uint64_t>(number) % slotCount;
    end_ = TimePoint((number + 1) * slotLength);
    return slots_[present_] = Slot{number, {}};
  }

  std::array<Slot, slotCount> slots_{};
  std::size_t present_ = 0;           // the slot that counts, …
  TimePoint end_ = TimePoint::min();  // … until then
};

}  // namespace lukhas::detail
