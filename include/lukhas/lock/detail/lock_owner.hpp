// LockOwner: what a guard knows of the AsyncLock that granted it.
#pragma once

#include <string>

#include "lukhas/lock/fencing_token.hpp"

namespace lukhas::detail {

// A hold is named by its key and token, never by a pointer: the entry of a key goes away with its last
// holder, while stale guards may still exist.
class LockOwner {
 public:
  virtual ~LockOwner() = default;
  virtual void release(const std::string& key, FencingToken token) noexcept = 0;
  [[nodiscard]] virtual bool isHeldWith(const std::string& key, FencingToken token) const noexcept = 0;
};

}  // namespace lukhas::detail
