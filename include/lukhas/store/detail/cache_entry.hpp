// CacheEntry: one entry of the store, in one block of memory.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <new>
#include <string_view>
#include <utility>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/core/allocated_bytes.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/store/entry_info.hpp"
#include "lukhas/store/eviction_entry.hpp"

namespace lukhas::detail {

class CacheEntryRef;
struct EntryDamage;

// A base of its own, for the byte that EvictionEntry leaves over.
struct CacheKeyLength {
  std::uint8_t keyBytesStored_;  // 256 as 0
};

// Header, key and value lie one behind the other. What intact() looks at never changes once the entry is in
// the store, so that it is read without the store's mutex by whoever holds a CacheEntryRef; links, slot and
// policyState belong to the store, under its mutex.
//
// Fifty bytes, for there may be millions. When the entry expires is known to the heap alone. Against bits
// that flip: the checksum covers key, value, their lengths, hash and version; a parity bit covers lengths,
// hash and version once more, so that a damaged length is noticed before anything is read by it; each link
// has a check of its own (PackedPointer); the count of references is a multiple of three; the slot is held
// against the heap. policyState alone is not covered: it can only let the wrong entry go.
//
// EvictionEntry is the first base: links point to it, and have to be multiples of sixteen.
class CacheEntry : public EvictionEntry, private CacheKeyLength, public ExpiryHook {
 public:
  static constexpr std::size_t headerBytes = 50;
  static constexpr std::size_t maxKeyBytes = 256;
  static constexpr std::size_t maxBlockBytes = std::numeric_limits<std::uint32_t>::max();

  CacheEntry(const CacheEntry&) = delete;
  CacheEntry& operator=(const CacheEntry&) = delete;

  // What make() asks of the allocator. At most maxBlockBytes is allowed.
  [[nodiscard]] static constexpr std::size_t bytesFor(std::size_t keyBytes, std::size_t valueBytes) noexcept {
    const std::size_t bytes = headerBytes + keyBytes + valueBytes;
    return bytes < sizeof(CacheEntry) ? sizeof(CacheEntry) : bytes;
  }
  [[nodiscard]] static constexpr std::size_t chargeFor(std::size_t keyBytes,
                                                       std::size_t valueBytes) noexcept {
    return expectedAllocation(headerBytes + keyBytes + valueBytes);
  }
  // The block comes from `memory`; null: std::malloc. Throws std::bad_alloc, and what `memory` throws.
  // Precondition: the key has 1 to maxKeyBytes bytes, and the block at most maxBlockBytes.
  [[nodiscard]] static CacheEntryRef make(std::string_view key, std::uint32_t hash, ByteView value,
                                          std::pmr::memory_resource* memory = nullptr);

  [[nodiscard]] std::string_view key() const noexcept {
    return {reinterpret_cast<const char*>(this) + headerBytes, keyBytes()};
  }
  [[nodiscard]] ByteView value() const noexcept { return content().subspan(keyBytes()); }
  [[nodiscard]] Version version() const noexcept { return Version{stamped() & maxVersion}; }
  // Precondition: nobody else has the entry yet, and the version is at most maxVersion.
  void setVersion(Version version) noexcept;
  static constexpr std::uint64_t maxVersion = (std::uint64_t{1} << 47U) - 1;

  // Whether key, value, lengths, hash and version are what they were.
  [[nodiscard]] bool intact() const noexcept {
    return readable() && (hash64(content()) ^ seal()) == checksum();
  }
  // Whether the lengths, with hash and version, are: only then key() and value() may be read.
  [[nodiscard]] bool readable() const noexcept {
    const std::uint64_t all = stamped() ^ keyHash ^ blockBytes_ ^ keyBytesStored_;
    return __builtin_parityll(all) == 0;
  }
  // Whether links and count are. Under the store's mutex.
  [[nodiscard]] bool linksIntact() const noexcept {
    return nextInBucket_.sound() && newer.sound() && older.sound() &&
           references_.load(std::memory_order_relaxed) % referenceUnit == 0;
  }

  // A count that is damaged says nothing any more: the block is then never given back.
  void repairCount() noexcept {
    if (references_.load(std::memory_order_relaxed) % referenceUnit == 0) return;
    references_.store(referenceUnit << 28U, std::memory_order_relaxed);
  }

