// LockEntry and HoldOrder: the keys that are held, longest first.
#pragma once

#include <cassert>
#include <cstddef>
#include <string>

#include "lukhas/async/world.hpp"
#include "lukhas/lock/detail/lock_request.hpp"
#include "lukhas/lock/fencing_token.hpp"

namespace lukhas::detail {

// A key that is held. There is none for a key that is free.
struct LockEntry {
  const std::string* key = nullptr;  // in the table
  FencingToken token;
  TimePoint since;  // the beginning of the hold
  std::string holder;
  LockQueue waiters;

  LockEntry* earlier = nullptr;
  LockEntry* later = nullptr;
};

// All holds in the order in which they began. Each is reported after the same time, so the order of the
// grants is that of the reports, and an intrusive list does what would otherwise need a heap: O(1), no
// memory of its own, and nothing that could fail while the table hands a lock on. What was reported already
// is a beginning of the list.
class HoldOrder {
 public:
  void pushBack(LockEntry& entry) noexcept {
    assert(!newest_ || newest_->since <= entry.since);
    entry.earlier = newest_;
    entry.later = nullptr;
    (newest_ ? newest_->later : oldest_) = &entry;
    newest_ = &entry;
    if (!unreported_) unreported_ = &entry;
  }
  void erase(LockEntry& entry) noexcept {
    if (unreported_ == &entry) unreported_ = entry.later;
    (entry.earlier ? entry.earlier->later : oldest_) = entry.later;
    (entry.later ? entry.later->earlier : newest_) = entry.earlier;
    entry.earlier = entry.later = nullptr;
  }
  void clear() noexcept { oldest_ = newest_ = unreported_ = nullptr; }

  [[nodiscard]] const LockEntry* oldest() const noexcept { return oldest_; }
  // The oldest hold that was not reported yet.
  [[nodiscard]] const LockEntry* unreported() const noexcept { return unreported_; }
  // Precondition: unreported() is not null.
  void reportOne() noexcept { unreported_ = unreported_->later; }

 private:
  LockEntry* oldest_ = nullptr;
  LockEntry* newest_ = nullptr;
  LockEntry* unreported_ = nullptr;
};

}  // namespace lukhas::detail
