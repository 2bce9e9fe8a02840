// AnthropicStreamReader: messages of Anthropic's protocol that come as server-sent events.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/route/detail/read_anthropic_usage.hpp"
#include "lukhas/route/detail/read_fault.hpp"
#include "lukhas/route/model_delta.hpp"
#include "lukhas/route/provider_answer.hpp"
#include "lukhas/route/sse_parser.hpp"

namespace lukhas {

// Events in, deltas out. The event's name says what it is; `ping`, and names that are not known, are skipped.
class AnthropicStreamReader {
 public:
  // Appends what the event says. A fault ends the stream. Never throws on account of what the event holds.
  std::optional<ModelFault> read(const SseEvent& event, std::deque<ModelDelta>& deltas) {
    if (done_ || event.name == "ping") return std::nullopt;
    nlohmann::json said = detail::parseOutsideJson(event.data);
    const std::string type(event.name.empty() ? detail::textOf(detail::memberOf(said, "type"))
                                              : std::string(event.name));
    if (type == "error") return detail::readFault(200, said, event.data);
    if (!isKnown(type)) return std::nullopt;
    if (!said.is_object()) return detail::unreadable("the stream has an event that is not a JSON object");
    ModelDelta delta;
    if (type == "message_start") {
      takeUsage(detail::memberOf(detail::memberOf(said, "message"), "usage"), delta);
    } else if (type == "content_block_start") {
      beginBlock(detail::memberOf(said, "content_block"), delta);
    } else if (type == "content_block_delta") {
      continueBlock(detail::memberOf(said, "delta"), delta);
    } else if (type == "message_delta") {
      delta.finishReason = detail::textOf(detail::memberOf(detail::memberOf(said, "delta"), "stop_reason"));
      finished_ = finished_ || !delta.finishReason.empty();
      takeUsage(detail::memberOf(said, "usage"), delta);
    } else if (type == "message_stop") {
      done_ = true;
    }
    delta.event = std::move(said);
    deltas.push_back(std::move(delta));
    return std::nullopt;
  }

  // The model has said that this is the end: message_stop, or why it stopped.
  [[nodiscard]] bool isComplete() const noexcept { return done_ || finished_; }
  // Nothing can follow.
  [[nodiscard]] bool isDone() const noexcept { return done_; }

 private:
  static bool isKnown(std::string_view type) noexcept {
    constexpr std::string_view known[] = {"message_start",      "content_block_start", "content_block_delta",
                                          "content_block_stop", "message_delta",       "message_stop"};
    return std::find(std::begin(known), std::end(known), type) != std::end(known);
  }

  // Input is only counted at the beginning, output again and again.
  void takeUsage(const nlohmann::json& usage, ModelDelta& delta) {
    if (!usage.is_object()) return;
    const ModelUsage said = detail::readAnthropicUsage(usage);
    inputTokens_ = std::max(inputTokens_, said.inputTokens);
    delta.usage.inputTokens = inputTokens_;
    delta.usage.outputTokens = said.outputTokens;
    delta.usage.totalTokens = inputTokens_ + said.outputTokens;
  }

  void beginBlock(const nlohmann::json& block, ModelDelta& delta) {
    const std::string type = detail::textOf(detail::memberOf(block, "type"));
    delta.text = type == "text" ? detail::textOf(detail::memberOf(block, "text")) : std::string();
    if (type == "thinking") delta.thinking = detail::textOf(detail::memberOf(block, "thinking"));
    if (type != "tool_use") return;
    ++toolCalls_;
    delta.toolCalls.emplace_back(toolCalls_ - 1, detail::textOf(detail::memberOf(block, "id")),
                                 detail::textOf(detail::memberOf(block, "name")), std::string());
  }

  // Blocks come one after the other, so what is added to a call is added to the latest.
  void continueBlock(const nlohmann::json& added, ModelDelta& delta) const {
    const std::string type = detail::textOf(detail::memberOf(added, "type"));
    if (type == "text_delta") delta.text = detail::textOf(detail::memberOf(added, "text"));
    if (type == "thinking_delta") delta.thinking = detail::textOf(detail::memberOf(added, "thinking"));
    if (type != "input_json_delta" || toolCalls_ == 0) return;
    std::string arguments = detail::textOf(detail::memberOf(added, "partial_json"));
    if (!arguments.empty())
      delta.toolCalls.emplace_back(toolCalls_ - 1, std::string(), std::string(), std::move(arguments));
  }

  std::uint64_t inputTokens_ = 0;
  std::size_t toolCalls_ = 0;
  bool finished_ = false;
  bool done_ = false;
};

}  // namespace lukhas
