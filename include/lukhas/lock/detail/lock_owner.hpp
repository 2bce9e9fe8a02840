// LockOwner: what a guard knows of the AsyncLock that granted it.
#pragma once

#include <span>

#include "lukhas/lock/detail/lock_request.hpp"

namespace lukhas::detail {

// Each call takes the mutex of the AsyncLock; for a hold that is stale it does nothing and says so.
class LockOwner {
 public:
  virtual ~LockOwner() = default;
  virtual void release(LockHold& hold) noexcept = 0;
  // The last of them first.
  virtual void releaseSeveral(std::span<const LockHoldPtr> holds) noexcept = 0;
  virtual bool downgrade(LockHold& hold) noexcept = 0;
  [[nodiscard]] virtual bool isHeld(const LockHold& hold) const noexcept = 0;
};

}  // namespace lukhas::detail
