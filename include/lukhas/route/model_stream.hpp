// ModelStream: an answer in pieces, as the model says them.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/core/error.hpp"
#include "lukhas/route/detail/stream_session.hpp"
#include "lukhas/route/model_delta.hpp"

namespace lukhas {

// What ModelRouter::routeStream() gives: the first content has come.
//
//   lukhas::ModelStream stream = co_await router.routeStream({"turn-1", context, {"chat"}});
//   while (std::optional<lukhas::ModelDelta> delta = co_await stream.next()) show(delta->text);
//
// next() gives the next delta, or nothing once the model has said that it is finished. A stream that breaks
// after that much was handed over, stalls for betweenTokensTimeout, or ends without its end, throws
// RouteErrc::stream_interrupted, whose details()["text"] is what came before; and throws the same again when
// it is asked again. All that came is handed over first. With ModelRouterOptions::continueStream the next
// model is asked to go on instead, and next() gives what that one says; model() tells who speaks.
//
// Back-pressure: nothing is read from the model that nobody has asked for, beyond the transport's buffer
// (HttpRequest::maxBufferedBytes). A slow reader is not held against the model: the time between two calls
// of next() counts for no limit but ModelRouterOptions::streamLimit.
//
// Destroying it, or cancelling next(), closes the connection, gives the model's place back, and says nothing
// to its circuit. When the router is destroyed, a next() that waits throws Errc::closed; the connection of a
// stream that nobody reads is closed with the next call or with the stream.
//
// Move-only. Used by one coroutine at a time; next() goes on on the caller's executor.
class ModelStream {
 public:
  explicit ModelStream(std::shared_ptr<detail::StreamSession> session) noexcept
      : session_(std::move(session)) {}
  ModelStream(ModelStream&&) noexcept = default;
  ModelStream& operator=(ModelStream&&) noexcept = default;
  ModelStream(const ModelStream&) = delete;
  ModelStream& operator=(const ModelStream&) = delete;
  ~ModelStream() = default;

  [[nodiscard]] asio::awaitable<std::optional<ModelDelta>> next() {
    return detail::StreamSession::next(session_);
  }

  // The id of the model that answers now.
  [[nodiscard]] const std::string& model() const noexcept { return session_->modelId(); }
  // How many attempts it took so far, over all models.
  [[nodiscard]] unsigned attempts() const noexcept { return session_->attempts(); }

 private:
  std::shared_ptr<detail::StreamSession> session_;
};

}  // namespace lukhas
