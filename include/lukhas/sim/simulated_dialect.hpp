// How a simulated model writes down what it says, in each protocol.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/route/model.hpp"

namespace lukhas::detail {

// One answer that a simulated server writes.
struct SimulatedWords {
  std::string model;
  std::string text;
  std::size_t number = 0;  // of the request
  std::int64_t secondsNow = 0;
  std::size_t inputTokens = 1;
  std::size_t outputTokens = 0;
};

[[nodiscard]] inline std::string_view simulatedPath(ModelProtocol protocol) noexcept {
  return protocol == ModelProtocol::anthropic ? "/messages" : "/chat/completions";
}

[[nodiscard]] inline nlohmann::json simulatedFault(ModelProtocol protocol, std::string_view type,
                                                   std::string_view message) {
  nlohmann::json error;
  error["message"] = message;
  error["type"] = type;
  if (protocol == ModelProtocol::anthropic) return {{"type", "error"}, {"error", std::move(error)}};
  error["param"] = nullptr;
  error["code"] = nullptr;
  return {{"error", std::move(error)}};
}

[[nodiscard]] inline std::string simulatedAnswer(ModelProtocol protocol, const SimulatedWords& words) {
  nlohmann::json answer;
  answer["model"] = words.model;
  if (protocol == ModelProtocol::anthropic) {
    answer["id"] = fmt::format("msg_{}", words.number);
    answer["type"] = "message";
    answer["role"] = "assistant";
    answer["content"] = nlohmann::json::array({{{"type", "text"}, {"text", words.text}}});
    answer["stop_reason"] = "end_turn";
    answer["stop_sequence"] = nullptr;
    answer["usage"] = {{"input_tokens", words.inputTokens}, {"output_tokens", words.outputTokens}};
    return answer.dump();
  }
  nlohmann::json choice;
  choice["index"] = 0;
  choice["message"] = {{"role", "assistant"}, {"content", words.text}};
  choice["finish_reason"] = "stop";
  answer["id"] = fmt::format("chatcmpl-{}", words.number);
  answer["object"] = "chat.completion";
  answer["created"] = words.secondsNow;
  answer["choices"] = nlohmann::json::array({std::move(choice)});
  answer["usage"] = {{"prompt_tokens", words.inputTokens},
                     {"completion_tokens", words.outputTokens},
                     {"total_tokens", words.inputTokens + words.outputTokens}};
  return answer.dump();
}

// The events of a stream: a beginning without content, the text in pieces, an end with the counts.
class SimulatedEvents {
 public:
  SimulatedEvents(ModelProtocol protocol, SimulatedWords words)
      : anthropic_(protocol == ModelProtocol::anthropic), words_(std::move(words)) {}

  [[nodiscard]] std::string beginning() const {
    if (!anthropic_) return ": a comment\n\n" + event(chunk({{"role", "assistant"}, {"content", ""}}));
    nlohmann::json message;
    message["id"] = fmt::format("msg_{}", words_.number);
    message["type"] = "message";
    message["role"] = "assistant";
    message["model"] = words_.model;
    message["content"] = nlohmann::json::array();
    message["usage"] = {{"input_tokens", words_.inputTokens}, {"output_tokens", 1}};
    return event({{"type", "message_start"}, {"message", std::move(message)}}) +
           event({{"type", "content_block_start"},
                  {"index", 0},
                  {"content_block", {{"type", "text"}, {"text", ""}}}}) +
           event({{"type", "ping"}});
  }
  [[nodiscard]] std::string piece(std::string_view text) const {
    if (!anthropic_) return event(chunk({{"content", text}}));
    return event(
        {{"type", "content_block_delta"}, {"index", 0}, {"delta", {{"type", "text_delta"}, {"text", text}}}});
  }
  [[nodiscard]] std::string end() const {
    if (anthropic_) {
      return event({{"type", "content_block_stop"}, {"index", 0}}) +
             event({{"type", "message_delta"},
                    {"delta", {{"stop_reason", "end_turn"}, {"stop_sequence", nullptr}}},
                    {"usage", {{"output_tokens", words_.outputTokens}}}}) +
             event({{"type", "message_stop"}});
    }
    nlohmann::json count = chunk(nlohmann::json::object());
    count["choices"] = nlohmann::json::array();
    count["usage"] = {{"prompt_tokens", words_.inputTokens},
                      {"completion_tokens", words_.outputTokens},
                      {"total_tokens", words_.inputTokens + words_.outputTokens}};
    return event(chunk(nlohmann::json::object(), "stop")) + event(count) + "data: [DONE]\n\n";
  }
  [[nodiscard]] std::string fault(std::string_view type) const {
    return event(simulatedFault(anthropic_ ? ModelProtocol::anthropic : ModelProtocol::openai, type,
                                "the simulated stream failed"));
  }

 private:
  [[nodiscard]] std::string event(const nlohmann::json& data) const {
    const std::string name =
        anthropic_ ? "event: " + data.at("type").get<std::string>() + "\n" : std::string();
    return name + "data: " + data.dump() + "\n\n";
  }
  [[nodiscard]] nlohmann::json chunk(nlohmann::json delta, nlohmann::json finish = nullptr) const {
    nlohmann::json choice;
    choice["index"] = 0;
    choice["delta"] = std::move(delta);
    choice["finish_reason"] = std::move(finish);
    nlohmann::json data;
    data["object"] = "chat.completion.chunk";
    data["model"] = words_.model;
    data["choices"] = nlohmann::json::array({std::move(choice)});
    return data;
  }

  bool anthropic_;
  SimulatedWords words_;
};

}  // namespace lukhas::detail
