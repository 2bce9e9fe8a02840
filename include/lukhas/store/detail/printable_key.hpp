// A key, made fit for messages and JSON.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace lukhas::detail {

// Keys are any bytes; what is not printable ASCII is written as \xNN.
[[nodiscard]] inline std::string printableKey(std::string_view key) {
  std::string text;
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e || c == '\\' || c == '"') {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace lukhas::detail
