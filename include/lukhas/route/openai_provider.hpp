// OpenAiProvider: chat completions as OpenAI defined them and many servers speak them.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/route/http_message.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/provider_answer.hpp"
#include "lukhas/core/quoted_text.hpp"

namespace lukhas {

// Of an answer, only what a caller needs is required: choices[0].message with its content, a refusal, or
// calls of tools. All else is optional, and read as absent when it has another type than documented: servers
// differ there.
struct OpenAiProvider {
  // POST {url}/chat/completions with the context as it is, but for two members: `model` is the model's name,
  // and `stream` with its `stream_options` is left out.
  static HttpRequest makeRequest(const ModelDescription& model, const nlohmann::json& context) {
    nlohmann::json body = context;
    body["model"] = model.modelName.empty() ? model.id : model.modelName;
    body.erase("stream");
    body.erase("stream_options");
    std::string_view base = model.url;
    while (base.ends_with('/')) base.remove_suffix(1);
    HttpRequest request(std::string(base) + "/chat/completions", write(body));
    request.headers.push_back({"Content-Type", "application/json"});
    request.headers.push_back({"Accept", "application/json"});
    return request;
  }

  static void authorize(HttpRequest& request, std::string_view key) {
    request.headers.push_back({"Authorization", "Bearer " + std::string(key)});
  }

  static ModelAnswer readAnswer(int status, std::string_view text) {
    nlohmann::json body = detail::parseOutsideJson(text);
    if (status < 200 || status >= 300) return readFault(status, body, text);
    if (!body.is_object())
      return unreadable(body.is_discarded() ? "is not JSON, or is cut off" : "is not a JSON object");
    if (!detail::memberOf(body, "error").is_null()) return readFault(status, body, text);

    const nlohmann::json& choices = detail::memberOf(body, "choices");
    if (!choices.is_array() || choices.empty()) return unreadable("has no choices");
    const nlohmann::json& message = detail::memberOf(choices.front(), "message");
    if (!message.is_object()) return unreadable("has no message in its first choice");
    std::string finishReason = detail::textOf(detail::memberOf(choices.front(), "finish_reason"));
    if (!saysSomething(message, finishReason))
      return unreadable("has a message without content, refusal or tool calls");

    const nlohmann::json& usage = detail::memberOf(body, "usage");
    ModelUsage tokens;
    tokens.inputTokens = detail::countOf(detail::memberOf(usage, "prompt_tokens"));
    tokens.outputTokens = detail::countOf(detail::memberOf(usage, "completion_tokens"));
    tokens.totalTokens = detail::countOf(detail::memberOf(usage, "total_tokens"));
    std::string words = contentText(detail::memberOf(message, "content"));
    return ModelReply(std::move(body), std::move(words), std::move(finishReason), tokens);
  }

 private:
  static std::string write(const nlohmann::json& body) {
    try {
      return body.dump();
    } catch (const nlohmann::json::exception&) {  // its message would quote the caller's data
      throw Error(Errc::invalid_argument, "route request: context holds a string that is not UTF-8",
                  {{"argument", "context"}, {"allowed", "UTF-8"}});
    }
  }

  static ModelFault unreadable(const char* why) {
    ModelFault fault;
    fault.message = std::string("the answer ") + why;
    return fault;
  }

  // Content is a string, or a list of parts as newer servers send it. It may be missing where there is
  // something else instead, or where the model was stopped before its first word.
  static bool saysSomething(const nlohmann::json& message, std::string_view finishReason) {
    const nlohmann::json& content = detail::memberOf(message, "content");
    if (content.is_string() || content.is_array()) return true;
    if (!content.is_null()) return false;
    const nlohmann::json& calls = detail::memberOf(message, "tool_calls");
    return (calls.is_array() && !calls.empty()) || detail::memberOf(message, "function_call").is_object() ||
           detail::memberOf(message, "refusal").is_string() || finishReason == "length" ||
           finishReason == "content_filter";
  }

  static std::string contentText(const nlohmann::json& content) {
    if (!content.is_array()) return detail::textOf(content);
    std::string words;
    for (const nlohmann::json& part : content) {
      if (detail::textOf(detail::memberOf(part, "type")) == "text")
        words += detail::textOf(detail::memberOf(part, "text"));
    }
    return words;
  }

  // {"error": {"message", "type", "code"}}, {"error": "…"}, {"message": "…"}, {"detail": "…"}, or any other
  // bytes.
  static ModelFault readFault(int status, const nlohmann::json& body, std::string_view text) {
    const nlohmann::json& error = detail::memberOf(body, "error");
    const nlohmann::json& code = detail::memberOf(error, "code");
    ModelFault fault;
    fault.type = detail::textOf(detail::memberOf(error, "type"));
    fault.providerCode = code.is_number_integer() ? code.dump() : detail::textOf(code);
    fault.message = detail::textOf(detail::memberOf(error, "message"));
    if (fault.message.empty()) fault.message = detail::textOf(error);
    if (fault.message.empty()) fault.message = detail::textOf(detail::memberOf(body, "message"));
    if (fault.message.empty()) fault.message = detail::textOf(detail::memberOf(body, "detail"));
    if (fault.message.empty()) fault.message = text.substr(0, 4096);
    fault.code = faultCode(status, fault);
    return fault;
  }

  static RouteErrc faultCode(int status, const ModelFault& fault) {
    const auto named = [&fault](std::string_view name) {
      return fault.type == name || fault.providerCode == name;
    };
    const bool quotaSpent =
        named("insufficient_quota") || named("billing_hard_limit_reached") || named("billing_not_active");
    if (status < 200 || status >= 300) {
      const bool maySpendQuota = status == 402 || status == 403 || status == 429;
      return errorOfStatus(status, quotaSpent && maySpendQuota);
    }
    if (quotaSpent) return RouteErrc::quota_spent;
    if (named("rate_limit_error") || named("rate_limit_exceeded") || named("429"))
      return RouteErrc::throttled;
    if (named("invalid_request_error") || named("400")) return RouteErrc::model_refused;
    return RouteErrc::model_failed;
  }
};

}  // namespace lukhas
