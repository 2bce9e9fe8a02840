// SimulatedModel: a model endpoint in a simulated network, which answers, fails or hangs as it is told.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/split_mix.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/route/http_message.hpp"
#include "lukhas/route/provider_answer.hpp"
#include "lukhas/sim/hanging_calls.hpp"
#include "lukhas/sim/present.hpp"
#include "lukhas/sim/simulated_dialect.hpp"

namespace lukhas {

// How many of a thousand requests meet which fault; the seed decides which ones. Together at most 1000.
struct SimulatedModelFaults {
  unsigned refused = 0;  // no connection
  unsigned failed = 0;   // status 503
  unsigned reset = 0;    // the connection ends in the middle of the answer
  unsigned stalled = 0;  // accepted, and never answered
  unsigned garbled = 0;  // status 200 and bytes that are no answer
};

namespace detail {

// What a simulated server does with one request.
struct SimulatedAnswer {
  bool refused = false;
  bool stalled = false;
  bool reset = false;  // after half of the body
  bool hangs = false;  // after the whole of it
  int status = 200;
  std::vector<HttpHeader> headers = {{"Content-Type", "application/json"}};
  std::string body = {};
};

}  // namespace detail

// A server of one protocol behind one address, OpenAI's unless told. Settings hold for requests that arrive
// from then on; all calls give the model back, so that they can be chained.
//
//   world.addModel("http://first.test/v1").reply("hello").latency(1ms, 50ms);
//   world.model("http://first.test/v1").failNext(3, 503);
//   world.model("http://first.test/v1").failNext(1, 429, {{"Retry-After", "7"}});
//   world.model("http://first.test/v1").stall();                     // … and recover() ends it
//   CHECK(world.model("http://first.test/v1").mostAtOnce() <= 8);
//
// It is strict, as real servers are: what is not a POST of a JSON object with `model` and `messages` is
// refused. A crash of the simulated process cuts its connections; the model itself goes on. Not thread-safe,
// as all of the simulation.
class SimulatedModel {
 public:
  SimulatedModel(std::string url, const std::shared_ptr<detail::Present>& present)
      : url_(std::move(url)), present_(present) {}
  SimulatedModel(const SimulatedModel&) = delete;
  SimulatedModel& operator=(const SimulatedModel&) = delete;

  // Which protocol it speaks. Without this: OpenAI's.
  SimulatedModel& speaks(ModelProtocol protocol) {
    protocol_ = protocol;
    return *this;
  }
  // What it says. Without this: "ok".
  SimulatedModel& reply(std::string text) {
    text_ = std::move(text);
    return *this;
  }
  // The next `count` requests are answered with that status. `body`: empty for an error in the protocol's
  // form.
  SimulatedModel& failNext(std::size_t count, int status, std::vector<HttpHeader> headers = {},
                           std::string body = {}) {
    failures_ = {count, status, std::move(headers), std::move(body)};
    return *this;
  }
  // The answers to the next `count` requests end in the middle of their body.
  SimulatedModel& resetNext(std::size_t count) {
    resets_ = count;
    return *this;
  }
  // Streams begin with an error event of that type, inside a 200.
  SimulatedModel& overloadStreams(std::size_t count, std::string type = "overloaded_error") {
    brokenStreams_ = {count, BrokenStream::Way::error_first, 0, std::move(type)};
    return *this;
  }
  // The next `count` streams end after so many words, without a word of their end.
  SimulatedModel& endStreamsEarly(std::size_t count, std::size_t words) {
    brokenStreams_ = {count, BrokenStream::Way::end_early, words, {}};
    return *this;
  }
  // The next `count` streams say nothing more after so many words.
  SimulatedModel& stallStreams(std::size_t count, std::size_t words) {
    brokenStreams_ = {count, BrokenStream::Way::stall, words, {}};
    return *this;
  }
  // The next `count` streams send an error event after so many words.
  SimulatedModel& failStreams(std::size_t count, std::size_t words, std::string type = "server_error") {
    brokenStreams_ = {count, BrokenStream::Way::error_later, words, std::move(type)};
    return *this;
  }
  // Nobody accepts connections.
  SimulatedModel& refuse() {
    refusing_ = true;
    return *this;
  }
  // Accepts requests and does not answer. Those that hang are answered after recover().
  SimulatedModel& stall() {
    stalled_ = true;
    return *this;
  }
  // From now on at random.
  SimulatedModel& faults(SimulatedModelFaults faults) {
    requireOption("SimulatedModel", "faults",
                  faults.refused + faults.failed + faults.reset + faults.stalled + faults.garbled, 0U, 1000U);
    faults_ = faults;
    return *this;
  }
  // Ends stall(), refuse(), failNext(), resetNext() and faults(); latency and slowness stay.
  SimulatedModel& recover() {
    stalled_ = refusing_ = false;
    resets_ = 0;
    failures_ = {};
    faults_ = {};
    if (const std::shared_ptr<detail::Present> present = present_.lock())
      detail::HangingCalls::of(present->environment()).wake();
    return *this;
  }
  // From the request to the answer's headers, drawn for each request. Without this: 1 to 10 ms.
  SimulatedModel& latency(Duration shortest, Duration longest) {
    requireOption("SimulatedModel", "latency", shortest, Duration::zero(), longest);
    shortest_ = shortest;
    longest_ = longest;
    return *this;
  }
  // The body comes in pieces of that size, with a pause before each. Without this: all at once.
  SimulatedModel& slow(Duration pause, std::size_t pieceBytes) {
    requireOption("SimulatedModel", "pieceBytes", pieceBytes, std::size_t{1}, std::size_t{1} << 30U);
    pause_ = pause;
    pieceBytes_ = pieceBytes;
    return *this;
  }

