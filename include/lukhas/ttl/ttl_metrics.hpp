// Metrics of TTLEnforcementEngine.
#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

#include "lukhas/core/metrics.hpp"

namespace lukhas {

struct TtlMetrics {
  std::uint64_t totalEntries = 0;    // registrations ever; replacing a key is one
  std::uint64_t expiredEntries = 0;  // entries removed after their expiry
  std::uint64_t activeEntries = 0;   // registered now; expired ones count until they are removed
  double avgTTLMs = 0;               // mean of the TTLs that the registrations were given
  // Sweeps that ended: those of the interval, those of sweep(), and those between that removed something.
  std::uint64_t sweepCount = 0;
  std::int64_t lastSweepAt = 0;  // when the last one ended, in milliseconds since 1970-01-01 UTC; 0: none yet
  double avgSweepDurationMs = 0;  // from begin to end, with the pauses between slices

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("totalEntries", totalEntries, "entries that were ever registered"));
    visitor(counter("expiredEntries", expiredEntries, "entries that were removed after their expiry"));
    visitor(gauge("activeEntries", activeEntries, "entries that are registered now"));
    visitor(gauge("avgTTLMs", avgTTLMs, "mean time to live given at registration in milliseconds"));
    visitor(counter("sweepCount", sweepCount, "sweeps that ended"));
    visitor(gauge("lastSweepAt", lastSweepAt,
                  "when the last sweep ended in milliseconds since 1970-01-01 UTC (0 for none)"));
    visitor(gauge("avgSweepDurationMs", avgSweepDurationMs, "mean time of a sweep in milliseconds"));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }
};

}  // namespace lukhas
