// ModelReply: what a model answered, in the same words whatever protocol it speaks.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/route/tool_call.hpp"

namespace lukhas {

// Tokens, as the model counted them; zero where it did not say. Those that it read from or wrote to a cache
// of prompts count as input.
struct ModelUsage {
  std::uint64_t inputTokens = 0;
  std::uint64_t outputTokens = 0;
  std::uint64_t totalTokens = 0;
};

class ModelReply {
 public:
  ModelReply() = default;
  ModelReply(nlohmann::json answer, std::string text, std::string finishReason, ModelUsage usage)
      : body(std::move(answer)),
        text_(std::move(text)),
        finishReason_(std::move(finishReason)),
        usage_(usage) {}

  std::string model;      // the id of the model that answered
  nlohmann::json body;    // the whole answer as it came: tool calls, further choices, unknown fields
  unsigned attempts = 1;  // how many it took, over all models
  // The tools that it wants to be called, and what it thought before it answered, where it says so.
  std::vector<ToolCall> toolCalls;
  std::string thinking;

  // What the model said; empty when it only called tools.
  [[nodiscard]] const std::string& text() const& noexcept { return text_; }
  [[nodiscard]] std::string text() && noexcept { return std::move(text_); }
  // Why it stopped, in its own word ("stop", "length", "tool_calls"); empty when it did not say.
  [[nodiscard]] const std::string& finishReason() const noexcept { return finishReason_; }
  [[nodiscard]] const ModelUsage& usage() const noexcept { return usage_; }

 private:
  std::string text_;
  std::string finishReason_;
  ModelUsage usage_;
};

}  // namespace lukhas
