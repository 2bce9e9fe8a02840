// OpenAiStreamReader: chat completions that come as server-sent events.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/route/detail/read_fault.hpp"
#include "lukhas/route/model_delta.hpp"
#include "lukhas/route/provider_answer.hpp"
#include "lukhas/route/sse_parser.hpp"

namespace lukhas {

// Events in, deltas out. Of several choices the one with index 0 is read; the others stand in
// ModelDelta::event. Names of events say nothing in this protocol.
class OpenAiStreamReader {
 public:
  // Appends what the event says. A fault ends the stream. Never throws on account of what the event holds.
  std::optional<ModelFault> read(const SseEvent& event, std::deque<ModelDelta>& deltas) {
    if (done_) return std::nullopt;
    if (event.data == "[DONE]") {
      done_ = true;
      return std::nullopt;
    }
    nlohmann::json said = detail::parseOutsideJson(event.data);
    if (!said.is_object()) return detail::unreadable("the stream has an event that is not a JSON object");
    if (!detail::memberOf(said, "error").is_null()) return detail::readFault(200, said, event.data);
    ModelDelta delta;
    readChoice(firstChoice(detail::memberOf(said, "choices")), delta);
    const nlohmann::json& usage = detail::memberOf(said, "usage");
    delta.usage.inputTokens = detail::countOf(detail::memberOf(usage, "prompt_tokens"));
    delta.usage.outputTokens = detail::countOf(detail::memberOf(usage, "completion_tokens"));
    delta.usage.totalTokens = detail::countOf(detail::memberOf(usage, "total_tokens"));
    finished_ = finished_ || !delta.finishReason.empty();
    delta.event = std::move(said);
    deltas.push_back(std::move(delta));
    return std::nullopt;
  }

  // The model has said that this is the end: [DONE], or why it stopped.
  [[nodiscard]] bool isComplete() const noexcept { return done_ || finished_; }
  // Nothing can follow.
  [[nodiscard]] bool isDone() const noexcept { return done_; }

 private:
  static const nlohmann::json& firstChoice(const nlohmann::json& choices) {
    if (choices.is_array()) {
      for (const nlohmann::json& choice : choices) {
        if (detail::countOf(detail::memberOf(choice, "index")) == 0) return choice;
      }
    }
    return detail::memberOf(nullptr, "");
  }

  static void readChoice(const nlohmann::json& choice, ModelDelta& delta) {
    const nlohmann::json& said = detail::memberOf(choice, "delta");
    delta.text = detail::textOf(detail::memberOf(said, "content"));
    delta.thinking = detail::textOf(detail::memberOf(said, "reasoning_content"));
    if (delta.thinking.empty()) delta.thinking = detail::textOf(detail::memberOf(said, "reasoning"));
    delta.refusal = detail::textOf(detail::memberOf(said, "refusal"));
    delta.finishReason = detail::textOf(detail::memberOf(choice, "finish_reason"));
    const nlohmann::json& calls = detail::memberOf(said, "tool_calls");
    if (calls.is_array()) {
      for (const nlohmann::json& call : calls) {
        const nlohmann::json& function = detail::memberOf(call, "function");
        delta.toolCalls.emplace_back(detail::countOf(detail::memberOf(call, "index")),
                                     detail::textOf(detail::memberOf(call, "id")),
                                     detail::textOf(detail::memberOf(function, "name")),
                                     detail::textOf(detail::memberOf(function, "arguments")));
      }
    }
    const nlohmann::json& function = detail::memberOf(said, "function_call");
    if (function.is_object()) {
      delta.toolCalls.emplace_back(std::size_t{0}, std::string(),
                                   detail::textOf(detail::memberOf(function, "name")),
                                   detail::textOf(detail::memberOf(function, "arguments")));
    }
  }

  bool finished_ = false;
  bool done_ = false;
};

}  // namespace lukhas
