// LruPolicy: the entry goes that was used longest ago.
#pragma once

#include <cstddef>

#include "lukhas/store/eviction_order.hpp"
#include "lukhas/store/eviction_policy.hpp"

namespace lukhas {

// Exact, and the default of a store. Good where what was used lately is used again; a scan or a loop longer
// than the store washes everything out: AdaptivePolicy withstands them. Takes no memory. The class is final
// and all of it inline: a store that has one by value pays for a list splice and no virtual call.
class LruPolicy final : public EvictionPolicy {
 public:
  void added(EvictionEntry& entry) noexcept override { order_.addNewest(entry); }
  void used(EvictionEntry& entry) noexcept override { order_.touch(entry); }
  void removed(EvictionEntry& entry) noexcept override { order_.remove(entry); }
  [[nodiscard]] EvictionEntry* victim([[maybe_unused]] std::size_t incomingBytes) noexcept override {
    return order_.oldest();
  }
  void clear() noexcept override { order_.clear(); }
  [[nodiscard]] bool checkInvariants() const noexcept override { return order_.checkInvariants(); }

  // For looking: from here on by `newer`.
  [[nodiscard]] EvictionEntry* oldest() const noexcept { return order_.oldest(); }

 private:
  EvictionOrder order_;
};

}  // namespace lukhas
