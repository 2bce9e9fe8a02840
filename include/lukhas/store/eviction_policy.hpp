// EvictionPolicy: which entry of a store goes when room is needed.
#pragma once

#include <cstddef>

#include "lukhas/store/eviction_entry.hpp"

namespace lukhas {

// What a policy is to a store. The store tells it what happens to its entries and asks it for victims:
//
//   added(entry)            the entry came in, under a new key
//   used(entry)             it was read
//   replaced(old, fresh)    its key has a new value, in another entry, and counts as used
//   removed(entry)          it goes: as a victim, expired, by remove(), for whatever reason
//   victim(incomingBytes)   who goes first so that so many bytes may come in; null: nobody more. The store
//                           then calls removed() for it, and asks again until there is room; added() follows
//   clear()                 all entries are gone at once, or the last one was removed
//   resized(capacityBytes)  the store's limit changed; victims are asked for as needed
//
// A policy in ten lines, and how a store gets it (see Eviction):
//
//   class Fifo final : public lukhas::EvictionPolicy {
//    public:
//     void added(lukhas::EvictionEntry& entry) noexcept override { order_.addNewest(entry); }
//     void used(lukhas::EvictionEntry&) noexcept override {}
//     void removed(lukhas::EvictionEntry& entry) noexcept override { order_.remove(entry); }
//     lukhas::EvictionEntry* victim(std::size_t) noexcept override { return order_.oldest(); }
//     void clear() noexcept override { order_.clear(); }
//
//    private:
//     lukhas::EvictionOrder order_;
//   };
//
//   options.eviction = lukhas::Eviction::own(
//       [](std::size_t capacityBytes, std::uint64_t seed) { return std::make_unique<Fifo>(); });
//
// Rules. All calls come one at a time, under the mutex of the store or of the shard that the policy serves:
// they are short, O(1) but for amortised work, and never call the store. victim() gives an entry that was
// added and not removed since, and does not forget it: removed() does. Whoever gives null although there are
// entries makes the store refuse what comes in. After removed() nothing may point to the entry.
//
// Memory. Most policies live in the links of the entries and need none. One that takes memory takes it in
// reserve() and says how much that is, so that the store stays below its limit: see the last four functions.
class EvictionPolicy {
 public:
  EvictionPolicy() = default;
  EvictionPolicy(const EvictionPolicy&) = delete;
  EvictionPolicy& operator=(const EvictionPolicy&) = delete;
  virtual ~EvictionPolicy() = default;

  virtual void added(EvictionEntry& entry) noexcept = 0;
  virtual void used(EvictionEntry& entry) noexcept = 0;
  virtual void replaced(EvictionEntry& old, EvictionEntry& fresh) noexcept {
    removed(old);
    added(fresh);
  }
  virtual void removed(EvictionEntry& entry) noexcept = 0;
  [[nodiscard]] virtual EvictionEntry* victim(std::size_t incomingBytes) noexcept = 0;
  // Gives back what reserve() took. The entries that the policy had are not touched: they may be gone.
  virtual void clear() noexcept = 0;
  virtual void resized([[maybe_unused]] std::size_t capacityBytes) noexcept {}

  // What the policy takes of the allocator now, in bytes, beside the object itself.
  [[nodiscard]] virtual std::size_t memoryBytes() const noexcept { return 0; }
  // What memoryBytes() is at most when reserve(entries) has been called, until that many are there.
  [[nodiscard]] virtual std::size_t memoryBytesFor([[maybe_unused]] std::size_t entries) const noexcept {
    return memoryBytes();
  }
  // The most that memoryBytes() can be with so many entries, whatever was there before. The same at any time,
  // so it is called without the mutex.
  [[nodiscard]] virtual std::size_t memoryBound([[maybe_unused]] std::size_t entries) const noexcept {
    return 0;
  }
  // The store will hold so many entries: called before each added() that may need it. Throws std::bad_alloc,
  // and then nothing has changed.
  virtual void reserve([[maybe_unused]] std::size_t entries) {}

  // For tests: O(n).
  [[nodiscard]] virtual bool checkInvariants() const noexcept { return true; }
};

}  // namespace lukhas
