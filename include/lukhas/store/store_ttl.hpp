// StoreTtl: how long an entry lives, or "the default".
#pragma once

#include <chrono>
#include <optional>

#include "lukhas/async/world.hpp"
#include "lukhas/core/any_duration.hpp"

namespace lukhas {

// A parameter, made of any duration or of nothing: std::nullopt is the store's default TTL, or for an entry
// that is changed the time that it has left. What nanoseconds cannot hold becomes the longest time that they
// can, which is for ever: hours::max() does not wrap round.
class StoreTtl {
 public:
  constexpr StoreTtl() noexcept = default;
  constexpr StoreTtl(std::nullopt_t) noexcept {}
  constexpr StoreTtl(std::optional<Duration> given) noexcept : given_(given) {}
  template <class Rep, class Period>
  constexpr StoreTtl(std::chrono::duration<Rep, Period> given) noexcept
      : given_(static_cast<Duration>(AnyDuration(given))) {}

  [[nodiscard]] constexpr operator std::optional<Duration>() const noexcept { return given_; }

 private:
  std::optional<Duration> given_;
};

}  // namespace lukhas
