// What AsyncMemoryStore reports.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "lukhas/store/view.hpp"

namespace lukhas {

// Why an entry is not there any more. Each departure has one cause; an entry whose time is over goes for that
// reason, whatever else would have removed it.
enum class EvictionCause {
  size,      // room was needed, and the policy chose it
  expired,   // its time was over
  replaced,  // its key was written again
  removed,   // remove, batchRemove or clear
  corrupt,   // its checksum was wrong
};

// An entry left the store. Its bytes can still be had, for a second level or a late write:
//
//   auto spilling = cache.onEvicted.connect([&](const lukhas::EntryEvicted& event) {
//     if (event.cause != lukhas::EvictionCause::size) return;
//     if (std::optional<lukhas::View> value = event.value()) disk.keep(event.key, value->bytes());
//   });
class EntryEvicted {
 public:
  EntryEvicted(std::string entryKey, EvictionCause why, detail::CacheEntryRef entry) noexcept
      : key(std::move(entryKey)), cause(why), entry_(std::move(entry)) {}

  std::string key;
  EvictionCause cause;

  // What the entry held, verified now; nullopt when it is damaged. Nothing is copied.
  [[nodiscard]] std::optional<View> value() const {
    if (!entry_ || !entry_->intact()) return std::nullopt;
    return View(entry_);
  }

 private:
  detail::CacheEntryRef entry_;
};

// The entry's time was over, and it was removed: by a sweep, by whoever asked for it, or to make room.
struct StoredEntryExpired {
  std::string key;
};

// The entry's bytes were not those that had been stored. It was removed and read as a miss.
struct EntryCorrupted {
  std::string key;
};

// A sweep ended, and had removed something.
struct StoreSwept {
  std::size_t evicted = 0;
};

}  // namespace lukhas
