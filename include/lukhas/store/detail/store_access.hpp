// StoreAccess: what only tests may do to a store.
#pragma once

#include <cstddef>
#include <string_view>

#include "lukhas/store/async_memory_store.hpp"

namespace lukhas::detail {

struct StoreAccess {
  // Damages the stored bytes, as a stray write would. False when there is no such entry or bit.
  static bool flipValueBit(AsyncMemoryStore& store, std::string_view key, std::size_t bit = 0) {
    return store.state_->flipBit(key, EntryDamage::Place::value, bit);
  }
  static bool flipBit(AsyncMemoryStore& store, std::string_view key, EntryDamage::Place place,
                      std::size_t bit) {
    return store.state_->flipBit(key, place, bit);
  }
  [[nodiscard]] static bool checkInvariants(const AsyncMemoryStore& store) {
    return store.state_->checkInvariants();
  }
  // How many getOrComputes are loading.
  [[nodiscard]] static std::size_t loads(const AsyncMemoryStore& store) { return store.state_->loadCount(); }
};

}  // namespace lukhas::detail
