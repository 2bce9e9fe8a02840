// EvictionEntry: what an eviction policy sees of an entry.
#pragma once

#include <cstddef>
#include <cstdint>

#include "lukhas/core/allocated_bytes.hpp"
#include "lukhas/core/packed_pointer.hpp"

namespace lukhas {

// The store derives its entries from this, so that a policy needs no memory of its own to keep them in order.
//
//   keyHash          32 bits, seeded by the store: equal for equal keys as long as the store lives
//   charge()         what the entry takes of the allocator, in bytes; it never changes
//   newer, older,    the policy's, from added() to removed(): nobody else reads or writes them meanwhile.
//   policyState      They may hold anything before; added() sets what the policy needs. The links read and
//                    write as pointers do
//
// There may be millions, so it is small: 27 bytes, and entries lie at multiples of PackedPointer::alignment.
class EvictionEntry {
 public:
  using Link = PackedPointer<EvictionEntry>;

  // `blockBytes` is what the entry asks of the allocator, as one block.
  EvictionEntry(std::uint32_t hash, std::uint32_t blockBytes) noexcept
      : keyHash(hash), blockBytes_(blockBytes) {}

  [[nodiscard]] std::size_t charge() const noexcept { return expectedAllocation(blockBytes_); }

  std::uint32_t keyHash;

 protected:
  EvictionEntry(const EvictionEntry&) = default;
  EvictionEntry& operator=(const EvictionEntry&) = delete;
  ~EvictionEntry() = default;

  std::uint32_t blockBytes_;
  PackedPointer<EvictionEntry> nextInBucket_;  // the store's

 public:
  Link newer;
  Link older;
  std::uint8_t policyState = 0;
};

}  // namespace lukhas
