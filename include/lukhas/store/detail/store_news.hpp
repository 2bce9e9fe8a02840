// StoreNews: what a call has to report, kept until the mutex is released.
#pragma once

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

// Declared before the lock, so that it is destroyed after it; then it emits, in order. Keys are copied only
// where somebody listens; without memory for the copy that event is lost.
class StoreNews {
 public:
  explicit StoreNews(const StoreSignals& signals) noexcept : signals_(signals) {}
  StoreNews(const StoreNews&) = delete;
  StoreNews& operator=(const StoreNews&) = delete;
  ~StoreNews() {
    for (const EntryEvicted& event : events_) {
      if (event.cause == EvictionCause::corrupted) signals_.corruption.emit(EntryCorrupted{event.key});
      if (event.cause == EvictionCause::expired) signals_.expired.emit(StoredEntryExpired{event.key});
      signals_.evicted.emit(event);
    }
    if (swept_ > 0) signals_.sweep.emit(StoreSwept{swept_});
  }

  void gone(const CacheEntry& entry, EvictionCause cause) noexcept {
    if (signals_.evicted.empty() && signals_.expired.empty() && signals_.corruption.empty()) return;
    try {
      events_.push_back(EntryEvicted{std::string(entry.key()), cause});
    } catch (const std::bad_alloc&) {
    }
  }
  void swept(std::size_t entries) noexcept { swept_ = entries; }

 private:
  const StoreSignals& signals_;
  std::vector<EntryEvicted> events_;
  std::size_t swept_ = 0;
};

}  // namespace lukhas::detail
