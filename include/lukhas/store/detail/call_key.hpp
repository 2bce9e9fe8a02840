// CallKey: a key inside the frame of a coroutine.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "lukhas/store/detail/cache_entry.hpp"

namespace lukhas::detail {

// A copy without an allocation: the caller of an awaitable may be done with his key before it is awaited.
// Copying copies what is used.
class CallKey {
 public:
  // Precondition: at most CacheEntry::maxKeyBytes.
  explicit CallKey(std::string_view key) noexcept : size_(static_cast<std::uint16_t>(key.size())) {
    assert(key.size() <= sizeof(bytes_));
    std::memcpy(bytes_, key.data(), key.size());
  }
  CallKey(const CallKey& other) noexcept : CallKey(other.view()) {}
  CallKey& operator=(const CallKey&) = delete;

  [[nodiscard]] std::string_view view() const noexcept { return {bytes_, size_}; }

 private:
  std::uint16_t size_;
  char bytes_[CacheEntry::maxKeyBytes];  // not initialised beyond size_
};

}  // namespace lukhas::detail
