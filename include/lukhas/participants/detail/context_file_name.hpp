// The name of the file that holds a context. Pure.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "lukhas/core/bytes.hpp"

namespace lukhas::detail {

// A context id is any bytes; a file name is not. Lower-case letters, digits, '-' and '_' stay, everything
// else becomes %XX, so that people can still read the name, no name means anything to the file system, and
// ids that differ in case differ on every file system. An id whose name would be too long is cut and given a
// 128-bit hash: such a name might be that of another id too, which is why the file holds the id itself.
[[nodiscard]] inline std::string contextFileName(std::string_view contextId) {
  constexpr std::size_t longest = 180;  // with suffixes under the 255 bytes that file systems have room for
  std::string name;
  for (const char c : contextId) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (plain) {
      name += c;
    } else {
      name += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  if (name.size() <= longest) return name;
  const ByteView bytes = asBytes(contextId);
  return fmt::format("{}~{:016x}{:016x}", name.substr(0, longest - 33), hash64(bytes, 1), hash64(bytes, 2));
}

}  // namespace lukhas::detail
