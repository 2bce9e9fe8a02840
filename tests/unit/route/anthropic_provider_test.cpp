#include "lukhas/route/anthropic_provider.hpp"

#include <string>
#include <vector>

#include "lukhas/route/provider.hpp"
#include "support/catch.hpp"

namespace anthropic_provider_test {

using lukhas::AnthropicProvider;
using lukhas::Delivery;
using lukhas::ModelAnswer;
using lukhas::ModelDescription;
using lukhas::ModelFault;
using lukhas::ModelReply;
using lukhas::RouteErrc;
using nlohmann::json;

json goodAnswer() {
  return json::parse(R"({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
    "content": [{"type": "thinking", "thinking": "Rivers.", "signature": "s"},
                {"type": "text", "text": "Rhine, "}, {"type": "text", "text": "Elbe."},
                {"type": "tool_use", "id": "toolu_1", "name": "map", "input": {"river": "Elbe"}},
                {"type": "novelty", "x": 1}],
    "stop_reason": "tool_use", "stop_sequence": null,
    "usage": {"input_tokens": 7, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 3,
              "output_tokens": 5}})");
}

ModelReply reply(const json& body) {
  const ModelAnswer answer = AnthropicProvider::readAnswer(200, body.dump());
  REQUIRE(std::holds_alternative<ModelReply>(answer));
  return std::get<ModelReply>(answer);
}
ModelFault fault(int status, const std::string& body) {
  const ModelAnswer answer = AnthropicProvider::readAnswer(status, body);
  REQUIRE(std::holds_alternative<ModelFault>(answer));
  return std::get<ModelFault>(answer);
}

TEST_CASE("a message is asked for as Anthropic's protocol wants it", "[route]") {
  const json context = json::parse(R"({"system": "Be brief.", "max_tokens": 100, "novelty": [1],
    "messages": [{"role": "user", "content": "Hello"}], "stream": true, "model": "other"})");
  const ModelDescription model{.id = "a",
                               .url = "https://api.test/v1/",
                               .protocol = lukhas::ModelProtocol::anthropic,
                               .modelName = "claude"};
  const auto request = AnthropicProvider::makeRequest(model, context);
  CHECK(request.method == "POST");
  CHECK(request.url == "https://api.test/v1/messages");
  CHECK(lukhas::findHeader(request.headers, "anthropic-version") ==
        std::optional<std::string_view>("2023-06-01"));
  CHECK_FALSE(lukhas::findHeader(request.headers, "x-api-key"));
  json expected = context;
  expected.erase("stream");
  expected["model"] = "claude";
  CHECK(json::parse(request.body) == expected);

  const auto streamed = AnthropicProvider::makeRequest(model, context, Delivery::stream);
  expected["stream"] = true;
  CHECK(json::parse(streamed.body) == expected);
  CHECK(lukhas::findHeader(streamed.headers, "accept") ==
        std::optional<std::string_view>("text/event-stream"));
}

TEST_CASE("the longest answer is named where the protocol demands it", "[route]") {
  const json context = json::parse(R"({"messages": [{"role": "user", "content": "Hello"}]})");
  const ModelDescription model{.id = "a", .url = "http://a", .maxOutputTokens = 77};
  CHECK(json::parse(AnthropicProvider::makeRequest(model, context).body).at("max_tokens") == 77);
}

TEST_CASE("the key goes into the header of that protocol", "[route]") {
  lukhas::HttpRequest request("http://a");
  AnthropicProvider::authorize(request, "secret");
  CHECK(lukhas::findHeader(request.headers, "x-api-key") == std::optional<std::string_view>("secret"));
}

TEST_CASE("an answer's text, thinking, calls and counts are read, and all of it is kept", "[route]") {
  const ModelReply answer = reply(goodAnswer());
  CHECK(answer.text() == "Rhine, Elbe.");
  CHECK(answer.thinking == "Rivers.");
  CHECK(answer.finishReason() == "tool_use");
  REQUIRE(answer.toolCalls.size() == 1);
  CHECK(answer.toolCalls[0].id == "toolu_1");
  CHECK(answer.toolCalls[0].name == "map");
  CHECK(json::parse(answer.toolCalls[0].arguments) == json{{"river", "Elbe"}});
  CHECK(answer.usage().inputTokens == 30);  // the cached ones are part of the input
  CHECK(answer.usage().outputTokens == 5);
  CHECK(answer.usage().totalTokens == 35);
  CHECK(answer.body == goodAnswer());
}

