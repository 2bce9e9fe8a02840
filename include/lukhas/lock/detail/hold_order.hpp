// HoldOrder: all holds, longest first.
#pragma once

#include <algorithm>

#include "lukhas/async/world.hpp"
#include "lukhas/lock/detail/lock_hold.hpp"

namespace lukhas::detail {

// All holds in the order in which they began. Each is reported after the same time, so the order of the
// grants is that of the reports, and an intrusive list does what would otherwise need a heap: O(1), no
// memory of its own, and nothing that could fail while the table hands a lock on. What was reported already
// is a beginning of the list.
class HoldOrder {
 public:
  // Begins the hold. A clock that is read coarsely here and finely there may seem to go back by a little.
  void pushBack(LockHold& hold, TimePoint now) noexcept {
    hold.since = newest_ ? std::max(now, newest_->since) : now;
    hold.earlier = newest_;
    hold.later = nullptr;
    (newest_ ? newest_->later : oldest_) = &hold;
    newest_ = &hold;
    if (!unreported_) unreported_ = &hold;
  }
  void erase(LockHold& hold) noexcept {
    if (unreported_ == &hold) unreported_ = hold.later;
    (hold.earlier ? hold.earlier->later : oldest_) = hold.later;
    (hold.later ? hold.later->earlier : newest_) = hold.earlier;
    hold.earlier = hold.later = nullptr;
  }

  [[nodiscard]] LockHold* oldest() const noexcept { return oldest_; }
  // The oldest hold that was not reported yet.
  [[nodiscard]] const LockHold* unreported() const noexcept { return unreported_; }
  // Precondition: unreported() is not null.
  void reportOne() noexcept { unreported_ = unreported_->later; }

 private:
  LockHold* oldest_ = nullptr;
  LockHold* newest_ = nullptr;
  LockHold* unreported_ = nullptr;
};

}  // namespace lukhas::detail
