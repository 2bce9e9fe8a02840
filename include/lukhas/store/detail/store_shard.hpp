// StoreShard: a part of the store, with a mutex of its own.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <mutex>
#include <optional>

#include "lukhas/async/front_timer.hpp"
#include "lukhas/store/detail/entry_cache.hpp"
#include "lukhas/store/detail/load_board.hpp"
#include "lukhas/store/detail/store_figures.hpp"
#include "lukhas/store/store_options.hpp"

namespace lukhas::detail {

class StoreState;

// A key belongs to one shard, by its hash. All but the mutex itself is guarded by it.
struct alignas(64) StoreShard {
  StoreShard(const AsyncMemoryStoreOptions& options, std::uint64_t seed, std::size_t number,
             std::atomic<std::size_t>& waiting)
      : cache(options.maxBytes / options.shards, seed, options.eviction, options.memory, number),
        loads(options.maxWaiters, waiting) {}
  StoreShard(const StoreShard&) = delete;
  StoreShard& operator=(const StoreShard&) = delete;

  // A version is the time of its write in microseconds since the store was created, or one more than the
  // last: an entry's age needs no memory of its own. They last for four years.
  void stamp(CacheEntry& entry, Duration sinceCreated) noexcept {
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(sinceCreated).count();
    const std::uint64_t next = std::max(lastVersion + 1, static_cast<std::uint64_t>(microseconds) + 1);
    lastVersion = std::min(next, CacheEntry::maxVersion);
    entry.setVersion(Version{lastVersion});
  }

  void cancelTimers() noexcept {
    timer->cancel();
    if (scrubTimer) scrubTimer->cancel();
    scrubDue.reset();
  }
  static void onAlarm(StoreShard& shard);
  static void onScrub(StoreShard& shard);

  mutable std::mutex mutex;
  EntryCache cache;
  LoadBoard loads;
  StoreFigures figures;
  std::optional<FrontTimer> timer;
  std::uint64_t lastVersion = 0;
  std::optional<TimePoint> started;      // the sweeps are at multiples of the interval after it
  bool sweeping = false;                 // between the slices of a sweep
  TimePoint sweepUntil{};                // what expires later is left to the next one
  std::size_t swept = 0;                 // by the sweep that is under way
  std::optional<FrontTimer> scrubTimer;  // none: nothing is scrubbed
  std::optional<TimePoint> scrubDue;     // when the next slice begins; none: nothing to do
  std::size_t scrubPlace = 0;            // the number of the next entry
  std::size_t scrubCredit = 0;           // the bytes that may be looked at now
  bool closed = false;
  StoreState* owner = nullptr;
};

}  // namespace lukhas::detail
