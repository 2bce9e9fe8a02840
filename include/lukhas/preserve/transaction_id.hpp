// TransactionId: who decides about a transaction, and which one it is.
#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace lukhas {

// namespace:coordinator:epoch:sequence, for example "lukhas:6f0c…:3:17". Never reused: the epoch grows with
// each start of the coordinator, the sequence within it. At most 200 bytes of ASCII, so that every
// participant can store it.
//
// It tells a coordinator which intents are its own: those of another namespace or coordinator are never
// touched.
struct TransactionId {
  std::string nameSpace;    // 1 to 64 of [A-Za-z0-9._-]: several applications may share a participant
  std::string coordinator;  // the uuid of the coordinator's journal
  std::uint64_t epoch = 0;
  std::uint64_t sequence = 0;

  static constexpr std::size_t maxNamespaceBytes = 64;

  [[nodiscard]] std::string toString() const {
    return fmt::format("{}:{}:{}:{}", nameSpace, coordinator, epoch, sequence);
  }

  // nullopt for text that no coordinator of this library wrote.
  [[nodiscard]] static std::optional<TransactionId> parse(std::string_view text) {
    TransactionId id;
    const std::optional<std::string_view> space = cut(text);
    const std::optional<std::string_view> coordinator = cut(text);
    const std::optional<std::string_view> epoch = cut(text);
    if (!space || !coordinator || !epoch || !isName(*space) || !isName(*coordinator)) return std::nullopt;
    if (!number(*epoch, id.epoch) || !number(text, id.sequence)) return std::nullopt;
    id.nameSpace = *space;
    id.coordinator = *coordinator;
    return id;
  }

  [[nodiscard]] static bool isName(std::string_view text) noexcept {
    if (text.empty() || text.size() > maxNamespaceBytes) return false;
    for (const char c : text) {
      const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                           c == '.' || c == '_' || c == '-';
      if (!allowed) return false;
    }
    return true;
  }

  friend bool operator==(const TransactionId&, const TransactionId&) = default;

 private:
  static std::optional<std::string_view> cut(std::string_view& text) noexcept {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const std::string_view part = text.substr(0, colon);
    text.remove_prefix(colon + 1);
    return part;
  }
  static bool number(std::string_view text, std::uint64_t& value) noexcept {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size() && (text == "0" || text.front() != '0');
  }
};

}  // namespace lukhas
