// askToContinue: the question that a broken stream goes on with at another model.
#pragma once

#include <string>
#include <utility>

#include <nlohmann/json.hpp>

namespace lukhas {

// For ModelRouterOptions::continueStream. The conversation with what was said so far as the model's own turn,
// and the wish that it goes on from there. Both protocols' forms have these two messages alike, and every
// model takes them; a last turn of the model's own, to be completed, is refused by many.
//
//   lukhas::ModelRouter router{environment,
//                              {.transport = transport, .continueStream = lukhas::askToContinue}};
[[nodiscard]] inline nlohmann::json askToContinue(const nlohmann::json& context, const std::string& said) {
  nlohmann::json longer = context;
  nlohmann::json& messages = longer["messages"];
  messages.push_back({{"role", "assistant"}, {"content", said}});
  messages.push_back({{"role", "user"},
                      {"content",
                       "Your last message was cut off. Continue it exactly where it ends. Repeat "
                       "nothing of it, and say nothing about the interruption."}});
  return longer;
}

}  // namespace lukhas
