// What AsyncMemoryStore reports.
#pragma once

#include <cstddef>
#include <string>

namespace lukhas {

// Why the store removed an entry that nobody asked it to remove.
enum class EvictionCause {
  size,       // it was the least recently used one, and room was needed
  expired,    // its time was over
  corrupted,  // its checksum was wrong
};

struct EntryEvicted {
  std::string key;
  EvictionCause cause{};
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
