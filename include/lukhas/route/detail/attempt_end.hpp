// AttemptEnd: what came of asking a model once.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/route/detail/model_place.hpp"
#include "lukhas/route/detail/opened_stream.hpp"
#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/outcome_classifier.hpp"
#include "lukhas/route/transport.hpp"

namespace lukhas::detail {

// An answer whose status says that it is none, and whose body has not been read.
struct RefusedAttempt {
  RefusedAttempt(ModelPlace taken, std::string secret, std::unique_ptr<HttpExchange> answer) noexcept
      : place(std::move(taken)), key(std::move(secret)), exchange(std::move(answer)) {}

  ModelPlace place;
  std::string key;
  std::unique_ptr<HttpExchange> exchange;  // last: the connection ends before the place is given back
};

struct AttemptEnd {
  AttemptFacts facts;
  std::optional<ModelReply> reply;  // only when the facts are a success
  std::string message;              // why not, in the model's or the transport's words, without the key
  nlohmann::json details;           // what RouteErrc promises of this code; null: nothing
  std::optional<RefusedAttempt> refusal;
  std::string piece;                     // of a stream that goes on: what came; empty: its end
  std::shared_ptr<OpenedStream> stream;  // of a stream: only when its first content has come
};

}  // namespace lukhas::detail
