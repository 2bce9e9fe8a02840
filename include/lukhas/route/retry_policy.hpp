// RetryPolicy: how long to wait before another attempt, and whether it still pays.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>

#include "lukhas/core/backoff.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/route/retry_after.hpp"

namespace lukhas {

// How chance spreads the waits.
enum class RetryJitter : std::uint8_t {
  full,          // between zero and a ceiling that doubles
  decorrelated,  // between firstDelay and three times the wait before: never next to nothing
};

struct RetryPolicyOptions {
  // The longest wait before the second attempt at the same model; the ceiling doubles with each further one.
  // 0 (no wait at all) to 1 h.
  std::chrono::nanoseconds firstDelay = std::chrono::milliseconds(500);
  // No ceiling grows above this. firstDelay to 1 h.
  std::chrono::nanoseconds longestDelay = std::chrono::seconds(8);
  // Full: the least work for the called. Decorrelated: where a wait of nearly zero does harm.
  RetryJitter jitter = RetryJitter::full;
  // What an attempt needs at least: a wait that leaves less than this before the deadline is not begun. 0 to
  // 1 h.
  std::chrono::nanoseconds minAttemptTime = std::chrono::milliseconds(100);

  // The longest wait that a model may ask for (`Retry-After`): what asks for more, such as the 86,400 s of a
  // slip or a daily quota, is asked again after this much. Long enough for the usual windows of rate limits
  // of a minute; short enough that a model which is well again is not lost for hours at the price of one
  // request in five minutes. 1 s to 24 h.
  std::chrono::nanoseconds maxRetryAfter = std::chrono::minutes(5);

  // Throws Errc::invalid_option.
  void check() const {
    using namespace std::chrono_literals;
    constexpr const char* who = "RetryPolicy";
    requireOption(who, "firstDelay", firstDelay, 0ns, 1h);
    requireOption(who, "longestDelay", longestDelay, firstDelay, 1h);
    requireOption(who, "minAttemptTime", minAttemptTime, 0ns, 1h);
    requireOption(who, "maxRetryAfter", maxRetryAfter, 1s, longestRetryAfter);
  }
};

// A pure function from what is known to a wait. Attempts at another model need none.
//
// Without a word from the model: exponential backoff with full jitter, a uniformly random time between zero
// and a ceiling that doubles (Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: it
// spreads the retries of many clients best, with the least work); or, by option, the same article's
// decorrelated jitter, min(longestDelay, uniform(firstDelay, 3 × the wait before)). When the model said how
// long (see retry_after.hpp) it is exactly that, which may be zero, up to maxRetryAfter.
//
// Nobody sleeps for nothing: a wait after which an attempt could not finish is refused at once, and the
// caller can say how long it would have been.
class RetryPolicy {
 public:
  explicit RetryPolicy(const RetryPolicyOptions& options = {}) : options_(options) { options_.check(); }

  // How long the model is to be left alone. `failures`: how many attempts have failed at it, 1 or more.
  // `asked`: what the model asked for. `random`: 64 random bits. `before`: the wait before this one.
  [[nodiscard]] std::chrono::nanoseconds wait(unsigned failures,
                                              std::optional<std::chrono::nanoseconds> asked,
                                              std::uint64_t random,
                                              std::chrono::nanoseconds before = {}) const noexcept {
    if (asked) return std::clamp(*asked, std::chrono::nanoseconds::zero(), options_.maxRetryAfter);
    if (options_.jitter == RetryJitter::decorrelated) {
      const std::chrono::nanoseconds lowest = options_.firstDelay;
      const auto range = std::max(lowest, 3 * std::min(before, options_.longestDelay)) - lowest;
      const auto extra = random % (static_cast<std::uint64_t>(range.count()) + 1);
      return std::min(options_.longestDelay,
                      lowest + std::chrono::nanoseconds(static_cast<std::int64_t>(extra)));
    }
    const Backoff backoff{options_.firstDelay, options_.longestDelay};
    return backoff.wait(failures == 0 ? 0 : failures - 1, random);
  }

  // Whether an attempt after such a wait still has the time it needs. `remaining`: time until the deadline.
  [[nodiscard]] bool fits(std::chrono::nanoseconds wait, std::chrono::nanoseconds remaining) const noexcept {
    return remaining > std::chrono::nanoseconds::zero() && remaining >= options_.minAttemptTime &&
           wait < remaining && wait <= remaining - options_.minAttemptTime;
  }

  [[nodiscard]] const RetryPolicyOptions& options() const noexcept { return options_; }

 private:
  RetryPolicyOptions options_;
};

}  // namespace lukhas
