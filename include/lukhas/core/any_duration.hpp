// AnyDuration: a duration that a caller gives, in any unit, without wrapping round.
#pragma once

#include <chrono>

namespace lukhas {

// std::chrono converts hours::max() to nanoseconds by a multiplication that overflows: "for ever" arrives as
// minus one hour. As a parameter, this type takes any duration, and what nanoseconds cannot hold as the
// longest or the shortest one that they can.
//
//   bool extend(std::string_view key, lukhas::AnyDuration by);
//   extend("key", std::chrono::hours::max());    // arrives as nanoseconds::max()
class AnyDuration {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  template <class Rep, class Period>
  constexpr AnyDuration(std::chrono::duration<Rep, Period> given) noexcept : value_(saturated(given)) {}

  [[nodiscard]] constexpr operator Nanoseconds() const noexcept { return value_; }

 private:
  template <class Given>
  static constexpr Nanoseconds saturated(Given given) noexcept {
    // Only for the comparison: long double is exact enough to keep off both ends.
    const std::chrono::duration<long double, std::nano> wide(given);
    if (wide >= Nanoseconds::max()) return Nanoseconds::max();
    if (!(wide > Nanoseconds::min())) return Nanoseconds::min();  // not a number, too
    return std::chrono::duration_cast<Nanoseconds>(given);
  }

  Nanoseconds value_;
};

}  // namespace lukhas
