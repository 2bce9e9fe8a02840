// Error codes of AsyncLock.
#pragma once

#include "lukhas/core/error.hpp"

namespace lukhas {

enum class LockErrc {
  // the lock was not free within the time; the caller holds nothing.
  // details: key, timeoutMs, holder (of whoever holds it, may be empty), heldMs, otherWaiters
  timeout = 1,
  lock_closed,   // the AsyncLock was destroyed before the lock was granted. details: key
  empty_key,     // a key has at least one byte. details: minimum
  key_too_long,  // a key has at most 256 bytes. details: size, maximum
  overloaded,    // maxWaiters requests are waiting already. details: key, maximum
  // the wait would have closed a circle of scopes that all wait for each other; the caller holds what it held
  // before. details: key, cycle (an array of {task, key, holder}: the task waits for the key, which the
  // holder, the task of the next element, holds or is in line for; the first task is the caller's)
  deadlock_detected,
};

constexpr const char* errorCategoryName(LockErrc) noexcept { return "lukhas.lock"; }

constexpr const char* describeError(LockErrc code) noexcept {
  switch (code) {
    case LockErrc::timeout: return "the lock was not free within the time";
    case LockErrc::lock_closed: return "the AsyncLock was destroyed";
    case LockErrc::empty_key: return "a key has at least one byte";
    case LockErrc::key_too_long: return "a key has at most 256 bytes";
    case LockErrc::overloaded: return "too many requests wait for locks";
    case LockErrc::deadlock_detected: return "tasks would wait for each other's locks in a circle";
  }
  return "unknown error";
}

}  // namespace lukhas

template <>
struct std::is_error_code_enum<lukhas::LockErrc> : std::true_type {};
