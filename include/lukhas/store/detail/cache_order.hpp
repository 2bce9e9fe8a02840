// CacheOrder: the entries of the store by the time of their last use.
#pragma once

#include "lukhas/store/detail/cache_entry.hpp"

namespace lukhas::detail {

// An intrusive list, O(1) throughout. Does not own the entries. Not thread-safe.
class CacheOrder {
 public:
  [[nodiscard]] CacheEntry* oldest() const noexcept { return oldest_; }

  void addNewest(CacheEntry& entry) noexcept {
    entry.newer = nullptr;
    entry.older = newest_;
    (newest_ ? newest_->newer : oldest_) = &entry;
    newest_ = &entry;
  }
  void remove(CacheEntry& entry) noexcept {
    (entry.newer ? entry.newer->older : newest_) = entry.older;
    (entry.older ? entry.older->newer : oldest_) = entry.newer;
  }
  void touch(CacheEntry& entry) noexcept {
    if (newest_ == &entry) return;
    remove(entry);
    addNewest(entry);
  }
  void clear() noexcept { newest_ = oldest_ = nullptr; }

 private:
  CacheEntry* newest_ = nullptr;
  CacheEntry* oldest_ = nullptr;
};

}  // namespace lukhas::detail
