// View: the bytes of an entry, not copied.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "lukhas/core/bytes.hpp"
#include "lukhas/store/detail/cache_entry.hpp"

namespace lukhas {

// What a read gives when it should not copy.
//
//   std::optional<lukhas::View> found = cache.tryGet<lukhas::View>("session:42");
//   if (found) send(found->bytes());                     // or found->text()
//
// The bytes were verified when they were read and never change. They live as long as a View of them does,
// also when the entry is replaced, evicted or removed, and when the store is destroyed. The store does not
// count the memory of an entry that is only alive because of a View: whoever keeps many keeps their memory.
//
// Copying a View counts a reference, O(1). Copies may be used and destroyed in any thread. What is written as
// a View is written as its bytes.
class View {
 public:
  // Of no entry: no bytes.
  View() = default;
  explicit View(detail::CacheEntryRef entry) noexcept : entry_(std::move(entry)) {}

  [[nodiscard]] ByteView bytes() const noexcept { return entry_ ? entry_->value() : ByteView{}; }
  [[nodiscard]] std::string_view text() const noexcept { return asText(bytes()); }
  [[nodiscard]] std::size_t size() const noexcept { return bytes().size(); }
  [[nodiscard]] bool empty() const noexcept { return bytes().empty(); }

 private:
  detail::CacheEntryRef entry_;
};

}  // namespace lukhas
