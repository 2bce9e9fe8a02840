// Options and metrics of AsyncLock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include "lukhas/async/world.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/lock/lock_scope.hpp"

namespace lukhas {

struct AsyncLockOptions {
  // How long acquire() waits when the call does not say: longer than a model's ordinary answer would be too
  // long for a person to wait. Zero: a lock that is not free is refused at once. 0 to 24 h.
  Duration timeout = std::chrono::seconds(5);
  // A lock held longer than this is reported by onDeadlock and by healthCheck(): twice the time-out, so that
  // whoever waits for it has given up by then. Zero: nothing is reported. 0 to 24 h.
  Duration heldWarning = std::chrono::seconds(10);
  // Requests that may wait at once, over all keys; one more is refused with LockErrc::overloaded. A waiting
  // request costs about 1 KiB. 1 to 10,000,000.
  std::size_t maxWaiters = 100'000;
  // healthCheck() reports when more than this share of the requests of the last minute timed out, and at
  // least five of them. 0 to 100.
  double maxTimeoutPercent = 5;

  // Throws Errc::invalid_option.
  void check() const {
    using namespace std::chrono_literals;
    constexpr const char* who = "AsyncLock";
    requireOption(who, "timeout", timeout, 0s, 24h);
    requireOption(who, "heldWarning", heldWarning, 0s, 24h);
    requireOption(who, "maxWaiters", maxWaiters, 1U, 10'000'000U);
    requireOption(who, "maxTimeoutPercent", maxTimeoutPercent, 0, 100);
  }
};

// Of one call. Trivially copyable, so that it can be written in braces inside a `co_await` expression.
struct AcquireOptions {
  // How long to wait instead of AsyncLockOptions::timeout. Zero: do not wait. 0 to 24 h.
  std::optional<Duration> timeout = std::nullopt;
  // The task on whose behalf the lock is asked for, so that a circle of tasks is found at once: see
  // LockScope. It is looked at by the call and need not outlive it. Null: no task in particular.
  const LockScope* scope = nullptr;
  // Who holds the lock, as warnings and errors shall name it. Copied by the call, so the text need not
  // outlive it; at most 256 bytes of it are kept. Empty: that of the scope, if there is one.
  std::string_view label = {};
};

// Of a call that never waits.
struct TryAcquireOptions {
  const LockScope* scope = nullptr;  // as in AcquireOptions
  std::string_view label = {};       // as in AcquireOptions
};

struct LockMetrics {
  std::uint64_t activeLocks = 0;
  std::uint64_t waiting = 0;
  std::uint64_t totalAcquired = 0;
  std::uint64_t totalTimeouts = 0;
  double avgWaitMs = 0;
  double maxWaitMs = 0;
  std::uint64_t deadlocksDetected = 0;
  std::uint64_t circlesRefused = 0;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(gauge("activeLocks", activeLocks, "keys that are held now"));
    visitor(gauge("waiting", waiting, "requests that wait now"));
    visitor(counter("totalAcquired", totalAcquired, "locks that were granted"));
    visitor(counter("totalTimeouts", totalTimeouts, "requests that timed out"));
    visitor(gauge("avgWaitMs", avgWaitMs, "mean wait before a grant in milliseconds"));
    visitor(gauge("maxWaitMs", maxWaitMs, "longest wait before a grant in milliseconds"));
    visitor(counter("deadlocksDetected", deadlocksDetected,
                    "requests that would have closed a circle, and locks held longer than heldWarning"));
    visitor(counter("circlesRefused", circlesRefused, "requests that would have closed a circle"));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }
};

}  // namespace lukhas