  // The next one in its bucket of the table; none behind a link that is damaged.
  [[nodiscard]] CacheEntry* nextInBucket() const noexcept {
    return nextInBucket_.sound() ? static_cast<CacheEntry*>(nextInBucket_.get()) : nullptr;
  }
  [[nodiscard]] bool nextIsDamaged() const noexcept { return !nextInBucket_.sound(); }
  void setNextInBucket(CacheEntry* next) noexcept { nextInBucket_ = next; }

 private:
  friend class CacheEntryRef;
  friend struct EntryDamage;

  // Counting in threes: a count of which one bit has flipped is no multiple of three.
  static constexpr std::uint32_t referenceUnit = 3;

  CacheEntry(std::size_t keyBytes, std::uint32_t hash, std::size_t blockBytes) noexcept
      : EvictionEntry(hash, static_cast<std::uint32_t>(blockBytes)),
        CacheKeyLength{static_cast<std::uint8_t>(keyBytes)} {}
  ~CacheEntry() = default;

  [[nodiscard]] std::size_t keyBytes() const noexcept {
    return keyBytesStored_ == 0 ? maxKeyBytes : keyBytesStored_;
  }
  [[nodiscard]] ByteView content() const noexcept {
    return {reinterpret_cast<const std::byte*>(this) + headerBytes, blockBytes_ - headerBytes};
  }
  [[nodiscard]] std::uint64_t stamped() const noexcept {
    return version_[0] | std::uint64_t{version_[1]} << 16U | std::uint64_t{version_[2]} << 32U;
  }
  [[nodiscard]] std::uint64_t checksum() const noexcept {
    return checksum_[0] | std::uint64_t{checksum_[1]} << 32U;
  }
  void setChecksum(std::uint64_t checksum) noexcept {
    checksum_[0] = static_cast<std::uint32_t>(checksum);
    checksum_[1] = static_cast<std::uint32_t>(checksum >> 32U);
  }
  // What the checksum holds of the header. Both mixings are one to one, so that no change of the words of one
  // alone leaves it as it is.
  [[nodiscard]] std::uint64_t seal() const noexcept {
    return splitMix64(stamped() | std::uint64_t{keyBytesStored_} << 48U) ^
           (keyHash | std::uint64_t{blockBytes_} << 32U) * 0x9E3779B97F4A7C15U;
  }

  std::atomic<std::uint32_t> references_ = referenceUnit;
  std::uint32_t checksum_[2] = {};
  std::uint16_t version_[3] = {};  // 47 bits, then the parity
};

static_assert(sizeof(CacheEntry) - CacheEntry::headerBytes < alignof(CacheEntry));

// Keeps an entry's block alive, in the store or out of it. Copying counts atomically. It knows where the
// block came from, which the entry has no room for.
class CacheEntryRef {
 public:
  CacheEntryRef() = default;
  // Another reference to an entry whose block came from `memory`.
  CacheEntryRef(CacheEntry& entry, std::pmr::memory_resource* memory) noexcept
      : entry_(&entry), memory_(memory) {
    count();
  }
  CacheEntryRef(const CacheEntryRef& other) noexcept : entry_(other.entry_), memory_(other.memory_) {
    if (entry_) count();
  }
  CacheEntryRef(CacheEntryRef&& other) noexcept
      : entry_(std::exchange(other.entry_, nullptr)), memory_(other.memory_) {}
  // Two, and not one that takes its argument by value: of `ref = {}` in a template, clang 16 never destroys
  // that argument.
  CacheEntryRef& operator=(const CacheEntryRef& other) noexcept { return *this = CacheEntryRef(other); }
  CacheEntryRef& operator=(CacheEntryRef&& other) noexcept {
    CacheEntryRef taken(std::move(other));
    std::swap(entry_, taken.entry_);
    std::swap(memory_, taken.memory_);
    return *this;
  }
  ~CacheEntryRef() { drop(entry_, memory_); }

  [[nodiscard]] CacheEntry& operator*() const noexcept { return *entry_; }
  [[nodiscard]] CacheEntry* operator->() const noexcept { return entry_; }
  [[nodiscard]] CacheEntry* get() const noexcept { return entry_; }
  explicit operator bool() const noexcept { return entry_ != nullptr; }

