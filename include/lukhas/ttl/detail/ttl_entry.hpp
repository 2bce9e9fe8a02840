// TtlEntry: one key's present life, in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

#include "lukhas/core/block_pool.hpp"
#include "lukhas/core/expiry_tree.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/core/prefetch.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/detail/ttl_types.hpp"

namespace lukhas::detail {

// 52 bytes and the key behind them.
class TtlEntry : public KeyHook {
 public:
  TtlEntry(const TtlEntry&) = delete;
  TtlEntry& operator=(const TtlEntry&) = delete;

  // Precondition: at most maxTtlKeyBytes. Throws std::bad_alloc.
  [[nodiscard]] static TtlEntry& make(BlockPool& pool, std::string_view key, std::uint64_t hash) {
    static_assert(sizeof(TtlEntry) == 56, "each byte here is paid a million times");
    static_assert(maxTtlKeyBytes + sizeof(TtlEntry) <= BlockPool::largestBlock);
    auto* const entry = new (pool.allocate(bytesFor(key.size()))) TtlEntry(key.size(), hash);
    std::memcpy(entry->key_, key.data(), key.size());
    return *entry;
  }
  static void destroy(BlockPool& pool, TtlEntry& entry) noexcept {
    const std::size_t bytes = bytesFor(entry.keyBytes_);
    entry.~TtlEntry();
    pool.release(&entry, bytes);
  }

  // Fetches what looking at the entry and destroying it will need.
  static void prefetchAll(const TtlEntry& entry) noexcept {
    prefetch(&entry);
    prefetch(reinterpret_cast<const char*>(&entry) + cacheLineBytes);
    BlockPool::prefetchRelease(&entry);
  }

  [[nodiscard]] std::string_view key() const noexcept { return {key_, keyBytes_}; }

  ExpiryKey due{};      // of an active one its expiry, of an ended one its removal
  Duration ttl{};       // the original one, to which a refresh goes back
  ExpiryPlace stage;    // it is always in one of two trees, by what comes next for it,
  ExpiryPlace warning;  // and may be in a third one
  TtlType::Number type = 0;
  std::uint16_t ended : 1 = 0;   // which tree it is in: the ended ones, or the active ones
  std::uint16_t warned : 1 = 0;  // in this life

 private:
  TtlEntry(std::size_t keyBytes, std::uint64_t hash) noexcept
      : KeyHook(hash), keyBytes_(static_cast<std::uint16_t>(keyBytes & 0x3FFFU)) {}
  ~TtlEntry() = default;

  static constexpr std::size_t bytesFor(std::size_t keyBytes) noexcept {
    constexpr std::size_t inside = 4;
    return sizeof(TtlEntry) + (keyBytes > inside ? keyBytes - inside : 0);
  }

  std::uint16_t keyBytes_ : 14;
  char key_[4];  // the first bytes of the key, where padding would be; the others follow behind the object
};

}  // namespace lukhas::detail
