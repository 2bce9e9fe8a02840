// AnthropicProvider: messages as Anthropic defined them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/route/anthropic_stream_reader.hpp"
#include "lukhas/route/delivery.hpp"
#include "lukhas/route/detail/read_anthropic_usage.hpp"
#include "lukhas/route/detail/read_fault.hpp"
#include "lukhas/route/detail/write_body.hpp"
#include "lukhas/route/http_message.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas {

// Of an answer, the array `content` is required; what is not known in it stays in ModelReply::body.
struct AnthropicProvider {
  static constexpr ModelProtocol form = ModelProtocol::anthropic;
  using StreamReader = AnthropicStreamReader;
  // The version of the protocol that this speaks.
  static constexpr const char* version = "2023-06-01";

  // POST {url}/messages with the context as it is, but for `model`, which is the model's name, `stream`, and
  // `max_tokens` where the context has none: the protocol demands it, so ModelDescription::maxOutputTokens.
  static HttpRequest makeRequest(const ModelDescription& model, const nlohmann::json& context,
                                 Delivery delivery = Delivery::whole) {
    const bool streamed = delivery == Delivery::stream;
    std::string own = "\"model\":" + detail::writeJson(model.modelName.empty() ? model.id : model.modelName);
    if (streamed) own += R"(,"stream":true)";
    if (!context.contains("max_tokens")) own += fmt::format(R"(,"max_tokens":{})", model.maxOutputTokens);
    HttpRequest request(detail::pathBelow(model.url, "/messages"),
                        detail::writeBody(context, own, {"model", "stream"}));
    request.headers.push_back({"Content-Type", "application/json"});
    request.headers.push_back({"Accept", streamed ? "text/event-stream" : "application/json"});
    request.headers.push_back({"anthropic-version", version});
    return request;
  }

  static void authorize(HttpRequest& request, std::string_view key) {
    request.headers.push_back({"x-api-key", std::string(key)});
  }

  static ModelAnswer readAnswer(int status, std::string_view text) {
    std::variant<nlohmann::json, ModelFault> read = detail::readObject(status, text);
    if (ModelFault* const fault = std::get_if<ModelFault>(&read)) return std::move(*fault);
    nlohmann::json& body = std::get<nlohmann::json>(read);
    const nlohmann::json& content = detail::memberOf(body, "content");
    if (!content.is_array()) return detail::unreadable("the answer has no content");
    std::string words;
    std::string thinking;
    std::vector<ToolCall> calls;
    for (const nlohmann::json& block : content) {
      const std::string type = detail::textOf(detail::memberOf(block, "type"));
      if (type == "text") words += detail::textOf(detail::memberOf(block, "text"));
      if (type == "thinking") thinking += detail::textOf(detail::memberOf(block, "thinking"));
      if (type == "tool_use") {
        calls.emplace_back(detail::textOf(detail::memberOf(block, "id")),
                           detail::textOf(detail::memberOf(block, "name")),
                           detail::memberOf(block, "input").dump());
      }
    }
    std::string finishReason = detail::textOf(detail::memberOf(body, "stop_reason"));
    if (content.empty() && finishReason.empty())
      return detail::unreadable("the answer has no content, and no reason for that");
    const ModelUsage tokens = detail::readAnthropicUsage(detail::memberOf(body, "usage"));
    ModelReply reply(std::move(body), std::move(words), std::move(finishReason), tokens);
    reply.toolCalls = std::move(calls);
    reply.thinking = std::move(thinking);
    return reply;
  }
};

}  // namespace lukhas
