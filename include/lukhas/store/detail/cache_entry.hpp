// CacheEntry: one entry of the store, in one block of memory.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "lukhas/async/world.hpp"
#include "lukhas/core/allocated_bytes.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/store/entry_info.hpp"

namespace lukhas::detail {

class CacheEntryRef;

// Header, key and value lie one behind the other. Key and value never change, so that they are read without
// the store's mutex by whoever holds a CacheEntryRef; all other fields belong to the store, under its mutex,
// from the moment when the entry is put into it.
class CacheEntry : public ExpiryHook, public KeyHook {
 public:
  CacheEntry(const CacheEntry&) = delete;
  CacheEntry& operator=(const CacheEntry&) = delete;

  // What make() will ask of the allocator.
  [[nodiscard]] static constexpr std::size_t bytesFor(std::size_t keyBytes, std::size_t valueBytes) noexcept {
    return sizeof(CacheEntry) + keyBytes + valueBytes;
  }
  // Throws std::bad_alloc.
  [[nodiscard]] static CacheEntryRef make(std::string_view key, std::uint64_t hash, ByteView value);

  [[nodiscard]] std::string_view key() const noexcept { return {asText(content()).data(), keyBytes_}; }
  [[nodiscard]] ByteView value() const noexcept { return content().subspan(keyBytes_); }
  // What the block takes of the allocator.
  [[nodiscard]] std::size_t charge() const noexcept { return charge_; }
  // Whether key and value are the bytes that make() was given.
  [[nodiscard]] bool intact() const noexcept { return hash64(content()) == checksum_; }

  // For tests of what intact() is for.
  void flipValueBit(std::size_t bit) noexcept {
    std::byte* const data = reinterpret_cast<std::byte*>(this + 1) + keyBytes_;
    data[bit / 8] ^= std::byte{1} << (bit % 8);
  }

  CacheEntry* newer = nullptr;
  CacheEntry* older = nullptr;
  TimePoint expiresAt{};  // TimePoint::max(): never
  Version version;

 private:
  friend class CacheEntryRef;

  CacheEntry(std::size_t keyBytes, std::size_t valueBytes, std::uint64_t hash) noexcept
      : KeyHook(hash), valueBytes_(valueBytes), keyBytes_(keyBytes) {}
  ~CacheEntry() = default;

  [[nodiscard]] ByteView content() const noexcept {
    return {reinterpret_cast<const std::byte*>(this + 1), keyBytes_ + valueBytes_};
  }

  std::atomic<std::uint32_t> references_ = 1;
  std::uint64_t checksum_ = 0;
  std::size_t valueBytes_;
  std::size_t keyBytes_;
  std::size_t charge_ = 0;
};

// Keeps an entry's block alive, in the store or out of it. Copying counts atomically.
class CacheEntryRef {
 public:
  CacheEntryRef() = default;
  // Another reference to the same entry.
  explicit CacheEntryRef(CacheEntry& entry) noexcept : entry_(&entry) {
    entry.references_.fetch_add(1, std::memory_order_relaxed);
  }
  CacheEntryRef(const CacheEntryRef& other) noexcept : entry_(other.entry_) {
    if (entry_) entry_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  CacheEntryRef(CacheEntryRef&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  CacheEntryRef& operator=(CacheEntryRef other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~CacheEntryRef() { drop(entry_); }

  [[nodiscard]] CacheEntry& operator*() const noexcept { return *entry_; }
  [[nodiscard]] CacheEntry* operator->() const noexcept { return entry_; }
  [[nodiscard]] CacheEntry* get() const noexcept { return entry_; }
  explicit operator bool() const noexcept { return entry_ != nullptr; }

  // The reference goes over to the caller, who gives it back with adopt() or drop().
  [[nodiscard]] CacheEntry* release() noexcept { return std::exchange(entry_, nullptr); }
  [[nodiscard]] static CacheEntryRef adopt(CacheEntry* entry) noexcept {
    CacheEntryRef ref;
    ref.entry_ = entry;
    return ref;
  }
  static void drop(CacheEntry* entry) noexcept {
    if (!entry || entry->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    entry->~CacheEntry();
    std::free(entry);
  }

 private:
  CacheEntry* entry_ = nullptr;
};

inline CacheEntryRef CacheEntry::make(std::string_view key, std::uint64_t hash, ByteView value) {
  const std::size_t bytes = bytesFor(key.size(), value.size());
  void* const block = std::malloc(bytes);
  if (!block) throw std::bad_alloc();
  auto* const entry = new (block) CacheEntry(key.size(), value.size(), hash);
  entry->charge_ = allocatedBytes(block, bytes);
  auto* const data = reinterpret_cast<std::byte*>(entry + 1);
  std::memcpy(data, key.data(), key.size());
  if (!value.empty()) std::memcpy(data + key.size(), value.data(), value.size());
  entry->checksum_ = hash64(entry->content());
  return CacheEntryRef::adopt(entry);
}

}  // namespace lukhas::detail
