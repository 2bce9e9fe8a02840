// LockHold: one hold of one key, from the request until the guard is gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "lukhas/async/world.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/lock/detail/lock_request.hpp"
#include "lukhas/lock/fencing_token.hpp"
#include "lukhas/lock/lock_holder.hpp"
#include "lukhas/lock/lock_scope.hpp"

namespace lukhas::detail {

struct ScopeNode;

// Made with its key and its label in one block of memory before the mutex is taken, and freed after it was
// given back: so a grant needs no memory, and a free key has none. It belongs to the request, then to the
// guard; the table only links it.
//
// The first of a key's holds leads: it is the one that the table finds, and it has the key's queue. When it
// goes, the next hold of the key, or the first request in the queue, takes its place.
struct LockHold : KeyHook {
  // Throws std::bad_alloc.
  static LockHoldPtr make(std::string_view key, std::uint64_t hash, LockMode mode, std::string_view label,
                          const LockScope* scope);
  LockHold(const LockHold&) = delete;
  LockHold& operator=(const LockHold&) = delete;

  [[nodiscard]] std::string_view key() const noexcept {
    return {reinterpret_cast<const char*>(this + 1), keyBytes};
  }
  [[nodiscard]] std::string_view label() const noexcept {
    return {reinterpret_cast<const char*>(this + 1) + keyBytes, labelBytes};
  }
  // Who holds it, for people.
  [[nodiscard]] std::string_view holder() const noexcept {
    return labelBytes == 0 && scope ? std::string_view(scope->label) : label();
  }
  // Whose circles it can be part of, for people.
  [[nodiscard]] std::string_view task() const noexcept {
    return scope ? std::string_view(scope->label) : label();
  }

  const std::uint32_t keyBytes;
  const std::uint32_t labelBytes;
  LockMode mode;
  bool held = false;                                 // under the mutex: whether it still counts, or is stale
  bool leading = false;                              // under the mutex: whether the table finds it
  FencingToken token;                                // from the grant on, for ever
  TimePoint since;                                   // the beginning of the hold
  const std::shared_ptr<const ScopeIdentity> scope;  // null: none
  ScopeNode* scopeNode = nullptr;                    // while it is held or waited for, if there is a scope

  LockQueue waiters;  // of the key, while it leads
  // The other holds of the key, a ring in the order of their grants.
  LockHold* nextHolder = this;
  LockHold* previousHolder = this;
  // The other holds of the scope: see WaitGraph.
  LockHold* nextOfScope = nullptr;
  LockHold* previousOfScope = nullptr;
  // All holds of all keys: see HoldOrder.
  LockHold* earlier = nullptr;
  LockHold* later = nullptr;

 private:
  friend struct FreeLockHold;
  LockHold(std::string_view key, std::uint64_t hash, LockMode how, std::string_view name,
           const LockScope* task) noexcept
      : KeyHook(hash),
        keyBytes(static_cast<std::uint32_t>(key.size())),
        labelBytes(static_cast<std::uint32_t>(name.size())),
        mode(how),
        scope(task ? task->identity() : nullptr) {
    key.copy(reinterpret_cast<char*>(this + 1), key.size());
    name.copy(reinterpret_cast<char*>(this + 1) + key.size(), name.size());
  }
  ~LockHold() = default;
};

inline LockHoldPtr LockHold::make(std::string_view key, std::uint64_t hash, LockMode mode,
                                  std::string_view label, const LockScope* scope) {
  void* const block = ::operator new(sizeof(LockHold) + key.size() + label.size());
  return LockHoldPtr(new (block) LockHold(key, hash, mode, label, scope));
}

inline void FreeLockHold::operator()(LockHold* hold) const noexcept {
  hold->~LockHold();
  ::operator delete(hold);
}

}  // namespace lukhas::detail
