#include "lukhas/route/openai_provider.hpp"

#include <string>
#include <vector>

#include "lukhas/route/provider.hpp"
#include "support/catch.hpp"

using lukhas::ModelAnswer;
using lukhas::ModelDescription;
using lukhas::ModelFault;
using lukhas::ModelReply;
using lukhas::OpenAiProvider;
using lukhas::RouteErrc;
using nlohmann::json;

namespace {

json goodAnswer() {
  return json::parse(R"({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-2024",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rhine, Elbe, Oder."},
                 "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}, "novelty": {"x": 1}})");
}

ModelAnswer read(const json& body, int status = 200) {
  return OpenAiProvider::readAnswer(status, body.dump());
}
ModelReply reply(const json& body) {
  const ModelAnswer answer = read(body);
  REQUIRE(std::holds_alternative<ModelReply>(answer));
  return std::get<ModelReply>(answer);
}
ModelFault fault(const ModelAnswer& answer) {
  REQUIRE(std::holds_alternative<ModelFault>(answer));
  return std::get<ModelFault>(answer);
}

// Values of every JSON type.
std::vector<json> everyType() {
  return {nullptr,        true,          -1, 3U, 1.5, "text", json::array(), json::array({1}),
          json::object(), json{{"a", 1}}};
}

}  // namespace

TEST_CASE("a request passes the context through and names the model", "[route]") {
  const json context =
      json::parse(R"({"messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5, "tools": [],
    "model": "other", "stream": true, "stream_options": {"include_usage": true}})");
  const auto request = OpenAiProvider::makeRequest({.id = "first", .url = "http://first.test/v1"}, context);
  CHECK(request.method == "POST");
  CHECK(request.url == "http://first.test/v1/chat/completions");
  CHECK(lukhas::findHeader(request.headers, "content-type") ==
        std::optional<std::string_view>("application/json"));
  CHECK_FALSE(lukhas::findHeader(request.headers, "authorization"));
  json expected = context;
  expected.erase("stream");
  expected.erase("stream_options");
  expected["model"] = "first";
  CHECK(json::parse(request.body) == expected);
}

TEST_CASE("a request uses the name of the model at its endpoint", "[route]") {
  const json context{{"messages", json::array()}};
  const ModelDescription model{.id = "first", .url = "http://first.test/v1//", .modelName = "gpt-x"};
  const auto request = OpenAiProvider::makeRequest(model, context);
  CHECK(json::parse(request.body).at("model") == "gpt-x");
  CHECK(request.url == "http://first.test/v1/chat/completions");
}

TEST_CASE("a context that is not UTF-8 is refused without being repeated", "[route]") {
  const json context{{"messages", json::array({{{"role", "user"}, {"content", "private\xff"}}})}};
  try {
    (void)OpenAiProvider::makeRequest({.id = "m", .url = "http://a"}, context);
    FAIL("accepted");
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::invalid_argument);
    CHECK(std::string(error.what()).find("private") == std::string::npos);
  }
}

TEST_CASE("the key goes into the authorization header alone", "[route]") {
  lukhas::HttpRequest request("http://a", "{}");
  OpenAiProvider::authorize(request, "sk-1");
  CHECK(lukhas::findHeader(request.headers, "Authorization") ==
        std::optional<std::string_view>("Bearer sk-1"));
  CHECK(request.headers.size() == 1);
}

TEST_CASE("a good answer is read whole", "[route]") {
  const ModelReply answer = reply(goodAnswer());
  CHECK(answer.text() == "Rhine, Elbe, Oder.");
  CHECK(answer.finishReason() == "stop");
  CHECK(answer.usage().inputTokens == 7);
  CHECK(answer.usage().outputTokens == 5);
  CHECK(answer.usage().totalTokens == 12);
  CHECK(answer.body == goodAnswer());
}

