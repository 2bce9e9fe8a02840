// SplitMix64: the small random generator behind Environment and the simulated world.
#pragma once

#include <cstdint>

namespace lukhas {

// One step of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014): a
// bijective mix of a counter. Good enough for jitter, seeds and schedules; not for secrets.
[[nodiscard]] constexpr std::uint64_t splitMix64(std::uint64_t counter) noexcept {
  std::uint64_t mixed = counter + 0x9E3779B97F4A7C15U;
  mixed = (mixed ^ (mixed >> 30U)) * 0xBF58476D1CE4E5B9U;
  mixed = (mixed ^ (mixed >> 27U)) * 0x94D049BB133111EBU;
  return mixed ^ (mixed >> 31U);
}

// A sequence of such numbers. Equal seeds give equal sequences, on every platform.
class SplitMix {
 public:
  explicit constexpr SplitMix(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] constexpr std::uint64_t next() noexcept {
    const std::uint64_t value = splitMix64(state_);
    state_ += 0x9E3779B97F4A7C15U;
    return value;
  }

  // A number in [0, bound); 0 when bound is 0. The bias of the modulo is below 2^-32 for every bound used
  // here.
  [[nodiscard]] constexpr std::uint64_t below(std::uint64_t bound) noexcept {
    return bound == 0 ? 0 : next() % bound;
  }

  // True with a probability of `perMille` in a thousand.
  [[nodiscard]] constexpr bool chance(std::uint64_t perMille) noexcept { return below(1000) < perMille; }

 private:
  std::uint64_t state_;
};

}  // namespace lukhas