  [[nodiscard]] const std::string& url() const noexcept { return url_; }
  // Requests that arrived, over all lives.
  [[nodiscard]] std::size_t requests() const noexcept { return requests_; }
  // Connections with a request under way, now and at most at once.
  [[nodiscard]] std::size_t openConnections() const noexcept { return *open_; }
  [[nodiscard]] std::size_t mostAtOnce() const noexcept { return mostAtOnce_; }
  // The last request that arrived. Before the first one: an empty one.
  [[nodiscard]] const HttpRequest& lastRequest() const noexcept { return lastRequest_; }

 private:
  friend class SimulatedNetwork;
  friend class SimulatedExchange;

  struct Failures {
    std::size_t count = 0;
    int status = 0;
    std::vector<HttpHeader> headers = {};
    std::string body = {};
  };

  struct BrokenStream {
    enum class Way : std::uint8_t { error_first, error_later, end_early, stall };
    std::size_t count = 0;
    Way way = Way::error_first;
    std::size_t words = 0;
    std::string type = {};
  };

  [[nodiscard]] detail::SimulatedAnswer refusal(int status, std::string_view type,
                                                std::string_view message) const {
    detail::SimulatedAnswer answer;
    answer.status = status;
    answer.body = detail::simulatedFault(protocol_, type, message).dump();
    return answer;
  }

  // A beginning, the words one by one, and the end with the count.
  void completeStream(detail::SimulatedAnswer& answer, detail::SimulatedWords said) {
    answer.headers = {{"Content-Type", "text/event-stream"}};
    const bool breaks = brokenStreams_.count > 0;
    if (breaks) --brokenStreams_.count;
    using Way = BrokenStream::Way;
    const detail::SimulatedEvents events(protocol_, std::move(said));
    answer.body = events.beginning();
    if (breaks && brokenStreams_.way == Way::error_first) {
      answer.body += events.fault(brokenStreams_.type);
      return;
    }
    std::size_t spoken = 0;
    for (std::size_t from = 0; from < text_.size(); ++spoken) {
      if (breaks && spoken == brokenStreams_.words) break;
      const std::size_t to = std::min(text_.find(' ', from), text_.size() - 1) + 1;
      answer.body += events.piece(std::string_view(text_).substr(from, to - from));
      from = to;
    }
    if (breaks) {
      if (brokenStreams_.way == Way::error_later) answer.body += events.fault(brokenStreams_.type);
      answer.hangs = brokenStreams_.way == Way::stall;
      return;
    }
    answer.body += events.end();
  }

