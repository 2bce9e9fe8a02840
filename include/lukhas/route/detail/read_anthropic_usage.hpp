// The counts of tokens in Anthropic's protocol.
#pragma once

#include <nlohmann/json.hpp>

#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas::detail {

// There, what was written to or read from the cache of prompts is counted beside the input, not within it.
[[nodiscard]] inline ModelUsage readAnthropicUsage(const nlohmann::json& usage) {
  ModelUsage tokens;
  for (const char* const part : {"input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"})
    tokens.inputTokens += countOf(memberOf(usage, part));
  tokens.outputTokens = countOf(memberOf(usage, "output_tokens"));
  tokens.totalTokens = tokens.inputTokens + tokens.outputTokens;
  return tokens;
}

}  // namespace lukhas::detail