  // The reference goes over to the caller, who gives it back with adopt() or drop().
  [[nodiscard]] CacheEntry* release() noexcept { return std::exchange(entry_, nullptr); }
  [[nodiscard]] static CacheEntryRef adopt(CacheEntry* entry, std::pmr::memory_resource* memory) noexcept {
    CacheEntryRef ref;
    ref.entry_ = entry;
    ref.memory_ = memory;
    return ref;
  }
  static void drop(CacheEntry* entry, std::pmr::memory_resource* memory) noexcept {
    if (!entry) return;
    constexpr std::uint32_t unit = CacheEntry::referenceUnit;
    // Whoever has the only reference is alone with the entry: no need to take it off.
    if (entry->references_.load(std::memory_order_acquire) != unit &&
        entry->references_.fetch_sub(unit, std::memory_order_acq_rel) != unit) {
      return;
    }
    const std::size_t bytes = entry->blockBytes_;
    if (memory && !entry->readable()) return;  // a leak, rather than a wrong size
    entry->~CacheEntry();
    if (memory) {
      memory->deallocate(entry, bytes < sizeof(CacheEntry) ? sizeof(CacheEntry) : bytes);
    } else {
      std::free(entry);
    }
  }

 private:
  void count() const noexcept {
    entry_->references_.fetch_add(CacheEntry::referenceUnit, std::memory_order_relaxed);
  }

  CacheEntry* entry_ = nullptr;
  std::pmr::memory_resource* memory_ = nullptr;
};

// For tests of what the checks are for.
struct EntryDamage {
  enum class Place { header, key, value };

  // False when there is no such bit.
  static bool flip(CacheEntry& entry, Place place, std::size_t bit) noexcept {
    const std::size_t keyBytes = entry.key().size();
    const std::size_t valueBytes = entry.value().size();
    const std::size_t begin =
        place == Place::header ? 0 : CacheEntry::headerBytes + (place == Place::key ? 0 : keyBytes);
    const std::size_t size = place == Place::header ? CacheEntry::headerBytes
                             : place == Place::key  ? keyBytes
                                                    : valueBytes;
    if (bit / 8 >= size) return false;
    reinterpret_cast<std::byte*>(&entry)[begin + bit / 8] ^= std::byte{1} << (bit % 8);
    return true;
  }
  // Where policyState lies, which nothing covers, the slot, and the count, of which damage is a leak.
  static std::size_t policyStateByte(const CacheEntry& entry) noexcept {
    return offsetOf(entry, &entry.policyState);
  }
  static std::size_t referencesByte(const CacheEntry& entry) noexcept {
    return offsetOf(entry, &entry.references_);
  }
  static std::size_t slotByte(const CacheEntry& entry) noexcept { return offsetOf(entry, &entry.heapSlot); }

 private:
  static std::size_t offsetOf(const CacheEntry& entry, const void* member) noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(member) -
                                    reinterpret_cast<const std::byte*>(&entry));
  }
};

inline void CacheEntry::setVersion(Version version) noexcept {
  assert(version.value <= maxVersion);
  std::uint64_t sum = checksum() ^ seal();
  std::uint64_t stamp = version.value;
  const std::uint64_t all = stamp ^ keyHash ^ blockBytes_ ^ keyBytesStored_;
  stamp |= static_cast<std::uint64_t>(__builtin_parityll(all)) << 47U;
  version_[0] = static_cast<std::uint16_t>(stamp);
  version_[1] = static_cast<std::uint16_t>(stamp >> 16U);
  version_[2] = static_cast<std::uint16_t>(stamp >> 32U);
  setChecksum(sum ^ seal());
}

inline CacheEntryRef CacheEntry::make(std::string_view key, std::uint32_t hash, ByteView value,
                                      std::pmr::memory_resource* memory) {
  const std::size_t bytes = bytesFor(key.size(), value.size());
  void* const block = memory ? memory->allocate(bytes) : std::malloc(bytes);
  if (!block) throw std::bad_alloc();
  if (!EvictionEntry::Link::fits(block)) {
    memory ? memory->deallocate(block, bytes) : std::free(block);
    throw std::bad_alloc();
  }
  auto* const entry = new (block) CacheEntry(key.size(), hash, headerBytes + key.size() + value.size());
  auto* const data = static_cast<std::byte*>(block) + headerBytes;
  std::memcpy(data, key.data(), key.size());
  if (!value.empty()) std::memcpy(data + key.size(), value.data(), value.size());
  entry->setChecksum(hash64(entry->content()) ^ entry->seal());
  entry->setVersion(Version{});
  return CacheEntryRef::adopt(entry, memory);
}

}  // namespace lukhas::detail
