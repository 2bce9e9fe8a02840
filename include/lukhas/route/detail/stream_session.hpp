// StreamSession: what a ModelStream holds: one answer from its first content to its end.
#pragma once

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <asio/awaitable.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/route/circuit_breaker.hpp"
#include "lukhas/route/detail/attempts.hpp"
#include "lukhas/route/detail/judge_attempt.hpp"
#include "lukhas/route/detail/opened_stream.hpp"
#include "lukhas/route/detail/partial_answer.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/model_delta.hpp"

namespace lukhas::detail {

// Nothing runs here between two calls of next(): the transport's own bound is the back-pressure.
class StreamSession {
 public:
  StreamSession(std::shared_ptr<RouterState> state, std::unique_ptr<RouteCall> call, Answered answered,
                TimePoint began)
      : state_(std::move(state)),
        call_(std::move(call)),
        firstContent_(state_->environment.now() - began),
        limit_(state_->options.streamLimit == Duration::zero()
                   ? TimePoint::max()
                   : Environment::saturatingAdd(began, state_->options.streamLimit)),
        source_(*state_, std::move(answered)),
        partial_(state_->options.maxPartialBytes) {}
  StreamSession(const StreamSession&) = delete;
  StreamSession& operator=(const StreamSession&) = delete;
  ~StreamSession() { leave(); }

  [[nodiscard]] const std::string& modelId() const noexcept { return source_.model->description.id; }
  [[nodiscard]] unsigned attempts() const noexcept { return call_->machine.attempts() + 1; }

  static asio::awaitable<std::optional<ModelDelta>> next(std::shared_ptr<StreamSession> self) {
    if (!self->ended_ && self->state_->closed())
      self->end(std::make_exception_ptr(routerClosed()), Errc::closed);
    while (!self->ended_) {
      OpenedStream& stream = *self->source_.stream;
      if (!stream.deltas.empty()) co_return self->handOver();
      if (self->broken_) {
        co_await self->goOn();
      } else if (stream.decoder->isComplete() && (!stream.exchange || self->endAwaited_)) {
        self->succeed();
      } else {
        co_await self->readMore();
      }
    }
    if (self->failure_) std::rethrow_exception(self->failure_);
    co_return std::nullopt;
  }

 private:
  // The model that speaks at this time.
  struct Source {
    Source(const RouterState& state, Answered answered)
        : model(std::move(answered.model)),
          permit(std::move(answered.permit)),
          began(permit.began()),
          waited(state.environment.now() - began),
          stream(std::move(answered.end.stream)) {}

    RoutedModelPtr model;
    CircuitBreaker::Permit permit;
    TimePoint began;
    Duration waited;                       // until its first content
    std::shared_ptr<OpenedStream> stream;  // empty once it has ended, in whatever way
  };

  ModelDelta handOver() {
    ModelDelta delta = std::move(source_.stream->deltas.front());
    source_.stream->deltas.pop_front();
    partial_.add(delta);
    usage_.inputTokens = std::max(usage_.inputTokens, delta.usage.inputTokens);
    usage_.outputTokens = std::max(usage_.outputTokens, delta.usage.outputTokens);
    reportTrial();
    return delta;
  }
  // A trial's place is only kept for trialTimeout. A stream that has gone on well for half of that has shown
  // what a trial is to show; were its end waited for, long streams could never close a circuit.
  void reportTrial() {
    if (!source_.permit.isTrial()) return;
    if (state_->environment.now() - source_.began >= state_->options.breaker.trialTimeout / 2)
      source_.permit.record(CircuitOutcome::success, source_.waited);
  }

  asio::awaitable<void> readMore() {
    const std::shared_ptr<RouterState> state = state_;
    const bool ending = source_.stream->decoder->isDone();
    endAwaited_ = ending;
    const Duration between = ending ? abortGrace : Duration(source_.model->description.betweenTokensTimeout);
    if (ending || !waitUntil_) waitUntil_ = std::min(state->environment.after(between), limit_);
    ChildTask<AttemptEnd> reading(state->environment, readPiece(source_.stream));
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
    takePiece(*source_.stream, *piece);
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
    const std::deque<ModelDelta>& deltas = source_.stream->deltas;
    return std::any_of(deltas.begin(), deltas.end(),
                       [](const ModelDelta& delta) { return delta.hasContent(); });
  }

