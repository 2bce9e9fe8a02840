// Backoff: how long to wait before trying again.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace lukhas {

// Exponential backoff with full jitter: a uniformly random wait between zero and a ceiling that doubles with
// each attempt (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter
// spreads the retries of many clients best, with the least work). Pure: the random number is passed in.
//
//   const auto wait = Backoff{100ms, 10s}.wait(attempt, env.random());
struct Backoff {
  std::chrono::nanoseconds first = std::chrono::milliseconds(100);  // the ceiling of the first wait
  std::chrono::nanoseconds longest = std::chrono::seconds(10);      // no ceiling is above this

  // `attempt` counts from 0.
  [[nodiscard]] constexpr std::chrono::nanoseconds ceiling(unsigned attempt) const noexcept {
    std::chrono::nanoseconds limit = first;
    for (unsigned i = 0; i < attempt && limit < longest; ++i)
      limit = limit > longest / 2 ? longest : limit * 2;
    return std::min(limit, longest);
  }
  [[nodiscard]] constexpr std::chrono::nanoseconds wait(unsigned attempt,
                                                        std::uint64_t random) const noexcept {
    const auto limit = static_cast<std::uint64_t>(std::max<std::int64_t>(ceiling(attempt).count(), 0));
    return std::chrono::nanoseconds(static_cast<std::int64_t>(limit == 0 ? 0 : random % (limit + 1)));
  }
};

}  // namespace lukhas
