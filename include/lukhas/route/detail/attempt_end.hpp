// AttemptEnd: what came of asking a model once.
#pragma once

#include <optional>
#include <string>

#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/outcome_classifier.hpp"

namespace lukhas::detail {

struct AttemptEnd {
  AttemptFacts facts;
  std::optional<ModelReply> reply;  // only when the facts are a success
  std::string message;              // why not, in the model's or the transport's words, without the key
};

}  // namespace lukhas::detail
