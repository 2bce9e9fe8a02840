// Error codes of AsyncMemoryStore.
#pragma once

#include "lukhas/core/error.hpp"

namespace lukhas {

enum class StoreErrc {
  empty_key = 1,    // a key has at least one byte
  key_too_long,     // a key has at most 256 bytes. details: size, maximum
  invalid_ttl,      // a TTL is longer than zero. details: key, ttlNs
  value_too_large,  // the entry does not fit, even alone. details: key, sizeBytes, maximum
  batch_too_large,  // the batch does not fit, even alone. details: entries, sizeBytes, maximum
  not_found,        // update() of a key that holds nothing. details: key
  conflict,         // update() met a newer version on every attempt. details: key, attempts
  closed,           // the store was destroyed
  overloaded,       // maxWaiters callers wait for loaders already. details: key, maximum
  duplicate_key,    // a batch has a key more than once. details: key
  load_cycle,       // a loader asked for what waits for it. details: key, path (keys)
};

constexpr const char* errorCategoryName(StoreErrc) noexcept { return "lukhas.store"; }

constexpr const char* describeError(StoreErrc code) noexcept {
  switch (code) {
    case StoreErrc::empty_key: return "the key is empty";
    case StoreErrc::key_too_long: return "the key is too long";
    case StoreErrc::invalid_ttl: return "a TTL is longer than zero";
    case StoreErrc::value_too_large: return "the entry is larger than the store";
    case StoreErrc::batch_too_large: return "the batch is larger than the store";
    case StoreErrc::not_found: return "the key holds nothing";
    case StoreErrc::conflict: return "the entry was changed by others on every attempt";
    case StoreErrc::closed: return "the store was destroyed";
    case StoreErrc::overloaded: return "too many callers wait for loaders";
    case StoreErrc::duplicate_key: return "a key is in the batch more than once";
    case StoreErrc::load_cycle: return "a loader asked for what waits for it";
  }
  return "unknown error";
}

}  // namespace lukhas

template <>
struct std::is_error_code_enum<lukhas::StoreErrc> : std::true_type {};
