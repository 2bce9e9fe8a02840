// StoreNews: what a call has to report, kept until the mutex is released.
#pragma once

#include <memory_resource>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/core/signal.hpp"
#include "lukhas/store/detail/cache_entry.hpp"
#include "lukhas/store/store_events.hpp"

namespace lukhas::detail {

struct StoreSignals {
  Signal<EntryCorrupted> corruption;
  Signal<StoreSwept> sweep;
  Signal<EntryEvicted> evicted;
  Signal<StoredEntryExpired> expired;
};

// Declared before the lock, so that it is destroyed after it; then it emits, in order. Entries are kept only
// where somebody listens, so that a listener can have their bytes; without memory for that, or for the copy
// of a key, the event is lost.
class StoreNews {
 public:
  // `memory` is where the entries come from.
  StoreNews(const StoreSignals& signals, std::pmr::memory_resource* memory) noexcept
      : signals_(signals), memory_(memory) {}
  StoreNews(const StoreNews&) = delete;
  StoreNews& operator=(const StoreNews&) = delete;
  ~StoreNews() {
    for (Gone& gone : gone_) emit(gone);
    if (swept_ > 0) signals_.sweep.emit(StoreSwept{swept_});
  }

  // Whether anybody wants to know of an entry that goes for this cause.
  [[nodiscard]] bool listened(EvictionCause cause) const noexcept {
    return !signals_.evicted.empty() || (cause == EvictionCause::expired && !signals_.expired.empty()) ||
           (cause == EvictionCause::corrupt && !signals_.corruption.empty());
  }
  void gone(const CacheEntry& entry, EvictionCause cause) noexcept {
    if (!listened(cause)) return;
    try {
      // The reference count is no part of what is const about an entry.
      gone_.push_back({CacheEntryRef(const_cast<CacheEntry&>(entry), memory_), cause});
    } catch (const std::bad_alloc&) {
    }
  }
  // Whether there is anything to tell.
  [[nodiscard]] bool empty() const noexcept { return gone_.empty() && swept_ == 0; }
  void swept(std::size_t entries) noexcept { swept_ = entries; }

 private:
  struct Gone {
    CacheEntryRef entry;
    EvictionCause cause;
  };

  void emit(Gone& gone) const noexcept {
    try {
      // Of an entry whose lengths are damaged, not even the key can be read.
      const std::string key(gone.entry->readable() ? gone.entry->key() : std::string_view());
      if (gone.cause == EvictionCause::corrupt) signals_.corruption.emit(EntryCorrupted{key});
      if (gone.cause == EvictionCause::expired) signals_.expired.emit(StoredEntryExpired{key});
      if (signals_.evicted.empty()) return;
      signals_.evicted.emit(EntryEvicted(key, gone.cause, std::move(gone.entry)));
    } catch (const std::bad_alloc&) {
    }
  }

  const StoreSignals& signals_;
  std::pmr::memory_resource* memory_;
  std::vector<Gone> gone_;
  std::size_t swept_ = 0;
};

}  // namespace lukhas::detail
