// RetryBudget: keeps an outage from being multiplied by everybody's retries.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lukhas/core/option_check.hpp"

namespace lukhas {

struct RetryBudgetOptions {
  // Tokens at the start, and the most there can be. 0 allows no second attempt, ever. 0 to 1,000,000,000.
  std::uint64_t capacity = 500;
  // What a further attempt costs after a failure. 0 (free) to 1,000,000.
  std::uint64_t perRetry = 5;
  // What it costs after a time-out, which has held a connection and a caller much longer. 0 to 1,000,000.
  std::uint64_t perTimeout = 10;
  // What each success gives back. 0 to 1,000,000.
  std::uint64_t perSuccess = 1;

  // Throws Errc::invalid_option.
  void check() const {
    constexpr const char* who = "RetryBudget";
    requireOption(who, "capacity", capacity, 0U, 1'000'000'000U);
    requireOption(who, "perRetry", perRetry, 0U, 1'000'000U);
    requireOption(who, "perTimeout", perTimeout, 0U, 1'000'000U);
    requireOption(who, "perSuccess", perSuccess, 0U, 1'000'000U);
  }
};

enum class RetryCause : std::uint8_t { failure, time_out };

// A bucket of tokens: each attempt after a request's first takes some, each success gives a little back, and
// there are never more than `capacity`. While most calls succeed the bucket stays full and every retry is
// paid for; when everything fails it runs empty, and from then on the further attempts are at most perSuccess
// / perRetry of the successes: with the defaults one in five. (The retry quota of the AWS SDKs' "standard"
// retry mode, with the same figures.)
//
// Not synchronised: the owner guards it. All operations are O(1).
class RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetOptions& options = {})
      : options_(options), tokens_(options.capacity) {
    options_.check();
  }

  // Pays for one more attempt; takes nothing when there is not enough. An empty budget of capacity zero pays
  // for nothing, even when retries are free.
  [[nodiscard]] bool tryTake(RetryCause cause) noexcept {
    const std::uint64_t price = cause == RetryCause::time_out ? options_.perTimeout : options_.perRetry;
    if (options_.capacity == 0 || tokens_ < price) return false;
    tokens_ -= price;
    return true;
  }
  void success() noexcept { tokens_ = std::min(options_.capacity, tokens_ + options_.perSuccess); }

  [[nodiscard]] std::uint64_t tokens() const noexcept { return tokens_; }
  [[nodiscard]] const RetryBudgetOptions& options() const noexcept { return options_; }

 private:
  RetryBudgetOptions options_;
  std::uint64_t tokens_;
};

}  // namespace lukhas