TEST_CASE("an answer that is none is refused, whatever it is", "[route]") {
  CHECK(fault(200, "").code == RouteErrc::invalid_reply);
  CHECK(fault(200, "<html>").code == RouteErrc::invalid_reply);
  CHECK(fault(200, "[]").code == RouteErrc::invalid_reply);
  CHECK(fault(200, "{}").code == RouteErrc::invalid_reply);
  CHECK(fault(200, R"({"content": "text"})").code == RouteErrc::invalid_reply);
  CHECK(fault(200, R"({"content": []})").code == RouteErrc::invalid_reply);
  CHECK(reply(json::parse(R"({"content": [], "stop_reason": "end_turn"})")).text().empty());
}

TEST_CASE("every prefix of an answer is refused", "[route]") {
  const std::string whole = goodAnswer().dump();
  for (std::size_t length = 0; length < whole.size(); ++length)
    REQUIRE(fault(200, whole.substr(0, length)).code == RouteErrc::invalid_reply);
}

TEST_CASE("an answer whose parts have other types is read without them", "[route]") {
  const std::vector<json> others{nullptr,          true,          -1, 3U, 1.5, "text", json::array(),
                                 json::array({1}), json::object()};
  for (const char* const name : {"usage", "stop_reason", "id", "model"}) {
    for (const json& other : others) {
      json body = goodAnswer();
      body[name] = other;
      CHECK(reply(body).text() == "Rhine, Elbe.");
    }
  }
  for (const json& other : others) {
    json body = goodAnswer();
    body["content"].push_back(other);
    for (json& block : body["content"]) {
      if (block.is_object()) block["novelty"] = other;
    }
    CHECK(reply(body).text() == "Rhine, Elbe.");
  }
}

TEST_CASE("Anthropic's errors say what they mean", "[route]") {
  const auto body = [](const char* type, const char* message = "words") {
    return json{{"type", "error"}, {"error", {{"type", type}, {"message", message}}}}.dump();
  };
  CHECK(fault(400, body("invalid_request_error")).code == RouteErrc::model_refused);
  CHECK(fault(401, body("authentication_error")).code == RouteErrc::access_refused);
  CHECK(fault(402, body("billing_error")).code == RouteErrc::quota_spent);
  CHECK(fault(403, body("permission_error")).code == RouteErrc::access_refused);
  CHECK(fault(404, body("not_found_error")).code == RouteErrc::wrong_endpoint);
  CHECK(fault(413, body("request_too_large")).code == RouteErrc::model_refused);
  CHECK(fault(429, body("rate_limit_error")).code == RouteErrc::throttled);
  CHECK(fault(500, body("api_error")).code == RouteErrc::model_failed);
  CHECK(fault(529, body("overloaded_error")).code == RouteErrc::model_failed);
  // An empty account is told with a 400: waiting does not help, but another model does.
  const std::string empty =
      body("invalid_request_error", "Your credit balance is too low to access the API.");
  CHECK(fault(400, empty).code == RouteErrc::quota_spent);
  CHECK(fault(500, empty).code == RouteErrc::model_failed);
  // Inside a 200 only the type is left.
  CHECK(fault(200, body("overloaded_error")).code == RouteErrc::model_failed);
  CHECK(fault(200, body("rate_limit_error")).code == RouteErrc::throttled);
  CHECK(fault(200, body("authentication_error")).code == RouteErrc::access_refused);
  CHECK(fault(200, body("billing_error")).code == RouteErrc::quota_spent);
  CHECK(fault(200, body("invalid_request_error")).code == RouteErrc::model_refused);
  CHECK(fault(529, body("overloaded_error")).message == "words");
}

}  // namespace anthropic_provider_test
