// Options of TTLEnforcementEngine, and the policies by which types of entries differ.
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "lukhas/async/world.hpp"

namespace lukhas {

// What becomes of a TTL below minTtl or above maxTtl: the nearest one that is allowed, or
// TtlErrc::ttl_out_of_range.
enum class OutOfRangeTtl { clamp, refuse };

// How the entries of one type differ. A field that is not set is the engine's own option of that name, with
// its meaning and range.
struct TtlPolicy {
  std::optional<Duration> defaultTtl = std::nullopt;
  std::optional<Duration> minTtl = std::nullopt;
  std::optional<Duration> maxTtl = std::nullopt;
  std::optional<OutOfRangeTtl> outOfRangeTtl = std::nullopt;
  std::optional<Duration> gracePeriod = std::nullopt;
  std::optional<Duration> expiringSoonWindow = std::nullopt;
};

struct TTLEnforcementEngineOptions {
  // The TTL of an entry that is registered without one: the usual pause within one conversation. minTtl to
  // maxTtl.
  Duration defaultTtl = std::chrono::minutes(5);
  // The shortest TTL; below it, an entry would often be gone before its second use. 1 ms to maxTtl.
  Duration minTtl = std::chrono::seconds(30);
  // The longest TTL, also for what extend() leaves, so that every entry ends unless somebody still wants it.
  // 1 ms to 366 days.
  Duration maxTtl = std::chrono::hours(1);
  // What to do with one outside of these. Clamping: a caller's wrong guess is no reason to fail its request.
  OutOfRangeTtl outOfRangeTtl = OutOfRangeTtl::clamp;
  // How often everything is swept anyway. Expired entries do not wait for it: they are reported when their
  // grace period is over. It is the safety net below that. 10 ms to 24 h.
  Duration sweepInterval = std::chrono::minutes(1);
  // Entries handled before the others on the executor have their turn; 1000 take well under a millisecond,
  // plus what the listeners take. 1 to 1,000,000.
  std::size_t maxEntriesPerSlice = 1000;
  // From expiry to removal and onExpired: who looked at the entry just before it expired can finish. Zero:
  // none. Up to 24 h.
  Duration gracePeriod = std::chrono::seconds(5);
  // onExpiringSoon comes when no more than this is left. Zero: never. Up to 366 days.
  Duration expiringSoonWindow = Duration::zero();
  // Keys registered at once, expired ones included until they are removed; one more is refused with
  // TtlErrc::too_many_entries. An entry takes about 200 bytes. 1 to 100,000,000.
  std::size_t maxEntries = 1'000'000;
  // Types whose entries live by other rules. A type that is not here, and no type, live by the options above.
  // Types of 1 to 64 bytes.
  std::map<std::string, TtlPolicy> policies = {};
};

}  // namespace lukhas
