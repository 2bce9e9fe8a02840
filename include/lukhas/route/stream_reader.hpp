// StreamReader: what a protocol has to know about the events of its streams.
#pragma once

#include <concepts>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "lukhas/route/model_delta.hpp"
#include "lukhas/route/provider_answer.hpp"
#include "lukhas/route/sse_parser.hpp"

namespace lukhas {

// One for each stream.
//
// read(event, deltas)  appends what the event says; a fault ends the stream. Never throws, whatever the event
//                      holds.
// isComplete()         the model has said that it is finished: an end of the input is no failure then.
// isDone()             nothing can follow.
template <class R>
concept StreamReader = std::default_initializable<R> &&
    requires(R& reader, const R& read, std::deque<ModelDelta>& deltas) {
  { reader.read(SseEvent{}, deltas) } -> std::same_as<std::optional<ModelFault>>;
  { read.isComplete() } -> std::same_as<bool>;
  { read.isDone() } -> std::same_as<bool>;
};

// The bytes of a stream, whatever its protocol. Pieces may be cut anywhere.
class StreamDecoder {
 public:
  virtual ~StreamDecoder() = default;

  std::optional<ModelFault> read(std::string_view bytes, std::deque<ModelDelta>& deltas) {
    std::optional<ModelFault> fault;
    const bool fits = parser_.feed(bytes, [&](const SseEvent& event) {
      if (!fault) fault = readEvent(event, deltas);
    });
    if (!fits && !fault) {
      fault.emplace();
      fault->message = "the stream has an event that is too large";
    }
    return fault;
  }

  [[nodiscard]] virtual bool isComplete() const noexcept = 0;
  [[nodiscard]] virtual bool isDone() const noexcept = 0;

 protected:
  StreamDecoder() = default;
  StreamDecoder(const StreamDecoder&) = default;
  StreamDecoder& operator=(const StreamDecoder&) = default;

 private:
  virtual std::optional<ModelFault> readEvent(const SseEvent& event, std::deque<ModelDelta>& deltas) = 0;

  SseParser parser_;
};

template <StreamReader R>
class StreamDecoderOf final : public StreamDecoder {
 public:
  [[nodiscard]] bool isComplete() const noexcept override { return reader_.isComplete(); }
  [[nodiscard]] bool isDone() const noexcept override { return reader_.isDone(); }

 private:
  std::optional<ModelFault> readEvent(const SseEvent& event, std::deque<ModelDelta>& deltas) override {
    return reader_.read(event, deltas);
  }

  R reader_;
};

}  // namespace lukhas
