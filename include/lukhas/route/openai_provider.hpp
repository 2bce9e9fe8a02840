// OpenAiProvider: chat completions as OpenAI defined them and many servers speak them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/route/delivery.hpp"
#include "lukhas/route/detail/read_fault.hpp"
#include "lukhas/route/detail/write_body.hpp"
#include "lukhas/route/http_message.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/openai_stream_reader.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas {

// Of an answer, only what a caller needs is required: choices[0].message with its content, a refusal, or
// calls of tools. All else is optional, and read as absent when it has another type than documented: servers
// differ there.
struct OpenAiProvider {
  static constexpr ModelProtocol form = ModelProtocol::openai;
  using StreamReader = OpenAiStreamReader;

  // POST {url}/chat/completions with the context as it is, but for `model`, which is the model's name, and
  // `stream` with its `stream_options`, which are as `delivery` asks; a stream is to tell its usage.
  static HttpRequest makeRequest(const ModelDescription& model, const nlohmann::json& context,
                                 Delivery delivery = Delivery::whole) {
    const bool streamed = delivery == Delivery::stream;
    std::string own = "\"model\":" + detail::writeJson(model.modelName.empty() ? model.id : model.modelName);
    if (streamed) own += R"(,"stream":true,"stream_options":{"include_usage":true})";
    HttpRequest request(detail::pathBelow(model.url, "/chat/completions"),
                        detail::writeBody(context, own, {"model", "stream", "stream_options"}));
    request.headers.push_back({"Content-Type", "application/json"});
    request.headers.push_back({"Accept", streamed ? "text/event-stream" : "application/json"});
    return request;
  }

  static void authorize(HttpRequest& request, std::string_view key) {
    request.headers.push_back({"Authorization", "Bearer " + std::string(key)});
  }

  static ModelAnswer readAnswer(int status, std::string_view text) {
    std::variant<nlohmann::json, ModelFault> read = detail::readObject(status, text);
    if (ModelFault* const fault = std::get_if<ModelFault>(&read)) return std::move(*fault);
    nlohmann::json& body = std::get<nlohmann::json>(read);

    const nlohmann::json& choices = detail::memberOf(body, "choices");
    if (!choices.is_array() || choices.empty()) return detail::unreadable("the answer has no choices");
    const nlohmann::json& message = detail::memberOf(choices.front(), "message");
    if (!message.is_object()) return detail::unreadable("the answer has no message in its first choice");
    std::string finishReason = detail::textOf(detail::memberOf(choices.front(), "finish_reason"));
    if (!saysSomething(message, finishReason))
      return detail::unreadable("the answer has a message without content, refusal or tool calls");

    const nlohmann::json& usage = detail::memberOf(body, "usage");
    ModelUsage tokens;
    tokens.inputTokens = detail::countOf(detail::memberOf(usage, "prompt_tokens"));
    tokens.outputTokens = detail::countOf(detail::memberOf(usage, "completion_tokens"));
    tokens.totalTokens = detail::countOf(detail::memberOf(usage, "total_tokens"));
    std::string words = contentText(detail::memberOf(message, "content"));
    std::vector<ToolCall> calls = toolCallsOf(message);
    std::string thinking = detail::textOf(detail::memberOf(message, "reasoning_content"));
    if (thinking.empty()) thinking = detail::textOf(detail::memberOf(message, "reasoning"));
    ModelReply reply(std::move(body), std::move(words), std::move(finishReason), tokens);
    reply.toolCalls = std::move(calls);
    reply.thinking = std::move(thinking);
    return reply;
  }

 private:
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

  static std::vector<ToolCall> toolCallsOf(const nlohmann::json& message) {
    std::vector<ToolCall> list;
    const auto add = [&list](std::string id, const nlohmann::json& function) {
      list.emplace_back(std::move(id), detail::textOf(detail::memberOf(function, "name")),
                        detail::textOf(detail::memberOf(function, "arguments")));
    };
    const nlohmann::json& calls = detail::memberOf(message, "tool_calls");
    if (calls.is_array()) {
      for (const nlohmann::json& call : calls)
        add(detail::textOf(detail::memberOf(call, "id")), detail::memberOf(call, "function"));
    }
    const nlohmann::json& function = detail::memberOf(message, "function_call");
    if (function.is_object()) add({}, function);
    return list;
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
};

}  // namespace lukhas
