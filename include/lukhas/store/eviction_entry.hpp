// EvictionEntry: what an eviction policy sees of an entry.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lukhas/core/key_table.hpp"

namespace lukhas {

// The store derives its entries from this, so that a policy needs no memory of its own to keep them in order.
//
//   keyHash          64 bits, seeded by the store: equal for equal keys as long as the store lives
//   charge()         what the entry takes of the allocator, in bytes; it never changes
//   newer, older,    the policy's, from added() to removed(): nobody else reads or writes them meanwhile.
//   policyState      They may hold anything before; added() sets what the policy needs
//
// 40 bytes, of which the last two are left to what is derived from it.
class EvictionEntry : public KeyHook {
 public:
  static constexpr std::uint64_t mostCharge = (std::uint64_t{1} << 40U) - 1;

  // Precondition: charge <= mostCharge, which is a terabyte.
  EvictionEntry(std::uint64_t hash, std::size_t charge) noexcept : KeyHook(hash) { setCharge(charge); }

  [[nodiscard]] std::size_t charge() const noexcept {
    return (static_cast<std::size_t>(chargeHigh_) << 32U) | chargeLow_;
  }

  EvictionEntry* newer = nullptr;
  EvictionEntry* older = nullptr;

 protected:
  EvictionEntry(const EvictionEntry&) = default;
  EvictionEntry& operator=(const EvictionEntry&) = delete;
  ~EvictionEntry() = default;

  // For an owner that learns it after construction. Precondition: no policy has the entry.
  void setCharge(std::size_t charge) noexcept {
    chargeLow_ = static_cast<std::uint32_t>(charge);
    chargeHigh_ = static_cast<std::uint8_t>(charge >> 32U);
  }

 private:
  std::uint32_t chargeLow_ = 0;
  std::uint8_t chargeHigh_ = 0;

 public:
  std::uint8_t policyState = 0;
};

}  // namespace lukhas
