#include "lukhas/route/stream_reader.hpp"

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lukhas/route/provider.hpp"
#include "support/catch.hpp"

namespace stream_reader_test {

using lukhas::ModelDelta;
using lukhas::ModelFault;
using lukhas::RouteErrc;
using nlohmann::json;

// What a stream has said in all.
struct Heard {
  std::string text;
  std::string thinking;
  std::string refusal;
  std::vector<lukhas::ToolCall> calls;
  std::string finishReason;
  std::uint64_t inputTokens = 0;
  std::uint64_t outputTokens = 0;
  std::size_t deltas = 0;
  std::optional<RouteErrc> fault;
  std::string message;
  bool complete = false;
  bool done = false;

  void add(const ModelDelta& delta) {
    text += delta.text;
    thinking += delta.thinking;
    refusal += delta.refusal;
    if (!delta.finishReason.empty()) finishReason = delta.finishReason;
    inputTokens = std::max(inputTokens, delta.usage.inputTokens);
    outputTokens = std::max(outputTokens, delta.usage.outputTokens);
    for (const lukhas::ToolCallPiece& piece : delta.toolCalls) {
      if (piece.index >= calls.size()) calls.resize(piece.index + 1);
      calls[piece.index].id += piece.id;
      calls[piece.index].name += piece.name;
      calls[piece.index].arguments += piece.arguments;
    }
    ++deltas;
  }
};

template <class Provider>
Heard hear(const std::vector<std::string_view>& pieces) {
  const std::unique_ptr<lukhas::StreamDecoder> decoder = lukhas::providerFunctions<Provider>().makeDecoder();
  std::deque<ModelDelta> deltas;
  Heard heard;
  for (const std::string_view piece : pieces) {
    const std::optional<ModelFault> fault = decoder->read(piece, deltas);
    if (!fault) continue;
    heard.fault = fault->code;
    heard.message = fault->message;
    break;
  }
  for (const ModelDelta& delta : deltas) heard.add(delta);
  heard.complete = decoder->isComplete();
  heard.done = decoder->isDone();
  return heard;
}

template <class Provider>
Heard hear(std::string_view bytes) {
  return hear<Provider>(std::vector<std::string_view>{bytes});
}

const auto openai = [](std::string_view bytes) { return hear<lukhas::OpenAiProvider>(bytes); };
const auto anthropic = [](std::string_view bytes) { return hear<lukhas::AnthropicProvider>(bytes); };

constexpr std::string_view openAiStream =
    ": comment\n\n"
    R"(data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":{"reasoning_content":"Hm."}}]})"
    "\r\n\r\n"
    R"(data: {"choices":[{"index":0,"delta":{"content":"Rh\u00efne"}}],"novelty":1})"
    "\n\n"
    R"(data: {"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":{"content":" Elbe"}}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function",)"
    R"("function":{"name":"map","arguments":""}}]}}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":)"
    R"({"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":)"
    R"({"tool_calls":[{"index":0,"function":{"arguments":":1}"}},)"
    R"({"index":1,"id":"c2","function":{"name":"sum","arguments":"{}"}}]}}]})"
    "\n\n"
    R"(data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})"
    "\n\n"
    R"(data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}})"
    "\n\n"
    "data: [DONE]\n\n";

constexpr std::string_view anthropicStream =
    "event: message_start\n"
    R"(data: {"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":5,)"
    R"("cache_read_input_tokens":2,"output_tokens":1}}})"
    "\n\n"
    "event: content_block_start\n"
    R"(data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":""}})"
    "\n\n"
    "event: content_block_delta\r\n"
    R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}})"
    "\r\n\r\n"
    "event: content_block_delta\n"
    R"(data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s"}})"
    "\n\n"
    "event: ping\ndata: {\"type\": \"ping\"}\n\n"
    "event: novelty\ndata: not even JSON\n\n"
    "event: content_block_start\n"
    R"(data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}})"
    "\n\n"
    "event: content_block_delta\n"
    R"(data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Rh\u00efne Elbe"}})"
    "\n\n"
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":1}\n\n"
    "event: content_block_start\n"
    R"(data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"c1",)"
    R"("name":"map","input":{}}})"
    "\n\n"
    "event: content_block_delta\n"
    R"(data: {"type":"content_block_delta","index":2,)"
    R"("delta":{"type":"input_json_delta","partial_json":""}})"
    "\n\n"
    "event: content_block_delta\n"
    R"(data: {"type":"content_block_delta","index":2,)"
    R"("delta":{"type":"input_json_delta","partial_json":"{\"a\""}})"
    "\n\n"
    "event: content_block_delta\n"
    R"(data: {"type":"content_block_delta","index":2,)"
    R"("delta":{"type":"input_json_delta","partial_json":":1}"}})"
    "\n\n"
    "event: content_block_start\n"
    R"(data: {"type":"content_block_start","index":3,"content_block":{"type":"tool_use","id":"c2",)"
    R"("name":"sum","input":{}}})"
    "\n\n"
    "event: content_block_delta\n"
    R"(data: {"type":"content_block_delta","index":3,)"
    R"("delta":{"type":"input_json_delta","partial_json":"{}"}})"
    "\n\n"
    "event: message_delta\n"
    R"(data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":5}})"
    "\n\n"
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

void checkHeard(const Heard& heard, const char* finishReason) {
  CHECK(heard.text == "Rhïne Elbe");
  CHECK(heard.thinking == "Hm.");
  REQUIRE(heard.calls.size() == 2);
  CHECK(heard.calls[0].id == "c1");
  CHECK(heard.calls[0].name == "map");
  CHECK(heard.calls[0].arguments == R"({"a":1})");
  CHECK(heard.calls[1].id == "c2");
  CHECK(heard.calls[1].name == "sum");
  CHECK(heard.calls[1].arguments == "{}");
  CHECK(heard.finishReason == finishReason);
  CHECK(heard.inputTokens == 7);
  CHECK(heard.outputTokens == 5);
  CHECK_FALSE(heard.fault);
  CHECK(heard.complete);
  CHECK(heard.done);
}

