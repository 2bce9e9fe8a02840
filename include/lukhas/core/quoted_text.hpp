// Text from outside, made fit for errors, logs and metrics: bounded, valid UTF-8, and without secrets.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace lukhas {

[[nodiscard]] inline bool isUtf8(std::string_view text) {
  const auto isAscii = [](char c) { return static_cast<unsigned char>(c) < 0x80; };
  if (std::all_of(text.begin(), text.end(), isAscii)) return true;
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

// `text` with every occurrence of `secret` replaced by ***, also one that the end of the text cuts off after
// four bytes or more.
[[nodiscard]] inline std::string withoutSecret(std::string_view text, std::string_view secret) {
  constexpr std::string_view mask = "***";
  constexpr std::size_t shortestPart = 4;
  std::string result;
  while (!secret.empty()) {
    const std::size_t found = text.find(secret);
    if (found == std::string_view::npos) break;
    result.append(text.substr(0, found)).append(mask);
    text.remove_prefix(found + secret.size());
  }
  for (std::size_t length = std::min(secret.size(), text.size()); length >= shortestPart; --length) {
    if (!text.ends_with(secret.substr(0, length))) continue;
    return result.append(text.substr(0, text.size() - length)).append(mask);
  }
  return result.append(text);
}

// At most `maxBytes` of `text` (and an ellipsis), cut between characters; what is not UTF-8 becomes U+FFFD.
// For a field of Error::details().
[[nodiscard]] inline std::string cleanText(std::string_view text, std::size_t maxBytes = 256,
                                           std::string_view secret = {}) {
  std::string shown = withoutSecret(text, secret);
  if (shown.size() > maxBytes) {
    std::size_t end = maxBytes;
    while (end > 0 && (static_cast<unsigned char>(shown[end]) & 0xC0U) == 0x80U) --end;
    shown.resize(end);
    shown += "…";
  }
  const std::string json =
      nlohmann::json(shown).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(json).get<std::string>();
}

// The same in quotation marks, with control characters escaped. For a sentence of ours.
[[nodiscard]] inline std::string quotedText(std::string_view text, std::size_t maxBytes = 256,
                                            std::string_view secret = {}) {
  return nlohmann::json(cleanText(text, maxBytes, secret)).dump();
}

}  // namespace lukhas