  // The fate of a request, drawn when it arrives.
  detail::SimulatedAnswer arrive(SplitMix& chance) {
    const std::uint64_t drawn = chance.below(1000);
    std::uint64_t bound = 0;
    const auto meets = [&](unsigned perMille) {
      const bool inside = drawn >= bound && drawn < bound + perMille;
      bound += perMille;
      return inside;
    };
    detail::SimulatedAnswer answer;
    answer.refused = meets(faults_.refused) || refusing_;
    const bool failed = meets(faults_.failed);
    answer.reset = meets(faults_.reset);
    answer.stalled = meets(faults_.stalled);
    const bool garbled = meets(faults_.garbled);
    if (failed) answer = refusal(503, "server_error", "the simulated model failed");
    if (garbled) answer.body = "<html>";
    if (!answer.refused) ++requests_;
    return answer;
  }

  // The answer, decided after the latency.
  void complete(detail::SimulatedAnswer& answer, const HttpRequest& request, std::int64_t secondsNow) {
    if (failures_.count > 0) {
      --failures_.count;
      answer = refusal(failures_.status, "server_error", "the simulated model failed");
      if (!failures_.body.empty()) answer.body = failures_.body;
      answer.headers.insert(answer.headers.end(), failures_.headers.begin(), failures_.headers.end());
      return;
    }
    if (answer.status != 200 || !answer.body.empty()) return;
    if (resets_ > 0) {
      --resets_;
      answer.reset = true;
    }
    const nlohmann::json asked = nlohmann::json::parse(request.body, nullptr, false);
    const nlohmann::json& messages = detail::memberOf(asked, "messages");
    const std::string model = detail::textOf(detail::memberOf(asked, "model"));
    if (request.method != "POST") {
      answer = refusal(405, "invalid_request_error", "only POST is served here");
    } else if (model.empty() || !messages.is_array() || messages.empty()) {
      answer = refusal(400, "invalid_request_error", "model and messages are required");
    } else if (protocol_ == ModelProtocol::anthropic && !detail::memberOf(asked, "max_tokens").is_number()) {
      answer = refusal(400, "invalid_request_error", "max_tokens: Field required");
    } else {
      detail::SimulatedWords said{model, text_, requests_, secondsNow, countTokens(messages), words(text_)};
      if (detail::memberOf(asked, "stream") == true) {
        completeStream(answer, std::move(said));
      } else {
        answer.body = detail::simulatedAnswer(protocol_, said);
      }
    }
  }

  static std::size_t countTokens(const nlohmann::json& messages) {
    std::size_t count = 0;
    for (const nlohmann::json& message : messages) {
      const nlohmann::json& content = detail::memberOf(message, "content");
      count += words(detail::textOf(content));
      if (!content.is_array()) continue;
      for (const nlohmann::json& part : content)
        count += words(detail::textOf(detail::memberOf(part, "text")));
    }
    return count;
  }

  static std::size_t words(std::string_view text) noexcept {
    std::size_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++i)
      count += text[i] != ' ' && (i == 0 || text[i - 1] == ' ') ? 1U : 0U;
    return count;
  }

  [[nodiscard]] Duration drawLatency(SplitMix& chance) const {
    const auto range = static_cast<std::uint64_t>((longest_ - shortest_).count());
    return shortest_ + Duration(static_cast<std::int64_t>(chance.below(range + 1)));
  }

  void connected() { mostAtOnce_ = std::max(mostAtOnce_, ++*open_); }

  std::string url_;
  std::weak_ptr<detail::Present> present_;
  ModelProtocol protocol_ = ModelProtocol::openai;
  std::string text_ = "ok";
  Failures failures_;
  std::size_t resets_ = 0;
  BrokenStream brokenStreams_;
  bool refusing_ = false;
  bool stalled_ = false;
  SimulatedModelFaults faults_;
  Duration shortest_ = std::chrono::milliseconds(1);
  Duration longest_ = std::chrono::milliseconds(10);
  Duration pause_{};
  std::size_t pieceBytes_ = std::size_t{1} << 30U;
  std::size_t requests_ = 0;
  std::size_t mostAtOnce_ = 0;
  HttpRequest lastRequest_;
  std::shared_ptr<std::size_t> open_ = std::make_shared<std::size_t>(0);  // a new one for each life
};

}  // namespace lukhas
