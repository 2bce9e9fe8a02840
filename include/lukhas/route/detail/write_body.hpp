// The body of a request: the caller's context, but for the members that the protocol sets itself.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "lukhas/core/error.hpp"

namespace lukhas::detail {

// Throws Errc::invalid_argument for what is not UTF-8; the message does not repeat the caller's data.
[[nodiscard]] inline std::string writeJson(const nlohmann::json& value) {
  try {
    return value.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(Errc::invalid_argument, "route request: context holds a string that is not UTF-8",
                {{"argument", "context"}, {"allowed", "UTF-8"}});
  }
}

// `first`: the members that the protocol sets, as JSON without its braces, not empty. `replaced`: the names
// that are left out of the context. Without a copy of the context: it may be a long conversation.
[[nodiscard]] inline std::string writeBody(const nlohmann::json& context, std::string_view first,
                                           std::initializer_list<std::string_view> replaced) {
  std::string body = "{";
  body += first;
  for (const auto& [name, value] : context.items()) {
    if (std::find(replaced.begin(), replaced.end(), name) != replaced.end()) continue;
    body += ',';
    body += writeJson(name);
    body += ':';
    body += writeJson(value);
  }
  return body += '}';
}

// The address of a path below the model's own, which may end with a slash or without.
[[nodiscard]] inline std::string pathBelow(std::string_view url, std::string_view path) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return std::string(url).append(path);
}

}  // namespace lukhas::detail
