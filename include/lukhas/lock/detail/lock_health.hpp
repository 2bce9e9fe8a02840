// What AsyncLock::healthCheck() looks at.
#pragma once

#include <chrono>

#include <fmt/format.h>

#include "lukhas/core/health.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/lock/async_lock_options.hpp"
#include "lukhas/lock/detail/lock_table.hpp"
#include "lukhas/lock/detail/timeout_rate.hpp"

namespace lukhas::detail {

// One or two time-outs in a quiet minute are a large share, and no evidence.
inline constexpr std::uint64_t fewestTimeouts = 5;

[[nodiscard]] inline HealthReport checkLockHealth(const LockTable& table, const AsyncLockOptions& options,
                                                  TimePoint now) {
  HealthReport health;
  const TimeoutRate::Counts recent = table.recent(now);
  const double percent = recent.percent();
  if (recent.timeouts >= fewestTimeouts && percent > options.maxTimeoutPercent) {
    health.report("high_timeout_rate",
                  fmt::format("{:.1f} % of the lock requests of the last minute timed out ({} of {})",
                              percent, recent.timeouts, recent.requests),
                  percent, options.maxTimeoutPercent);
  }
  if (const LockTable::Overdue overdue = table.overdue(now); overdue.count > 0) {
    const auto seconds = [](Duration time) { return std::chrono::duration<double>(time).count(); };
    const double held = seconds(now - overdue.longest->since);
    const double limit = seconds(options.heldWarning);
    health.report("held_too_long",
                  fmt::format("{} locks are held for more than {} s; the longest is {}, for {:.1f} s",
                              overdue.count, limit, quotedText(overdue.longest->key()), held),
                  held, limit);
  }
  return health;
}

}  // namespace lukhas::detail
