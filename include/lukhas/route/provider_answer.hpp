// ModelAnswer: what came back from a model, as its provider understood it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/outcome_classifier.hpp"
#include "lukhas/route/route_error.hpp"

namespace lukhas {

// An answer that is none. The three texts are the model's own words, of any length and content: they pass
// through quotedText() with the key as the secret before anybody sees them.
struct ModelFault {
  RouteErrc code = RouteErrc::invalid_reply;
  std::string message;
  std::string type;          // such as "rate_limit_error"
  std::string providerCode;  // such as "insufficient_quota"
};

using ModelAnswer = std::variant<ModelReply, ModelFault>;

namespace detail {

// JSON from outside: nothing for what is not JSON, and for what is nested so deeply that handling it would
// end the stack.
inline nlohmann::json parseOutsideJson(std::string_view text) {
  constexpr std::size_t maxDepth = 256;
  std::size_t depth = 0;
  bool inString = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inString) {
      if (c == '\\') ++i;
      if (c == '"') inString = false;
    } else if (c == '"') {
      inString = true;
    } else if (c == '[' || c == '{') {
      if (++depth > maxDepth) return nlohmann::json(nlohmann::json::value_t::discarded);
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return nlohmann::json::parse(text, nullptr, false);
}

// The member of that name; null when there is none, or `object` is not an object.
inline const nlohmann::json& memberOf(const nlohmann::json& object, const char* name) {
  static const nlohmann::json null;
  if (!object.is_object()) return null;
  const auto found = object.find(name);
  return found == object.end() ? null : *found;
}

// A string, or nothing for any other type.
inline std::string textOf(const nlohmann::json& value) {
  return value.is_string() ? value.get_ref<const std::string&>() : std::string();
}

// A count, or zero for any other type, a negative number or a fraction.
inline std::uint64_t countOf(const nlohmann::json& value) {
  if (value.is_number_unsigned()) return value.get<std::uint64_t>();
  if (value.is_number_integer() && value.get<std::int64_t>() >= 0)
    return static_cast<std::uint64_t>(value.get<std::int64_t>());
  return 0;
}

}  // namespace detail
}  // namespace lukhas
