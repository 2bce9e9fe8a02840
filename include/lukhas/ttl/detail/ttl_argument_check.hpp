// What the calls of a TTLEnforcementEngine refuse, and how they say so.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/error.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/ttl_error.hpp"

namespace lukhas::detail {

inline void requireTtlKey(std::string_view key) {
  if (!key.empty() && key.size() <= maxTtlKeyBytes) return;
  nlohmann::json details{{"size", key.size()}, {"maximum", maxTtlKeyBytes}};
  throw Error(TtlErrc::invalid_key,
              fmt::format("the key has {} bytes; allowed is 1 to {}", key.size(), maxTtlKeyBytes),
              std::move(details));
}

inline void requireTtlType(std::string_view type) {
  if (type.size() <= maxTtlTypeBytes) return;
  nlohmann::json details{{"size", type.size()}, {"maximum", maxTtlTypeBytes}};
  throw Error(TtlErrc::invalid_type,
              fmt::format("the type has {} bytes; allowed is 0 to {}", type.size(), maxTtlTypeBytes),
              std::move(details));
}

inline void requireTtlExtension(std::string_view key, Duration by) {
  if (by >= Duration::zero()) return;
  nlohmann::json details{{"argument", "by"}, {"value", optionText(by)}, {"key", cleanText(key)}};
  throw Error(Errc::invalid_argument,
              fmt::format("the entry {} cannot be extended by {}; allowed is 0 s and more", quotedText(key),
                          optionText(by)),
              std::move(details));
}

[[noreturn]] inline void refuseTtlEntry(std::string_view key, std::size_t maximum) {
  nlohmann::json details{{"key", cleanText(key)}, {"maximum", maximum}};
  throw Error(TtlErrc::too_many_entries,
              fmt::format("{} entries are registered, which is the maximum: the entry {} is refused", maximum,
                          quotedText(key)),
              std::move(details));
}

}  // namespace lukhas::detail
