// RouteCall: one request on its way through the router, and the error that it may end in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/world.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/route/anthropic_form.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/model_router_options.hpp"
#include "lukhas/route/openai_form.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/route/route_machine.hpp"

namespace lukhas::detail {

// What is told of an attempt that failed.
struct AttemptNote {
  std::string model;
  std::error_code error;
  int status = 0;  // 0: there was no answer
  Duration took{};
  std::string message;     // the model's or the transport's own words, bounded and without the key
  nlohmann::json details;  // what RouteErrc promises of the code; null: nothing
};

struct RouteCall {
  RouteCall(RouteRequest asked, std::uint64_t number, RouteMachine decisions)
      : request(std::move(asked)), arrival(number), machine(std::move(decisions)) {}

  // The conversation in the form that a protocol wants. Throws RouteErrc::not_expressible.
  [[nodiscard]] const nlohmann::json& contextIn(ModelProtocol form) {
    if (form == request.form()) return context();
    if (!converted_)
      converted_ = form == ModelProtocol::anthropic ? toAnthropicForm(context()) : toOpenAiForm(context());
    return *converted_;
  }
  [[nodiscard]] const nlohmann::json& context() const noexcept {
    return continued_ ? *continued_ : request.context();
  }
  // From now on this is asked.
  void goOnWith(nlohmann::json context) {
    continued_ = std::move(context);
    converted_.reset();
  }

  const RouteRequest request;
  const std::uint64_t arrival;  // older requests are served first
  RouteMachine machine;
  bool paid = false;               // the retry budget has paid for the next attempt
  std::vector<AttemptNote> notes;  // one for each attempt; they are as few as maxAttempts

 private:
  std::optional<nlohmann::json> continued_;
  std::optional<nlohmann::json> converted_;
};

// "model_failed" for the router's own codes, "system:111" for others.
[[nodiscard]] inline std::string outcomeName(const std::error_code& error) {
  if (error.category() == make_error_code(RouteErrc{}).category())
    return toString(static_cast<RouteErrc>(error.value()));
  return fmt::format("{}:{}", error.category().name(), error.value());
}

[[nodiscard]] inline nlohmann::json attemptsToJson(const std::vector<AttemptNote>& notes) {
  nlohmann::json list = nlohmann::json::array();
  for (const AttemptNote& note : notes) {
    nlohmann::json entry;
    entry["model"] = note.model;
    entry["outcome"] = outcomeName(note.error);
    entry["status"] = note.status;
    entry["ms"] = toMilliseconds(note.took);
    if (!note.message.empty()) entry["message"] = note.message;
    if (note.details.is_object()) entry.update(note.details);
    list.push_back(std::move(entry));
  }
  return list;
}

[[nodiscard]] inline std::string lastAttemptText(const std::vector<AttemptNote>& notes) {
  if (notes.empty()) return {};
  const AttemptNote& last = notes.back();
  std::string text = fmt::format("; attempt {} at {} ended with {}", notes.size(),
                                 quotedText(last.model, 256), outcomeName(last.error));
  if (last.status != 0) text += fmt::format(", status {}", last.status);
  if (!last.message.empty()) text += ", " + quotedText(last.message, 200);
  return text;
}

[[nodiscard]] inline std::int64_t wholeMilliseconds(Duration duration) noexcept {
  return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

// What a request that cannot be answered ends with.
[[nodiscard]] inline Error routeFailure(const RouteCall& call, const RouteStep& step,
                                        const ModelRouterOptions& options) {
  nlohmann::json details;
  details["requestId"] = call.request.id();
  details["attempts"] = attemptsToJson(call.notes);
  if (!call.notes.empty() && call.notes.back().status != 0) details["status"] = call.notes.back().status;
  if (step.error == RouteErrc::deadline_exceeded) details["deadlineMs"] = wholeMilliseconds(options.deadline);
  if (step.error == RouteErrc::attempts_exhausted) details["maxAttempts"] = options.maxAttempts;
  const bool byAttempt = !call.notes.empty() && call.notes.back().error == step.error;
  if (byAttempt) {
    details["modelId"] = call.notes.back().model;
    if (call.notes.back().details.is_object()) details.update(call.notes.back().details);
  } else if (step.error == RouteErrc::overloaded) {
    details["maximum"] = options.maxQueued;
  }
  if (step.error == RouteErrc::no_capable_model)
    details["requirements"] = call.request.requirements().names();
  std::string message =
      fmt::format("request {}: {}", quotedText(call.request.id(), 256), step.error.message());
  // A circuit that was opened by hand has no next trial.
  const bool unknownWait =
      step.error == RouteErrc::all_circuits_open && step.tooLong > std::chrono::hours(24);
  if (step.tooLong && !unknownWait) {
    const std::int64_t waitMs = wholeMilliseconds(*step.tooLong);
    const bool byDeadline = step.error == RouteErrc::deadline_exceeded;
    details[byDeadline ? "waitMs" : "retryAfterMs"] = waitMs;
    message += fmt::format("; the wait would have been {} ms", waitMs);
  }
  if (step.error == RouteErrc::no_capable_model) {
    message += fmt::format(": {}", nlohmann::json(call.request.requirements().names()).dump());
  }
  message += lastAttemptText(call.notes);
  return {step.error, std::move(message), std::move(details)};
}

[[nodiscard]] inline Error routerClosed() {
  return {Errc::closed, "the model router was destroyed while the request was under way"};
}

}  // namespace lukhas::detail
