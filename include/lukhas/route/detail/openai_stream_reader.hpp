// OpenAiStreamReader: chat completions that come as server-sent events.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <nlohmann/json.hpp>

#include "lukhas/route/http_message.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/model_delta.hpp"
#include "lukhas/route/openai_provider.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas::detail {

// Bytes in, deltas out; pieces may be cut anywhere. An event ends with an empty line, a line with LF, CR or
// CRLF (WHATWG HTML, section 9.2.6). Comments, and fields other than `data`, say nothing here.
class OpenAiStreamReader {
 public:
  static constexpr std::size_t maxEventBytes = std::size_t{4} << 20U;

  static HttpRequest makeRequest(const ModelDescription& model, const nlohmann::json& context) {
    HttpRequest request = OpenAiProvider::makeRequest(model, context);
    request.body.insert(1, R"("stream":true,"stream_options":{"include_usage":true},)");
    for (HttpHeader& header : request.headers) {
      if (sameHeaderName(header.name, "accept")) header.value = "text/event-stream";
    }
    return request;
  }

  // Appends what the bytes say. A fault ends the stream.
  std::optional<ModelFault> read(std::string_view bytes, std::deque<ModelDelta>& deltas) {
    for (const char c : bytes) {
      if (std::exchange(afterCr_, false) && c == '\n') continue;
      if (c != '\n' && c != '\r') {
        line_ += c;
        if (line_.size() + data_.size() > maxEventBytes)
          return faultOf("the stream has an event that is too large");
        continue;
      }
      afterCr_ = c == '\r';
      if (std::optional<ModelFault> fault = endLine(deltas)) return fault;
    }
    return std::nullopt;
  }

  // The model has said that this is the end: [DONE], or why it stopped.
  [[nodiscard]] bool isComplete() const noexcept { return done_ || finished_; }
  // Nothing can follow.
  [[nodiscard]] bool isDone() const noexcept { return done_; }

 private:
  static ModelFault faultOf(const char* why) {
    ModelFault fault;
    fault.message = why;
    return fault;
  }

  std::optional<ModelFault> endLine(std::deque<ModelDelta>& deltas) {
    const std::string line = std::exchange(line_, {});
    if (!line.empty()) {
      std::string_view rest = line;
      if (!rest.starts_with("data:")) return std::nullopt;
      rest.remove_prefix(5);
      if (rest.starts_with(' ')) rest.remove_prefix(1);
      if (hasData_) data_ += '\n';
      data_ += rest;
      hasData_ = true;
      return std::nullopt;
    }
    if (!std::exchange(hasData_, false)) return std::nullopt;
    const std::string data = std::exchange(data_, {});
    return dispatch(data, deltas);
  }

  std::optional<ModelFault> dispatch(const std::string& data, std::deque<ModelDelta>& deltas) {
    if (done_) return std::nullopt;
    if (data == "[DONE]") {
      done_ = true;
      return std::nullopt;
    }
    const nlohmann::json event = parseOutsideJson(data);
    if (!event.is_object()) return faultOf("the stream has an event that is not a JSON object");
    if (!memberOf(event, "error").is_null()) {
      ModelAnswer answer = OpenAiProvider::readAnswer(200, data);
      if (ModelFault* const fault = std::get_if<ModelFault>(&answer)) return std::move(*fault);
    }
    ModelDelta delta;
    const nlohmann::json& choices = memberOf(event, "choices");
    if (choices.is_array() && !choices.empty()) {
      const nlohmann::json& said = memberOf(choices.front(), "delta");
      delta.text = textOf(memberOf(said, "content"));
      delta.thinking = textOf(memberOf(said, "reasoning_content"));
      const nlohmann::json& calls = memberOf(said, "tool_calls");
      if (calls.is_array()) delta.toolCalls.assign(calls.begin(), calls.end());
      delta.finishReason = textOf(memberOf(choices.front(), "finish_reason"));
    }
    const nlohmann::json& usage = memberOf(event, "usage");
    delta.usage.inputTokens = countOf(memberOf(usage, "prompt_tokens"));
    delta.usage.outputTokens = countOf(memberOf(usage, "completion_tokens"));
    delta.usage.totalTokens = countOf(memberOf(usage, "total_tokens"));
    finished_ = finished_ || !delta.finishReason.empty();
    if (delta.hasContent() || !delta.finishReason.empty() || usage.is_object())
      deltas.push_back(std::move(delta));
    return std::nullopt;
  }

  std::string line_;
  std::string data_;
  bool hasData_ = false;
  bool afterCr_ = false;
  bool finished_ = false;
  bool done_ = false;
};

}  // namespace lukhas::detail