TEST_CASE("content in parts is joined and other parts are left out", "[route]") {
  json body = goodAnswer();
  body["choices"][0]["message"]["content"] = json::parse(
      R"([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": 3}, 7, {"text": "x"},
          {"type": "text", "text": "b"}])");
  CHECK(reply(body).text() == "ab");
}

TEST_CASE("tool calls and refusals and early stops are answers without words", "[route]") {
  for (const char* message :
       {R"({"content": null, "tool_calls": [{"id": "1"}]})", R"({"tool_calls": [{"id": "1"}]})",
        R"({"function_call": {"name": "f"}})", R"({"content": null, "refusal": "No."})"}) {
    json body = goodAnswer();
    body["choices"][0]["message"] = json::parse(message);
    CHECK(reply(body).text().empty());
  }
  json body = goodAnswer();
  body["choices"][0]["finish_reason"] = "length";
  body["choices"][0]["message"]["content"] = nullptr;
  CHECK(reply(body).finishReason() == "length");
}

TEST_CASE("an answer without a member it needs is invalid", "[route]") {
  const std::vector<json::json_pointer> needed{
      json::json_pointer("/choices"), json::json_pointer("/choices/0"),
      json::json_pointer("/choices/0/message"), json::json_pointer("/choices/0/message/content")};
  for (const json::json_pointer& pointer : needed) {
    INFO(pointer.to_string());
    json body = goodAnswer();
    json& parent = body[pointer.parent_pointer()];
    if (parent.is_array())
      parent.erase(0);
    else
      parent.erase(pointer.back());
    CHECK(fault(read(body)).code == RouteErrc::invalid_reply);
  }
}

TEST_CASE("an answer whose needed members have another type is invalid and never throws", "[route]") {
  for (const char* pointer :
       {"", "/choices", "/choices/0", "/choices/0/message", "/choices/0/message/content"}) {
    for (const json& value : everyType()) {
      INFO(pointer << " = " << value);
      json body = goodAnswer();
      body[json::json_pointer(pointer)] = value;
      const bool content =
          std::string(pointer).ends_with("content") && (value.is_string() || value.is_array());
      if (content) CHECK_NOTHROW(reply(body));
      if (!content) CHECK(fault(read(body)).code == RouteErrc::invalid_reply);
    }
  }
}

TEST_CASE("optional members that are missing or of another type read as absent", "[route]") {
  for (const char* pointer :
       {"/usage", "/usage/prompt_tokens", "/usage/completion_tokens", "/usage/total_tokens", "/id", "/model",
        "/choices/0/finish_reason", "/choices/0/message/role", "/choices/0/message/tool_calls"}) {
    for (const json& value : everyType()) {
      INFO(pointer << " = " << value);
      json body = goodAnswer();
      body[json::json_pointer(pointer)] = value;
      CHECK(reply(body).text() == "Rhine, Elbe, Oder.");
    }
    json body = goodAnswer();
    const json::json_pointer path(pointer);
    body[path.parent_pointer()].erase(path.back());
    CHECK(reply(body).text() == "Rhine, Elbe, Oder.");
  }
  json body = goodAnswer();
  body["usage"] = {{"prompt_tokens", -5}, {"completion_tokens", 1.5}, {"total_tokens", "12"}};
  CHECK(reply(body).usage().inputTokens + reply(body).usage().outputTokens +
            reply(body).usage().totalTokens ==
        0);
}

TEST_CASE("an answer that is cut off anywhere is invalid", "[route]") {
  const std::string whole = goodAnswer().dump();
  for (std::size_t length = 0; length < whole.size(); ++length) {
    CHECK(fault(OpenAiProvider::readAnswer(200, std::string_view(whole).substr(0, length))).code ==
          RouteErrc::invalid_reply);
  }
}

TEST_CASE("bytes that are no JSON are invalid", "[route]") {
  for (const std::string text :
       {"", "<html>busy</html>", "nul", "{\"a\":\xff}", "{} {}", "\xef\xbb\xbf", "1e99999"}) {
    CHECK(fault(OpenAiProvider::readAnswer(200, text)).code == RouteErrc::invalid_reply);
  }
}

