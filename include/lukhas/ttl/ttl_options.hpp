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

// Whether the time in which the machine was suspended counts as time that an entry has lived.
enum class SuspendedTime { ignored, counted };

struct TTLEnforcementEngineOptions {
  // The TTL of an entry that is registered without one: the usual pause within one conversation. minTtl to
  // maxTtl.
  Duration defaultTtl = std::chrono::minutes(5);
  // The shortest TTL; below it, an entry would often be gone before its second use. 1 ms to maxTtl.
  Duration minTtl = std::chrono::seconds(30);
  // The longest TTL, also for what extend() leaves, so that every entry ends unless somebody still wants it.
  // 1 ms to 366 days.
  Duration maxTtl = std::chrono::hours(1);
  // What to do with one outside of these, zero, negative and endless ones included. Clamping: a caller's
  // wrong guess is no reason to fail its request.
  OutOfRangeTtl outOfRangeTtl = OutOfRangeTtl::clamp;
  // How often everything is swept anyway. Expired entries do not wait for it: they are reported when their
  // grace period is over. It is the safety net below that. 10 ms to 24 h.
  Duration sweepInterval = std::chrono::minutes(1);
  // Entries handled before the others on the executor have their turn: a slice ends after so many, or after
  // maxSliceTime. 1 to 1,000,000.
  std::size_t maxEntriesPerSlice = 1000;
  // How long a slice goes on, whatever the listeners take: others on the executor wait for so long, and for
  // up to four calls of listeners that were quick until then. It always gets on by one entry. 10 us to 1 s.
  Duration maxSliceTime = std::chrono::milliseconds(1);
  // From expiry to removal and onExpired: who looked at the entry just before it expired can finish, or bring
  // it back by refresh(). Zero: none. Up to 24 h.
  Duration gracePeriod = std::chrono::seconds(5);
  // The lead time of onExpiringSoon: it comes when no more than this is left. Zero: never. An entry that is
  // to be warned of takes 24 bytes more. Up to 366 days.
  Duration expiringSoonWindow = Duration::zero();
  // Keys registered at once, expired ones included until they are removed; one more is refused with
  // TtlErrc::too_many_entries. An entry takes about 95 bytes and its key. 1 to 100,000,000.
  std::size_t maxEntries = 1'000'000;
  // Types beside those of `policies`; one more is refused with TtlErrc::too_many_types. A type is remembered
  // with its figures for ever: types are kinds of things, not names of things. 0 to 10,000.
  std::size_t maxTypes = 1'000;
  // A machine that sleeps stops the clock that everything else goes by. Counted, an entry is no longer valid
  // after a sleep that was longer than its rest; it is reported sweepInterval after waking up at the latest,
  // and with the next call that registers, prolongs or removes an entry at once.
  SuspendedTime suspendedTime = SuspendedTime::ignored;
  // Types whose entries live by other rules. A type that is not here, and no type, live by the options above.
  // At most 10,000 types of 1 to 64 bytes.
  std::map<std::string, TtlPolicy> policies = {};
};

}  // namespace lukhas
