// TtlEntry: one key's present life, in one block of memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>

#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/detail/ttl_types.hpp"

namespace lukhas::detail {

// An entry is always in one of two heaps, by what comes next for it, and may be in a third one.
struct StageHook : ExpiryHook {};
struct WarningHook : ExpiryHook {};

// 36 bytes and the key behind them. When the entry expires is not among them: the heap that it is in knows.
class TtlEntry : public KeyHook, public StageHook, public WarningHook {
 public:
  struct Delete {
    void operator()(TtlEntry* entry) const noexcept { (*this)(*entry); }
    void operator()(TtlEntry& entry) const noexcept {
      entry.~TtlEntry();
      ::operator delete(&entry);
    }
  };
  using Owner = std::unique_ptr<TtlEntry, Delete>;

  TtlEntry(const TtlEntry&) = delete;
  TtlEntry& operator=(const TtlEntry&) = delete;

  // Precondition: at most maxTtlKeyBytes. Throws std::bad_alloc.
  [[nodiscard]] static Owner make(std::string_view key, std::uint64_t hash) {
    static_assert(sizeof(TtlEntry) == 40, "each byte here is paid a million times");
    const std::size_t inside = sizeof(key_);
    const std::size_t beyond = key.size() > inside ? key.size() - inside : 0;
    Owner entry(new (::operator new(sizeof(TtlEntry) + beyond)) TtlEntry(key.size(), hash));
    std::memcpy(entry->key_, key.data(), key.size());
    return entry;
  }

  [[nodiscard]] std::string_view key() const noexcept { return {key_, keyBytes_}; }

  Duration ttl{};  // the original one, to which a refresh goes back
  TtlType::Number type = 0;
  std::uint16_t ended : 1 = 0;   // which heap it is in: the ended ones, or the active ones
  std::uint16_t warned : 1 = 0;  // in this life

 private:
  TtlEntry(std::size_t keyBytes, std::uint64_t hash) noexcept
      : KeyHook(hash), keyBytes_(static_cast<std::uint16_t>(keyBytes & 0x3FFFU)) {}
  ~TtlEntry() = default;

  std::uint16_t keyBytes_ : 14;
  char key_[4];  // the first bytes of the key, where padding would be; the others follow behind the object
};

}  // namespace lukhas::detail
