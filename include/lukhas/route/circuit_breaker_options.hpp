// When a circuit opens, for how long, and how it closes again.
#pragma once

#include <chrono>
#include <cstdint>

#include "lukhas/core/option_check.hpp"

namespace lukhas {

//   lukhas::CircuitBreakerOptions byRate{.minimumRequests = 20, .windowTime = 30s, .failurePercent = 50};
//   lukhas::CircuitBreakerOptions slowToo{.slowCallTime = 5s, .slowCallPercent = 80};
//   lukhas::CircuitBreakerOptions patient{.openFor = 30s, .longestOpenFor = 10min};
struct CircuitBreakerOptions {
  // Failures in the window that open the circuit. 1 to windowSize; with windowTime 1 to 1,000,000.
  unsigned failureThreshold = 5;
  // With fewer outcomes than this in the window nothing opens: a handful of calls is no evidence. 1 to
  // windowSize; with windowTime 1 to 1,000,000.
  unsigned minimumRequests = 10;
  // How many of the latest outcomes count. 1 to 10,000.
  unsigned windowSize = 10;
  // Not zero: the outcomes of the last so much time count, instead of the latest windowSize. It moves on in
  // steps of a twentieth. 0, or 1 ms to 24 h.
  std::chrono::nanoseconds windowTime = std::chrono::nanoseconds::zero();
  // Not zero: this share of the window's outcomes must have failed, instead of failureThreshold of them. For
  // windows of very different traffic. 0 to 100.
  double failurePercent = 0;
  // Calls that take at least this long are slow. Zero: none is. 0 to 24 h.
  std::chrono::nanoseconds slowCallTime = std::chrono::nanoseconds::zero();
  // The share of slow calls that opens the circuit. Only with slowCallTime. Above 0, to 100.
  double slowCallPercent = 50;
  // How long an open circuit refuses everything before the first trial. 1 ms to 24 h.
  std::chrono::nanoseconds openFor = std::chrono::seconds(60);
  // Not zero: each time that a trial fails the wait is twice the one before, up to this; it is openFor again
  // once the circuit has been closed. 0, or openFor to 24 h.
  std::chrono::nanoseconds longestOpenFor = std::chrono::nanoseconds::zero();
  // Successful trials that close the circuit again. 1 to 1,000.
  unsigned successThreshold = 3;
  // Trials that may be under way at once. 1 to 100.
  unsigned maxTrials = 3;
  // When a trial that has not reported gives its place back. It only catches trials that got lost, so it has
  // to be longer than any call takes; the default is twice the router's deadline. 1 ms to 24 h.
  std::chrono::nanoseconds trialTimeout = std::chrono::seconds(60);

  // Throws Errc::invalid_option.
  void check() const {
    using namespace std::chrono_literals;
    constexpr const char* who = "CircuitBreaker";
    requireOption(who, "windowSize", windowSize, 1U, 10'000U);
    requireZeroOr("windowTime", windowTime, 1ms);
    const unsigned most = windowTime == 0ns ? windowSize : 1'000'000U;
    requireOption(who, "failureThreshold", failureThreshold, 1U, most);
    requireOption(who, "minimumRequests", minimumRequests, 1U, most);
    requireOptionRule(who, "failurePercent", failurePercent, failurePercent >= 0 && failurePercent <= 100,
                      "0 to 100");
    requireOption(who, "slowCallTime", slowCallTime, 0ns, 24h);
    requireOptionRule(who, "slowCallPercent", slowCallPercent, slowCallPercent > 0 && slowCallPercent <= 100,
                      "above 0, to 100");
    requireOption(who, "openFor", openFor, 1ms, 24h);
    requireZeroOr("longestOpenFor", longestOpenFor, openFor);
    requireOption(who, "successThreshold", successThreshold, 1U, 1'000U);
    requireOption(who, "maxTrials", maxTrials, 1U, 100U);
    requireOption(who, "trialTimeout", trialTimeout, 1ms, 24h);
  }

 private:
  static void requireZeroOr(const char* option, std::chrono::nanoseconds value,
                            std::chrono::nanoseconds lowest) {
    if (value != std::chrono::nanoseconds::zero())
      requireOption("CircuitBreaker", option, value, lowest, std::chrono::hours(24));
  }
};

}  // namespace lukhas
