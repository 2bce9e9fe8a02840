// StreamSession: what a ModelStream holds: one answer from its first content to its end.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/route/circuit_breaker.hpp"
#include "lukhas/route/detail/abortable_attempt.hpp"
#include "lukhas/route/detail/ask_model.hpp"
#include "lukhas/route/detail/judge_attempt.hpp"
#include "lukhas/route/detail/opened_stream.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/model_delta.hpp"

namespace lukhas::detail {

// Nothing runs here between two calls of next(): the transport's own bound is the back-pressure.
class StreamSession {
 public:
  StreamSession(std::shared_ptr<RouterState> state, std::unique_ptr<RouteCall> call,
                CircuitBreaker::Permit permit, std::shared_ptr<OpenedStream> stream, RoutedModelPtr model,
                TimePoint began)
      : state_(std::move(state)),
        call_(std::move(call)),
        model_(std::move(model)),
        began_(began),
        firstContent_(state_->environment.now() - began),
        waited_(state_->environment.now() - permit.began()),
        limit_(state_->options.streamLimit == Duration::zero()
                   ? TimePoint::max()
                   : Environment::saturatingAdd(began, state_->options.streamLimit)),
        permit_(std::move(permit)),
        stream_(std::move(stream)) {}
  StreamSession(const StreamSession&) = delete;
  StreamSession& operator=(const StreamSession&) = delete;
  ~StreamSession() { leave(); }

  [[nodiscard]] const std::string& modelId() const noexcept { return model_->description.id; }
  [[nodiscard]] unsigned attempts() const noexcept { return call_->machine.attempts() + 1; }

  static asio::awaitable<std::optional<ModelDelta>> next(std::shared_ptr<StreamSession> self) {
    if (self->stream_ && self->state_->closed())
      self->end(std::make_exception_ptr(routerClosed()), Errc::closed);
    while (self->stream_) {
      OpenedStream& stream = *self->stream_;
      if (!stream.deltas.empty()) co_return self->handOver();
      if (self->broken_) {
        self->interrupt();
      } else if (stream.reader.isComplete() && (!stream.exchange || self->endAwaited_)) {
        self->succeed();
      } else {
        co_await self->readMore();
      }
    }
    if (self->failure_) std::rethrow_exception(self->failure_);
    co_return std::nullopt;
  }

 private:
  ModelDelta handOver() {
    ModelDelta delta = std::move(stream_->deltas.front());
    stream_->deltas.pop_front();
    const std::size_t room =
        state_->options.maxPartialBytes - std::min(state_->options.maxPartialBytes, said_.size());
    if (!partCut_) {
      said_ += cutText(delta.text, room);
      partCut_ = delta.text.size() > room;
    }
    usage_.inputTokens = std::max(usage_.inputTokens, delta.usage.inputTokens);
    usage_.outputTokens = std::max(usage_.outputTokens, delta.usage.outputTokens);
    reportTrial();
    return delta;
  }
  // At most so many bytes, and no half of a character.
  static std::string_view cutText(std::string_view text, std::size_t most) noexcept {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
    return text.substr(0, most);
  }
  // A trial's place is only kept for trialTimeout. A stream that has gone on well for half of that has shown
  // what a trial is to show; were its end waited for, long streams could never close a circuit.
  void reportTrial() {
    if (!permit_.isTrial()) return;
    if (state_->environment.now() - permit_.began() >= state_->options.breaker.trialTimeout / 2)
      permit_.record(CircuitOutcome::success, waited_);
  }