TEST_CASE("an answer nested without end is invalid and harms nothing", "[route]") {
  for (const std::string piece : {"[", "{\"a\":", "{\"error\":["}) {
    std::string deep;
    for (int i = 0; i < 300'000; ++i) deep += piece;
    CHECK(fault(OpenAiProvider::readAnswer(200, deep)).code == RouteErrc::invalid_reply);
    CHECK(fault(OpenAiProvider::readAnswer(503, deep)).code == RouteErrc::model_failed);
  }
  json body = goodAnswer();
  body["brackets"] = std::string(1000, '[');  // in a string they nest nothing
  CHECK_NOTHROW(reply(body));
}

TEST_CASE("an error inside a 200 is the model's failure or what it says it is", "[route]") {
  const auto code = [](const char* error) { return fault(read(json{{"error", json::parse(error)}})).code; };
  CHECK(code(R"({"message": "overloaded", "type": "server_error"})") == RouteErrc::model_failed);
  CHECK(code(R"("it broke")") == RouteErrc::model_failed);
  CHECK(code(R"({"type": "insufficient_quota"})") == RouteErrc::quota_spent);
  CHECK(code(R"({"code": "rate_limit_exceeded"})") == RouteErrc::throttled);
  CHECK(code(R"({"code": 429})") == RouteErrc::throttled);
  CHECK(code(R"({"type": "invalid_request_error"})") == RouteErrc::model_refused);
  json body = goodAnswer();
  body["error"] = nullptr;
  CHECK_NOTHROW(reply(body));
}

TEST_CASE("a spent quota is told from throttling by the error's own code", "[route]") {
  const json spent{{"error",
                    {{"message", "You exceeded your quota."},
                     {"type", "insufficient_quota"},
                     {"code", "insufficient_quota"}}}};
  CHECK(fault(read(spent, 429)).code == RouteErrc::quota_spent);
  CHECK(fault(read(spent, 403)).code == RouteErrc::quota_spent);
  CHECK(fault(read(spent, 500)).code == RouteErrc::model_failed);
  CHECK(fault(read(json{{"error", {{"code", "rate_limit_exceeded"}}}}, 429)).code == RouteErrc::throttled);
  CHECK(fault(read(json(), 429)).code == RouteErrc::throttled);
}

TEST_CASE("error bodies of every shape give a message and never throw", "[route]") {
  CHECK(fault(read(json{{"error", {{"message", "bad"}}}}, 400)).message == "bad");
  CHECK(fault(read(json{{"error", "bad"}}, 400)).message == "bad");
  CHECK(fault(read(json{{"message", "bad"}}, 400)).message == "bad");
  CHECK(fault(read(json{{"detail", "bad"}}, 400)).message == "bad");
  CHECK(fault(OpenAiProvider::readAnswer(502, "<html>")).message == "<html>");
  CHECK(fault(OpenAiProvider::readAnswer(502, std::string(100'000, 'x'))).message.size() == 4096);
  for (const char* pointer : {"", "/error", "/error/message", "/error/type", "/error/code"}) {
    for (const json& value : everyType()) {
      json body{{"error", {{"message", "m"}, {"type", "t"}, {"code", "c"}}}};
      body[json::json_pointer(pointer)] = value;
      CHECK(fault(read(body, 500)).code == RouteErrc::model_failed);
      CHECK(fault(read(body, 422)).code == RouteErrc::model_refused);
    }
  }
}

TEST_CASE("the provider of a protocol is found by its name", "[route]") {
  const json context{{"messages", json::array()}};
  const ModelDescription model{.id = "m", .url = "http://a/v1"};
  const auto request = lukhas::providerOf(model).makeRequest(model, context, lukhas::Delivery::whole);
  CHECK(request.url == "http://a/v1/chat/completions");
}
