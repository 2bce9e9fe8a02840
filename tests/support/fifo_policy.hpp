// FifoPolicy: an eviction policy as a user may write one.
#pragma once

#include <cstddef>

#include "lukhas/store/eviction_order.hpp"
#include "lukhas/store/eviction_policy.hpp"

namespace lukhas::test {

// Who came first goes first.
class FifoPolicy final : public EvictionPolicy {
 public:
  void added(EvictionEntry& entry) noexcept override { order_.addNewest(entry); }
  void used(EvictionEntry&) noexcept override {}
  void removed(EvictionEntry& entry) noexcept override { order_.remove(entry); }
  EvictionEntry* victim(std::size_t) noexcept override { return order_.oldest(); }
  void clear() noexcept override { order_.clear(); }

 private:
  EvictionOrder order_;
};

}  // namespace lukhas::test
