// Version and EntryInfo: what can be asked about an entry without reading its value.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "lukhas/async/world.hpp"

namespace lukhas {

// One write of one entry. Every write in a store gets a greater one than all before it, also when the key was
// removed in between. Version{} is that of a key that holds nothing.
struct Version {
  std::uint64_t value = 0;

  friend auto operator<=>(const Version&, const Version&) = default;
};

struct EntryInfo {
  Version version;
  Duration remainingTtl{};     // Duration::max(): it never expires
  std::size_t sizeBytes = 0;   // what it takes of the store's limit
  std::size_t valueBytes = 0;  // of these, the encoded value
};

}  // namespace lukhas
