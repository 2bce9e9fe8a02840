// Entries without key and value, for the tests of eviction policies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <system_error>

#include "lukhas/core/error.hpp"
#include "lukhas/store/eviction_entry.hpp"

namespace lukhas::test {

struct alignas(EvictionEntry::Link::alignment) PlainEntry : EvictionEntry {
  // The charge is rounded up as the allocator does.
  PlainEntry(std::uint64_t hash, std::size_t charge) noexcept
      : EvictionEntry(static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(charge - 8)) {}

  bool present = false;  // for the test that owns it
};

template <class Call>
[[nodiscard]] std::error_code errorOf(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return {};
}

}  // namespace lukhas::test
