// Version, EntryInfo, WithMeta: what can be asked about an entry.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "lukhas/async/world.hpp"

namespace lukhas {

// One write of one entry. Every write of a key gets a greater one than all before it, also when the key was
// removed in between, as long as the store lives. Version{} is that of a key that holds nothing.
struct Version {
  std::uint64_t value = 0;

  friend auto operator<=>(const Version&, const Version&) = default;
};

struct EntryInfo {
  Version version;
  // Since its value was written; touch() does not make it younger. Of the writes
  // of one microsecond each counts as a microsecond later than the one before.
  Duration age{};
  Duration remainingTtl{};     // Duration::max(): it never expires
  std::size_t sizeBytes = 0;   // what it takes of the store's limit
  std::size_t valueBytes = 0;  // of these, the encoded value
};

// A value with what is known about its entry, all of the same moment: what getWithMeta gives.
//
//   if (auto found = cache.tryGetWithMeta<json>("k"); found && found->age < 1min) use(found->value);
template <class T>
struct WithMeta : EntryInfo {
  T value;
};

}  // namespace lukhas
