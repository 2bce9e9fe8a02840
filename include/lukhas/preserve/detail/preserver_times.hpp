// PreserverTimes: how long the phases of transactions take, in all and at each participant.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "lukhas/core/histogram.hpp"
#include "lukhas/preserve/preserver_options.hpp"

namespace lukhas::detail {

// Guarded by the state's mutex.
struct PreserverTimes {
  struct OfParticipant {
    LatencyHistogram prepare;
    LatencyHistogram commit;
    std::uint64_t failures = 0;  // prepares and commits that ended in an error, or in none within their time
  };

  LatencyHistogram queue;    // from the call to its turn
  LatencyHistogram read;     // finding out the version
  LatencyHistogram prepare;  // until the last participant has said yes
  LatencyHistogram decide;   // writing the decision
  LatencyHistogram apply;    // until the last participant has done it, or the call does not wait any longer
  LatencyHistogram call;     // all of it, for calls that succeed
  std::map<std::string, OfParticipant> participants;  // those that are registered

  // Null for one that is not registered any more.
  [[nodiscard]] OfParticipant* find(const std::string& name) {
    const auto found = participants.find(name);
    return found == participants.end() ? nullptr : &found->second;
  }

  void writeTo(PreserverMetrics& metrics) const {
    metrics.avgLatencyMs = toMilliseconds(call.mean());
    metrics.p99LatencyMs = toMilliseconds(call.percentile(99));
    const auto phase = [&metrics](const char* name, const LatencyHistogram& times) {
      metrics.phaseP50Ms[name] = toMilliseconds(times.percentile(50));
      metrics.phaseP99Ms[name] = toMilliseconds(times.percentile(99));
    };
    phase("queue", queue);
    phase("read", read);
    phase("prepare", prepare);
    phase("decide", decide);
    phase("apply", apply);
    for (const auto& [name, times] : participants) {
      metrics.prepareP50Ms[name] = toMilliseconds(times.prepare.percentile(50));
      metrics.prepareP99Ms[name] = toMilliseconds(times.prepare.percentile(99));
      metrics.commitP50Ms[name] = toMilliseconds(times.commit.percentile(50));
      metrics.commitP99Ms[name] = toMilliseconds(times.commit.percentile(99));
      metrics.participantFailures[name] = times.failures;
    }
  }
};

}  // namespace lukhas::detail
