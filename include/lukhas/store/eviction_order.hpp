// EvictionOrder: entries in a row, the oldest at its end, for eviction policies.
#pragma once

#include <cstddef>

#include "lukhas/store/eviction_entry.hpp"

namespace lukhas {

// An intrusive list in the links of the entries: an entry is in one at a time. Each call is O(1) but for the
// check. Owns nothing, allocates nothing. Not thread-safe.
class EvictionOrder {
 public:
  [[nodiscard]] EvictionEntry* oldest() const noexcept { return oldest_; }
  [[nodiscard]] EvictionEntry* newest() const noexcept { return newest_; }
  [[nodiscard]] bool empty() const noexcept { return !newest_; }

  void addNewest(EvictionEntry& entry) noexcept {
    entry.newer = nullptr;
    entry.older = newest_;
    (newest_ ? newest_->newer : oldest_) = &entry;
    newest_ = &entry;
  }
  // Precondition: the entry is in this order.
  void remove(EvictionEntry& entry) noexcept {
    (entry.newer ? entry.newer->older : newest_) = entry.older;
    (entry.older ? entry.older->newer : oldest_) = entry.newer;
  }
  void touch(EvictionEntry& entry) noexcept {
    if (newest_ == &entry) return;
    remove(entry);
    addNewest(entry);
  }
  // `fresh`, which is in no order, takes the place of `old`.
  void replace(EvictionEntry& old, EvictionEntry& fresh) noexcept {
    fresh.newer = old.newer;
    fresh.older = old.older;
    (fresh.newer ? fresh.newer->older : newest_) = &fresh;
    (fresh.older ? fresh.older->newer : oldest_) = &fresh;
  }
  // Forgets all entries without touching them.
  void clear() noexcept { newest_ = oldest_ = nullptr; }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    const EvictionEntry* older = nullptr;
    for (const EvictionEntry* entry = oldest_; entry; older = entry, entry = entry->newer) {
      if (entry->older != older) return false;
    }
    return newest_ == older;
  }

 private:
  EvictionEntry::Link newest_;
  EvictionEntry::Link oldest_;
};

}  // namespace lukhas