  asio::awaitable<void> readMore() {
    const std::shared_ptr<RouterState> state = state_;
    const bool ending = stream_->reader.isDone();
    endAwaited_ = ending;
    const Duration between = ending ? abortGrace : Duration(model_->description.betweenTokensTimeout);
    if (ending || !waitUntil_) waitUntil_ = std::min(state->environment.after(between), limit_);
    ChildTask<AttemptEnd> reading(state->environment, readPiece(stream_));
    const AbortableAttempt abortable(state, reading);
    std::optional<AttemptEnd> piece;
    std::exception_ptr left;
    try {
      piece = co_await reading.joinUntil(*waitUntil_);
    } catch (...) {
      left = std::current_exception();
    }
    if (left) {
      end(left, asio::error::operation_aborted);
      std::rethrow_exception(left);
    }
    if (!piece) {
      if (!ending) broken_ = stalled(between);  // before anything else is awaited: the caller may leave
      reading.cancel();
      if (!ending) (void)co_await reading.joinUntil(state->environment.after(abortGrace));
      co_return;
    }
    takePiece(*stream_, *piece);
    if (!ending && piece->facts.error) broken_ = std::move(*piece);
    if (hasContent()) waitUntil_.reset();
  }
  // How a stream broke that said nothing until *waitUntil_.
  [[nodiscard]] AttemptEnd stalled(Duration between) const {
    const bool total = *waitUntil_ == limit_;
    AttemptEnd end;
    end.facts.status = 200;
    end.facts.error = total ? RouteErrc::deadline_exceeded : RouteErrc::attempt_timed_out;
    end.details["limitMs"] = wholeMilliseconds(total ? state_->options.streamLimit : between);
    return end;
  }
  [[nodiscard]] bool hasContent() const {
    return std::any_of(stream_->deltas.begin(), stream_->deltas.end(),
                       [](const ModelDelta& delta) { return delta.hasContent(); });
  }

  void succeed() {
    permit_.record(CircuitOutcome::success, waited_);
    state_->addUsage(*model_, usage_);
    state_->succeeded(firstContent_);
    stream_.reset();
  }

  void interrupt() {
    if (state_->closed()) return end(std::make_exception_ptr(routerClosed()), Errc::closed);
    const Verdict verdict = judgeAttempt(state_->options, broken_->facts);
    const bool overall = verdict.error == RouteErrc::deadline_exceeded;  // it went on as it should
    permit_.record(overall ? CircuitOutcome::neutral : verdict.health, waited_);
    call_->notes.push_back({modelId(), verdict.error, broken_->facts.status,
                            state_->environment.now() - began_, std::move(broken_->message),
                            std::move(broken_->details)});
    nlohmann::json details;
    details["requestId"] = call_->request.id();
    details["attempts"] = attemptsToJson(call_->notes);
    details["modelId"] = modelId();
    details["cause"] = outcomeName(verdict.error);
    details["text"] = said_;
    details["textCut"] = partCut_;
    std::string message = fmt::format("request {}: {}", quotedText(call_->request.id(), 256),
                                      make_error_code(RouteErrc::stream_interrupted).message());
    message += lastAttemptText(call_->notes);
    end(std::make_exception_ptr(Error(RouteErrc::stream_interrupted, std::move(message), std::move(details))),
        RouteErrc::stream_interrupted);
  }

  void end(std::exception_ptr failure, std::error_code code) {
    failure_ = std::move(failure);
    state_->failed(code);
    permit_.record(CircuitOutcome::neutral);
    stream_.reset();
  }
  // The caller wants no more of it.
  void leave() {
    if (stream_) end({}, asio::error::operation_aborted);
  }

  const std::shared_ptr<RouterState> state_;
  const std::unique_ptr<RouteCall> call_;
  const RoutedModelPtr model_;
  const TimePoint began_;
  const Duration firstContent_;  // from the request, over all attempts
  const Duration waited_;        // the same of the model alone
  const TimePoint limit_;        // of the whole stream
  CircuitBreaker::Permit permit_;
  std::shared_ptr<OpenedStream> stream_;  // empty once it has ended, in whatever way
  std::optional<AttemptEnd> broken_;      // how it broke; told when all that came before is handed over
  std::optional<TimePoint> waitUntil_;    // for the next content
  bool endAwaited_ = false;
  ModelUsage usage_;  // the latest that the model counted
  std::string said_;
  bool partCut_ = false;
  std::exception_ptr failure_;
};

}  // namespace lukhas::detail