TEST_CASE("both protocols' streams are read into the same words", "[route]") {
  checkHeard(openai(openAiStream), "tool_calls");
  checkHeard(anthropic(anthropicStream), "tool_use");
}

TEST_CASE("a stream that is split at any byte says the same", "[route]") {
  const auto checkSplits = [](auto provider, std::string_view bytes, const char* finishReason) {
    using P = decltype(provider);
    const Heard whole = hear<P>(bytes);
    for (std::size_t at = 0; at <= bytes.size(); ++at) {
      const Heard split = hear<P>(std::vector<std::string_view>{bytes.substr(0, at), bytes.substr(at)});
      REQUIRE(split.deltas == whole.deltas);
      REQUIRE(split.text == whole.text);
      REQUIRE(split.done);
    }
    std::vector<std::string_view> single;
    for (std::size_t at = 0; at < bytes.size(); ++at) single.push_back(bytes.substr(at, 1));
    checkHeard(hear<P>(single), finishReason);
  };
  checkSplits(lukhas::OpenAiProvider{}, openAiStream, "tool_calls");
  checkSplits(lukhas::AnthropicProvider{}, anthropicStream, "tool_use");
}

TEST_CASE("a stream that is cut off before its end is not complete", "[route]") {
  const auto checkCuts = [](auto provider, std::string_view bytes, std::string_view reason) {
    using P = decltype(provider);
    const std::size_t told = bytes.find("\n\n", bytes.find(reason)) + 2;
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      const Heard cut = hear<P>(bytes.substr(0, length));
      REQUIRE_FALSE(cut.fault);
      REQUIRE(cut.complete == (length >= told));
      REQUIRE_FALSE(cut.done);
    }
  };
  checkCuts(lukhas::OpenAiProvider{}, openAiStream, "\"tool_calls\"}");
  checkCuts(lukhas::AnthropicProvider{}, anthropicStream, "stop_reason");
}

TEST_CASE("an error in the middle of a stream ends it with what it means", "[route]") {
  const Heard overloaded = anthropic(
      "event: error\ndata: "
      "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Busy\"}}\n\n");
  CHECK(overloaded.fault == RouteErrc::model_failed);
  CHECK(overloaded.message == "Busy");
  CHECK(overloaded.deltas == 0);
  CHECK(anthropic("event: error\ndata: <html>\n\n").fault == RouteErrc::model_failed);
  CHECK(openai("data: {\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Slow\"}}\n\n").fault ==
        RouteErrc::throttled);
  CHECK(openai("data: {\"error\":\"words\"}\n\n").message == "words");
  CHECK(openai("data: {\"error\":null,\"choices\":[]}\n\n").fault == std::nullopt);
}

TEST_CASE("an event that is no JSON object breaks the stream, but for one whose name is not known",
          "[route]") {
  for (const char* const data : {"<html>", "[1]", "7", "{\"a\":"}) {
    CHECK(openai(std::string("data: ") + data + "\n\n").fault == RouteErrc::invalid_reply);
    CHECK(anthropic(std::string("event: message_delta\ndata: ") + data + "\n\n").fault ==
          RouteErrc::invalid_reply);
    CHECK_FALSE(anthropic(std::string("event: novelty\ndata: ") + data + "\n\n").fault);
  }
}

TEST_CASE("events of Anthropic's protocol without a name are told by their type", "[route]") {
  const Heard heard =
      anthropic(R"(data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}})"
                "\n\ndata: {\"type\":\"message_stop\"}\n\n");
  CHECK(heard.text == "x");
  CHECK(heard.done);
}

TEST_CASE("nothing is read after the end", "[route]") {
  const std::string later = R"(data: {"choices":[{"delta":{"content":"later"}}]})"
                            "\n\n";
  CHECK(openai(std::string(openAiStream) + later).text == "Rhïne Elbe");
  CHECK(anthropic(std::string(anthropicStream) + "event: error\ndata: {}\n\n").fault == std::nullopt);
}

TEST_CASE("a refusal and the old form of calls are content", "[route]") {
  const Heard refused = openai(R"(data: {"choices":[{"delta":{"refusal":"No."}}]})"
                               "\n\n");
  CHECK(refused.refusal == "No.");
  const Heard called =
      openai(R"(data: {"choices":[{"delta":{"function_call":{"name":"f","arguments":"{}"}}}]})"
             "\n\n");
  REQUIRE(called.calls.size() == 1);
  CHECK(called.calls[0].name == "f");
}

TEST_CASE("the whole event stays with its delta", "[route]") {
  const std::unique_ptr<lukhas::StreamDecoder> decoder =
      lukhas::providerFunctions<lukhas::OpenAiProvider>().makeDecoder();
  std::deque<ModelDelta> deltas;
  (void)decoder->read("data: {\"choices\":[],\"novelty\":{\"x\":1}}\n\n", deltas);
  REQUIRE(deltas.size() == 1);
  CHECK(deltas[0].event == json::parse(R"({"choices":[],"novelty":{"x":1}})"));
  CHECK_FALSE(deltas[0].hasContent());
}

TEST_CASE("an event that is too large breaks the stream", "[route]") {
  const std::string huge = "data: " + std::string(lukhas::SseParser::defaultMaxEventBytes, 'x');
  CHECK(openai(huge).fault == RouteErrc::invalid_reply);
  CHECK(openai(huge).message == "the stream has an event that is too large");
}

}  // namespace stream_reader_test
