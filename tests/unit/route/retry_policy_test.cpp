#include "lukhas/route/retry_policy.hpp"

#include "lukhas/core/error.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::RetryPolicy;
using lukhas::RetryPolicyOptions;

namespace {
constexpr std::uint64_t most = ~std::uint64_t{0};
}

TEST_CASE("the backoff before a retry doubles its ceiling with each failure up to the longest delay",
          "[route]") {
  const RetryPolicy policy({.firstDelay = 100ms, .longestDelay = 350ms});
  std::chrono::nanoseconds longest[5] = {};
  for (std::uint64_t random = 0; random < 100'000; ++random) {
    for (unsigned failures = 1; failures <= 4; ++failures) {
      const auto wait = policy.wait(failures, std::nullopt, random * 0x9e3779b97f4a7c15U);
      REQUIRE(wait >= 0ns);
      longest[failures] = std::max(longest[failures], wait);
    }
  }
  const std::chrono::nanoseconds ceilings[5] = {0ms, 100ms, 200ms, 350ms, 350ms};
  for (unsigned failures = 1; failures <= 4; ++failures) {
    CHECK(longest[failures] <= ceilings[failures]);
    CHECK(longest[failures] > ceilings[failures] * 99 / 100);
  }
}

TEST_CASE("the same random number gives the same wait", "[route]") {
  const RetryPolicy policy;
  CHECK(policy.wait(1, std::nullopt, 12345) == policy.wait(1, std::nullopt, 12345));
  CHECK(policy.wait(1, std::nullopt, 0) == 0ns);
}

TEST_CASE("what the model asked for is the wait and may be zero", "[route]") {
  const RetryPolicy policy;
  CHECK(policy.wait(3, 1500ms, most) == 1500ms);
  CHECK(policy.wait(3, 0ns, most) == 0ns);
  CHECK(policy.wait(3, -1ns, most) == 0ns);
}

TEST_CASE("a model is left alone on its word no longer than maxRetryAfter", "[route]") {
  const RetryPolicy policy({.maxRetryAfter = 2min});
  CHECK(policy.wait(1, 2min, most) == 2min);
  CHECK(policy.wait(1, 2min + 1ns, most) == 2min);
  CHECK(RetryPolicy().wait(1, 24h, most) == 5min);
}

TEST_CASE("a wait that leaves no time for an attempt does not fit", "[route]") {
  const RetryPolicy policy({.minAttemptTime = 100ms});
  CHECK(policy.fits(0ns, 100ms));
  CHECK(policy.fits(29'900ms, 30s));
  CHECK_FALSE(policy.fits(29'900ms + 1ns, 30s));
  CHECK_FALSE(policy.fits(24h, 30s));
}

TEST_CASE("nothing fits when no time is left", "[route]") {
  CHECK_FALSE(RetryPolicy().fits(0ns, 99ms));
  CHECK_FALSE(RetryPolicy({.minAttemptTime = 0ns}).fits(0ns, 0ns));
  CHECK_FALSE(RetryPolicy({.minAttemptTime = 0ns}).fits(0ns, -1s));
  CHECK(RetryPolicy({.minAttemptTime = 0ns}).fits(0ns, 1ns));
}

TEST_CASE("retry policy options out of range are refused by name", "[route]") {
  const auto refused = [](const RetryPolicyOptions& options) -> std::string {
    try {
      RetryPolicy policy(options);
      return "accepted";
    } catch (const lukhas::Error& error) {
      return error.details().at("option").get<std::string>();
    }
  };
  CHECK(refused({.firstDelay = -1ns}) == "firstDelay");
  CHECK(refused({.firstDelay = 2s, .longestDelay = 1s}) == "longestDelay");
  CHECK(refused({.minAttemptTime = 2h}) == "minAttemptTime");
  CHECK(refused({.maxRetryAfter = 1s - 1ns}) == "maxRetryAfter");
  CHECK(refused({.maxRetryAfter = 24h + 1ns}) == "maxRetryAfter");
  CHECK(refused({.maxRetryAfter = 1s}) == "accepted");
  CHECK(refused({.maxRetryAfter = 24h}) == "accepted");
  CHECK(refused({.firstDelay = 0ns, .longestDelay = 0ns, .minAttemptTime = 0ns}) == "accepted");
}

TEST_CASE("decorrelated waits lie between the first delay and three times the wait before", "[route]") {
  const RetryPolicy policy(
      {.firstDelay = 100ms, .longestDelay = 1s, .jitter = lukhas::RetryJitter::decorrelated});
  const auto largest = std::uint64_t(-1);
  for (const std::uint64_t random : {std::uint64_t{0}, largest / 3, largest}) {
    CHECK(policy.wait(1, std::nullopt, random) == 100ms);
    CHECK(policy.wait(2, std::nullopt, random, 100ms) >= 100ms);
    CHECK(policy.wait(2, std::nullopt, random, 100ms) <= 300ms);
    CHECK(policy.wait(9, std::nullopt, random, 24h) <= 1s);
  }
  CHECK(policy.wait(2, std::nullopt, 200'000'000, 100ms) == 300ms);  // the last of the range
  CHECK(policy.wait(2, std::nullopt, 200'000'001, 100ms) == 100ms);
  CHECK(policy.wait(2, std::nullopt, 2'900'000'000, 1s) == 1s);
  CHECK(policy.wait(2, 7s, largest, 100ms) == 7s);  // what the model asks for is exact
}
