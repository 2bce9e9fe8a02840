// TtlEntry: one key's present life.
#pragma once

#include <string>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"

namespace lukhas::detail {

// One for each heap of the EntrySchedule that an entry can be in.
struct ActiveHook : ExpiryHook {};
struct EndedHook : ExpiryHook {};
struct WarningHook : ExpiryHook {};

struct TtlEntry : ActiveHook, EndedHook, WarningHook {
  TimePoint expiresAt{};
  Duration ttl{};  // the original one, to which a refresh goes back
  const TtlRules* rules = nullptr;
  const std::string* key = nullptr;  // in the table, where it stays until the entry goes
  std::string type;

  [[nodiscard]] Duration remaining(TimePoint now) const noexcept { return expiresAt - now; }
  [[nodiscard]] TimePoint removalAt() const noexcept {
    return Environment::saturatingAdd(expiresAt, rules->gracePeriod);
  }
};

}  // namespace lukhas::detail
