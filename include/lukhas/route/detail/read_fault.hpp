// The errors of models, as OpenAI's and Anthropic's protocols write them, and those who imitate them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "lukhas/route/outcome_classifier.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas::detail {

// In the place where the protocol names the error. Anthropic's endpoint says it in words only, with a 400.
[[nodiscard]] inline bool saysQuotaIsSpent(int status, const ModelFault& fault) {
  if (status == 400) return fault.message.starts_with("Your credit balance is too low");
  const bool success = status >= 200 && status < 300;
  if (!success && status != 402 && status != 403 && status != 429) return false;
  for (const std::string_view name :
       {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error"}) {
    if (fault.type == name || fault.providerCode == name) return true;
  }
  return false;
}

// `status` is of a 2xx for an error that came inside an answer.
[[nodiscard]] inline RouteErrc faultCode(int status, const ModelFault& fault) {
  const bool quotaSpent = saysQuotaIsSpent(status, fault);
  if (status < 200 || status >= 300) return errorOfStatus(status, quotaSpent);
  if (quotaSpent) return RouteErrc::quota_spent;
  struct Named {
    std::string_view name;
    RouteErrc code;
  };
  constexpr Named known[] = {
      {"rate_limit_error", RouteErrc::throttled},
      {"rate_limit_exceeded", RouteErrc::throttled},
      {"429", RouteErrc::throttled},
      {"invalid_request_error", RouteErrc::model_refused},
      {"request_too_large", RouteErrc::model_refused},
      {"400", RouteErrc::model_refused},
      {"authentication_error", RouteErrc::access_refused},
      {"permission_error", RouteErrc::access_refused},
      {"401", RouteErrc::access_refused},
      {"403", RouteErrc::access_refused},
      {"not_found_error", RouteErrc::wrong_endpoint},
      {"404", RouteErrc::wrong_endpoint},
  };
  for (const Named& one : known) {
    if (fault.type == one.name || fault.providerCode == one.name) return one.code;
  }
  return RouteErrc::model_failed;
}

// {"error": {"message", "type", "code"}}, {"error": "…"}, {"message": "…"}, {"detail": "…"}, or any other
// bytes.
[[nodiscard]] inline ModelFault readFault(int status, const nlohmann::json& body, std::string_view text) {
  const nlohmann::json& error = memberOf(body, "error");
  const nlohmann::json& code = memberOf(error, "code");
  ModelFault fault;
  fault.type = textOf(memberOf(error, "type"));
  fault.providerCode = code.is_number_integer() ? code.dump() : textOf(code);
  fault.message = textOf(memberOf(error, "message"));
  if (fault.message.empty()) fault.message = textOf(error);
  if (fault.message.empty()) fault.message = textOf(memberOf(body, "message"));
  if (fault.message.empty()) fault.message = textOf(memberOf(body, "detail"));
  if (fault.message.empty()) fault.message = text.substr(0, 4096);
  fault.code = faultCode(status, fault);
  return fault;
}

[[nodiscard]] inline ModelFault unreadable(const char* why) {
  ModelFault fault;
  fault.message = why;
  return fault;
}

// The answer as an object, or why it is none: what every protocol asks before it looks for its own members.
[[nodiscard]] inline std::variant<nlohmann::json, ModelFault> readObject(int status, std::string_view text) {
  nlohmann::json body = parseOutsideJson(text);
  if (status < 200 || status >= 300) return readFault(status, body, text);
  if (body.is_discarded()) return unreadable("the answer is not JSON, or is cut off");
  if (!body.is_object()) return unreadable("the answer is not a JSON object");
  if (!memberOf(body, "error").is_null()) return readFault(status, body, text);
  return body;
}

}  // namespace lukhas::detail
