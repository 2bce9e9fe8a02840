// ModelDelta: a piece of an answer that comes as a stream.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/tool_call.hpp"

namespace lukhas {

// What a model said since the delta before; members that it did not speak of are empty.
//
// Every event of the stream gives one, but for those that only keep the connection alive; so there are deltas
// without content, such as the one that only names the role.
struct ModelDelta {
  ModelDelta() = default;

  std::string text;
  std::string thinking;
  std::string refusal;                   // why it does not answer, where the protocol has a place for that
  std::vector<ToolCallPiece> toolCalls;  // what is added to calls of tools
  std::string finishReason;              // why it stopped, in its own word
  ModelUsage usage;                      // what it has counted so far; zero where it did not say
  nlohmann::json event;                  // the event as it came, with all that is not known here

  // Content is what a caller acts on. A role, a ping, counts and the end are none.
  [[nodiscard]] bool hasContent() const noexcept {
    return !text.empty() || !thinking.empty() || !refusal.empty() || !toolCalls.empty();
  }
};

}  // namespace lukhas
