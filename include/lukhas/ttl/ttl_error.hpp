// Error codes of TTLEnforcementEngine.
#pragma once

#include "lukhas/core/error.hpp"

namespace lukhas {

enum class TtlErrc {
  invalid_key = 1,   // empty or longer than 256 bytes. details: size, maximum
  invalid_type,      // longer than 64 bytes. details: size, maximum
  ttl_out_of_range,  // and the policy refuses instead of clamping. details: key, type, ttlMs, minimumMs,
                     // maximumMs
  too_many_entries,  // maxEntries keys are registered. details: key, maximum
  too_many_types,    // maxTypes are known. details: type, maximum
  closed,            // the engine was destroyed during the sweep
};

constexpr const char* errorCategoryName(TtlErrc) noexcept { return "lukhas.ttl"; }

constexpr const char* describeError(TtlErrc code) noexcept {
  switch (code) {
    case TtlErrc::invalid_key: return "a key has 1 to 256 bytes";
    case TtlErrc::invalid_type: return "a type has at most 64 bytes";
    case TtlErrc::ttl_out_of_range: return "the time to live is out of the policy's range";
    case TtlErrc::too_many_entries: return "too many entries are registered";
    case TtlErrc::too_many_types: return "too many types are known";
    case TtlErrc::closed: return "the engine was destroyed";
  }
  return "unknown error";
}

}  // namespace lukhas

template <>
struct std::is_error_code_enum<lukhas::TtlErrc> : std::true_type {};
