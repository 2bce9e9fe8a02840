// What calls of TTLEnforcementEngine answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "lukhas/async/world.hpp"

namespace lukhas {

// What extend() came to. In a condition it is true when the key was valid, whether it got all or a part.
struct ExtendResult {
  enum class Outcome {
    extended,         // by what was asked
    reached_maximum,  // by less: maxTtl is left, and an entry may not have more
    not_valid,        // not at all: the key is not registered, or has expired
  };

  Outcome outcome = Outcome::not_valid;
  Duration remaining{};  // what is left now; zero when not valid

  [[nodiscard]] constexpr operator bool() const noexcept { return outcome != Outcome::not_valid; }
};

// What one sweep() did. What others did beside it does not count.
struct SweepReport {
  std::size_t expired = 0;  // removed, and reported by onExpired
  std::size_t warned = 0;   // reported by onExpiringSoon
  std::size_t slices = 0;   // of work, with a pause after each but the last
  Duration duration{};      // from begin to end, with the pauses
};

// The entries of one type: see forEachType(). The figures mean what they mean in TtlMetrics.
struct TtlTypeStatistics {
  std::string type;  // empty: those that were registered without one
  std::uint64_t totalEntries = 0;
  std::uint64_t expiredEntries = 0;
  std::uint64_t activeEntries = 0;
  double avgTTLMs = 0;
};

}  // namespace lukhas