  void succeed() {
    source_.permit.record(CircuitOutcome::success, source_.waited);
    state_->addUsage(*source_.model, usage_);
    state_->succeeded(firstContent_);
    ended_ = true;
    source_.stream.reset();
  }

  // After the stream broke: at another model, if it can be, or not at all.
  asio::awaitable<void> goOn() {
    if (state_->closed()) {
      end(std::make_exception_ptr(routerClosed()), Errc::closed);
      co_return;
    }
    AttemptEnd broken = std::move(*broken_);
    broken_.reset();
    const Verdict verdict = judgeAttempt(state_->options, broken.facts);
    const bool overall = verdict.error == RouteErrc::deadline_exceeded;  // it went on as it should
    source_.permit.record(overall ? CircuitOutcome::neutral : verdict.health, source_.waited);
    const Duration took = state_->environment.now() - source_.began;
    std::optional<nlohmann::json> question = questionAfter(verdict);
    if (question) state_->settle(*call_, *source_.model, verdict, broken, took);
    call_->notes.push_back({modelId(), verdict.error, broken.facts.status, took, std::move(broken.message),
                            std::move(broken.details)});
    if (!question) {
      interrupt(verdict.error);
      co_return;
    }
    state_->addUsage(*source_.model, usage_);
    usage_ = {};
    source_.stream.reset();  // the model's place is free before another one is asked
    call_->goOnWith(std::move(*question));
    call_->machine.prolong(std::min(state_->environment.after(state_->options.deadline), limit_));
    std::exception_ptr failure;
    std::error_code code;
    try {
      Answered answered = co_await attemptUntilAnswered(state_, *call_, Delivery::stream);
      source_ = Source(*state_, std::move(answered));
      waitUntil_.reset();
      endAwaited_ = false;
      state_->countContinuation();
      co_return;
    } catch (const std::system_error& error) {
      failure = std::current_exception();
      code = error.code();
    } catch (...) {
      failure = std::current_exception();
    }
    if (isCancellation(code) || code == Errc::closed) {
      end(failure, code);
    } else {
      interrupt(verdict.error);
    }
  }
  // What another model is asked, if one may be.
  [[nodiscard]] std::optional<nlohmann::json> questionAfter(const Verdict& verdict) const {
    const ModelRouterOptions& options = state_->options;
    const bool mayHelp = verdict.action == RouteAction::retry || verdict.action == RouteAction::fail_over;
    if (!options.continueStream || !mayHelp || !partial_.canBeContinued()) return std::nullopt;
    const nlohmann::json& context = call_->request.context();
    if (partial_.text().empty()) return context;
    try {
      return options.continueStream(context, partial_.text());
    } catch (...) {
      return std::nullopt;
    }
  }

  void interrupt(const std::error_code& cause) {
    nlohmann::json details;
    details["requestId"] = call_->request.id();
    details["attempts"] = attemptsToJson(call_->notes);
    details["modelId"] = modelId();
    details["cause"] = outcomeName(cause);
    partial_.describe(details);
    std::string message = fmt::format("request {}: {}", quotedText(call_->request.id(), 256),
                                      make_error_code(RouteErrc::stream_interrupted).message());
    message += lastAttemptText(call_->notes);
    end(std::make_exception_ptr(Error(RouteErrc::stream_interrupted, std::move(message), std::move(details))),
        RouteErrc::stream_interrupted);
  }

  void end(std::exception_ptr failure, std::error_code code) {
    failure_ = std::move(failure);
    ended_ = true;
    state_->failed(code);
    source_.permit.record(CircuitOutcome::neutral);
    source_.stream.reset();
  }
  // The caller wants no more of it.
  void leave() {
    if (!ended_) end({}, asio::error::operation_aborted);
  }

  const std::shared_ptr<RouterState> state_;
  const std::unique_ptr<RouteCall> call_;
  const Duration firstContent_;  // from the request, over all attempts
  const TimePoint limit_;        // of the whole stream
  Source source_;
  std::optional<AttemptEnd> broken_;    // how it broke; told when all that came before is handed over
  std::optional<TimePoint> waitUntil_;  // for the next content
  bool endAwaited_ = false;
  bool ended_ = false;
  ModelUsage usage_;  // the latest that the model counted
  PartialAnswer partial_;
  std::exception_ptr failure_;
};

}  // namespace lukhas::detail
