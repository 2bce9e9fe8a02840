// Entries without key and value, for the tests of eviction policies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <system_error>

#include "lukhas/core/error.hpp"
#include "lukhas/store/eviction_entry.hpp"

namespace lukhas::test {

struct PlainEntry : EvictionEntry {
  PlainEntry(std::uint64_t hash, std::size_t charge) noexcept : EvictionEntry(hash, charge) {}
  using EvictionEntry::setCharge;

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
