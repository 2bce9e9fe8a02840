// ModelDelta: a piece of an answer that comes as a stream.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/route/model_reply.hpp"

namespace lukhas {

// What a model said since the delta before; members that it did not speak of are empty.
struct ModelDelta {
  ModelDelta() = default;

  std::string text;
  std::string thinking;
  std::vector<nlohmann::json> toolCalls;  // fragments of calls, as the model's protocol has them
  std::string finishReason;               // why it stopped, in its own word
  ModelUsage usage;                       // what it has counted so far; zero where it did not say

  // Content is what a caller acts on. A role, a ping, counts and the end are none.
  [[nodiscard]] bool hasContent() const noexcept {
    return !text.empty() || !thinking.empty() || !toolCalls.empty();
  }
};

}  // namespace lukhas
