// Asking a model once: key, request, answer.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <asio/awaitable.hpp>
#include <fmt/format.h>

#include "lukhas/async/environment.hpp"
#include "lukhas/route/detail/attempt_end.hpp"
#include "lukhas/route/detail/router_state.hpp"
#include "lukhas/route/provider.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/route/read_all.hpp"
#include "lukhas/route/transport.hpp"

namespace lukhas::detail {

inline constexpr std::size_t maxMessageBytes = 300;

// The key as it is now; empty when the model needs none.
inline std::string findApiKey(const ModelDescription& model) {
  if (!model.apiKey && model.apiKeyEnvironment.empty()) return {};
  std::string key;
  if (model.apiKey) {
    try {
      key = model.apiKey();
    } catch (...) {  // what it says may hold the key: only that there is none is told
    }
  } else if (const char* const value = std::getenv(model.apiKeyEnvironment.c_str())) {
    key = value;
  }
  key = trimmed(key);  // blanks at the ends are no part of a header's value, and so of no key that comes back
  const auto isControl = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (key.empty() || std::any_of(key.begin(), key.end(), isControl)) {
    throw Error(
        RouteErrc::api_key_unavailable,
        fmt::format("model {}: there is no API key, or it has control characters", quotedText(model.id, 256)),
        {{"modelId", model.id}});
  }
  return key;
}

inline void takeAnswer(AttemptEnd& end, ModelAnswer answer, std::string_view key) {
  if (ModelReply* const reply = std::get_if<ModelReply>(&answer)) {
    end.reply = std::move(*reply);
    return;
  }
  const ModelFault& fault = std::get<ModelFault>(answer);
  end.message = cleanText(fault.message, maxMessageBytes, key);
  const bool refusedByStatus = end.facts.status < 200 || end.facts.status >= 300;
  if (refusedByStatus) {
    end.facts.quotaSpent = fault.code == RouteErrc::quota_spent;
  } else {
    end.facts.error = fault.code;
  }
}

// Of the facts that a transport's error has, those that RouteErrc documents: what else stands there was
// written by whoever wrote the transport.
inline void takeFailure(AttemptEnd& end, const std::system_error& error, std::string_view key) {
  end.facts.error = error.code();
  end.message = cleanText(error.what(), maxMessageBytes, key);
  const auto* const known = dynamic_cast<const Error*>(&error);
  if (known == nullptr) return;
  const nlohmann::json& maximum = memberOf(known->details(), "maximum");
  const nlohmann::json& cause = memberOf(known->details(), "cause");
  if (maximum.is_number()) end.details["maximum"] = maximum;
  if (cause.is_string()) end.details["cause"] = cleanText(textOf(cause), maxMessageBytes, key);
}

// Never throws what a model, a transport or a key's callback did: that is in the result. `place` is given
// back when the connection is at its end, so that the model never sees more than maxConcurrent. The body of
// an error is not read yet: see explainRefusal().
[[nodiscard]] inline asio::awaitable<AttemptEnd> askModel(std::shared_ptr<RouterState> state,
                                                          ModelPlace place, HttpRequest request) {
  const ModelRouterOptions& options = state->options;
  const RoutedModelPtr asked = place.model();
  const ModelDescription& model = asked->description;
  const ProviderFunctions& provider = providerOf(model);
  AttemptEnd end;
  std::string key;
  try {
    key = findApiKey(model);
    if (!key.empty()) provider.authorize(request, key);
    std::unique_ptr<HttpExchange> exchange = co_await options.transport->send(std::move(request));
    end.facts.status = exchange->status();
    end.facts.readHeaders([&exchange](std::string_view name) { return exchange->header(name); },
                          state->environment.wallNow());
    if (end.facts.status < 200 || end.facts.status >= 300) {
      end.refusal.emplace(std::move(place), std::move(key), std::move(exchange));
      co_return end;
    }
    const std::string body = co_await readAll(std::move(exchange), options.maxReplyBytes);
    takeAnswer(end, provider.readAnswer(end.facts.status, body), key);
  } catch (const std::system_error& error) {
    takeFailure(end, error, key);
  } catch (const std::exception& error) {
    end.facts.error = RouteErrc::transport_failed;
    end.message = cleanText(error.what(), maxMessageBytes, key);
    end.details["cause"] = end.message;
  } catch (...) {
    end.facts.error = RouteErrc::transport_failed;
  }
  place.release();
  co_return end;
}

// The next piece of a stream that has begun. It touches nothing but the connection: where that does not react
// to cancellation, this may outlast its caller.
[[nodiscard]] inline asio::awaitable<AttemptEnd> readPiece(std::shared_ptr<OpenedStream> stream) {
  AttemptEnd end;
  end.facts.status = stream->exchange->status();
  try {
    end.piece = co_await stream->exchange->read();
  } catch (const std::system_error& error) {
    takeFailure(end, error, stream->key);
  } catch (...) {
    end.facts.error = RouteErrc::transport_failed;
  }
  co_return end;
}

// What the piece says goes to the stream's deltas; whether it breaks the stream, into `end`.
inline void takePiece(OpenedStream& stream, AttemptEnd& end) {
  if (end.facts.error) return;
  if (!end.piece.empty()) {
    std::optional<ModelFault> fault = stream.decoder->read(end.piece, stream.deltas);
    if (fault) takeAnswer(end, std::move(*fault), stream.key);
  } else if (!stream.decoder->isComplete()) {
    end.facts.error = RouteErrc::invalid_reply;
    end.message = "the stream ended before the model said that it was finished";
  } else {
    stream.exchange.reset();
  }
}

// The same for a stream, up to its first content; or to its end, when the model had nothing to say.
[[nodiscard]] inline asio::awaitable<AttemptEnd> askForStream(std::shared_ptr<RouterState> state,
                                                              ModelPlace place, HttpRequest request) {
  const RoutedModelPtr asked = place.model();
  const ModelDescription& model = asked->description;
  const ProviderFunctions& provider = providerOf(model);
  AttemptEnd end;
  std::string key;
  std::shared_ptr<OpenedStream> stream;
  try {
    key = findApiKey(model);
    if (!key.empty()) provider.authorize(request, key);
    std::unique_ptr<HttpExchange> exchange = co_await state->options.transport->send(std::move(request));
    end.facts.status = exchange->status();
    end.facts.readHeaders([&exchange](std::string_view name) { return exchange->header(name); },
                          state->environment.wallNow());
    if (end.facts.status < 200 || end.facts.status >= 300) {
      end.refusal.emplace(std::move(place), std::move(key), std::move(exchange));
      co_return end;
    }
    stream = std::make_shared<OpenedStream>(std::move(place), std::move(key), provider.makeDecoder(),
                                            std::move(exchange));
  } catch (const std::system_error& error) {
    takeFailure(end, error, key);
  } catch (...) {
    end.facts.error = RouteErrc::transport_failed;
  }
  if (!stream) co_return end;
  const auto hasContent = [&stream] {
    return std::any_of(stream->deltas.begin(), stream->deltas.end(),
                       [](const ModelDelta& delta) { return delta.hasContent(); });
  };
  std::size_t read = 0;
  while (!hasContent() && stream->exchange && !stream->decoder->isDone()) {
    AttemptEnd piece = co_await readPiece(stream);
    takePiece(*stream, piece);
    if (piece.facts.error) {
      piece.facts.retryAfter = end.facts.retryAfter;
      piece.facts.shouldRetry = end.facts.shouldRetry;
      co_return piece;
    }
    if (stream->deltas.size() > 1000) stream->deltas.pop_front();  // of no content: only a bound
    if (++read % 1000 == 0) co_await state->environment.sleepFor(Duration::zero());
  }
  end.stream = std::move(stream);
  co_return end;
}

// Reads what explains a status that is known already; losing it on the way changes nothing.
[[nodiscard]] inline asio::awaitable<AttemptEnd> readRefusal(std::shared_ptr<RouterState> state,
                                                             AttemptEnd end) {
  RefusedAttempt refusal = std::move(*end.refusal);
  end.refusal.reset();
  std::string body;
  try {
    body = co_await readBeginning(std::move(refusal.exchange), state->options.maxErrorBytes);
  } catch (...) {
  }
  const ProviderFunctions& provider = providerOf(refusal.place.model()->description);
  takeAnswer(end, provider.readAnswer(end.facts.status, body), refusal.key);
  refusal.place.release();
  co_return end;
}

}  // namespace lukhas::detail
