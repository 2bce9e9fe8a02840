#include <string>
#include <vector>

#include "lukhas/route/anthropic_form.hpp"
#include "lukhas/route/openai_form.hpp"
#include "support/catch.hpp"

namespace conversation_form_test {

using lukhas::RouteErrc;
using lukhas::toAnthropicForm;
using lukhas::toOpenAiForm;
using nlohmann::json;

// The field that cannot be said; empty when all can.
template <class Convert>
std::string refusedField(Convert convert, const char* context) {
  try {
    (void)convert(json::parse(context));
    return {};
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == RouteErrc::not_expressible);
    CHECK(std::string(error.what()).find("secret") == std::string::npos);
    return error.details().at("field");
  }
}
std::string refusedForAnthropic(const char* context) { return refusedField(toAnthropicForm, context); }
std::string refusedForOpenAi(const char* context) { return refusedField(toOpenAiForm, context); }

// One conversation in both forms: what is expected of one is what is given to the other.
const char* const openAiConversation = R"({
  "messages": [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Which river?"},
    {"role": "assistant", "content": "I look.", "tool_calls": [
      {"id": "c1", "type": "function", "function": {"name": "map", "arguments": "{\"q\":1}"}},
      {"id": "c2", "type": "function", "function": {"name": "sum", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c1", "content": "Elbe"},
    {"role": "tool", "tool_call_id": "c2", "content": "2"},
    {"role": "user", "content": [
      {"type": "text", "text": "And this?"},
      {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
      {"type": "image_url", "image_url": {"url": "https://pictures.test/x.png"}}]}],
  "max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "stop": ["END"], "user": "u1",
  "tools": [{"type": "function", "function": {"name": "map", "description": "Finds",
             "parameters": {"type": "object", "properties": {"q": {"type": "integer"}}}}}],
  "tool_choice": {"type": "function", "function": {"name": "map"}}, "parallel_tool_calls": false})";

const char* const anthropicConversation = R"({
  "system": "Be brief.",
  "messages": [
    {"role": "user", "content": "Which river?"},
    {"role": "assistant", "content": [{"type": "text", "text": "I look."},
      {"type": "tool_use", "id": "c1", "name": "map", "input": {"q": 1}},
      {"type": "tool_use", "id": "c2", "name": "sum", "input": {}}]},
    {"role": "user", "content": [
      {"type": "tool_result", "tool_use_id": "c1", "content": "Elbe"},
      {"type": "tool_result", "tool_use_id": "c2", "content": "2"},
      {"type": "text", "text": "And this?"},
      {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
      {"type": "image", "source": {"type": "url", "url": "https://pictures.test/x.png"}}]}],
  "max_tokens": 100, "temperature": 0.5, "top_p": 0.9, "stop_sequences": ["END"],
  "metadata": {"user_id": "u1"},
  "tools": [{"name": "map", "description": "Finds",
             "input_schema": {"type": "object", "properties": {"q": {"type": "integer"}}}}],
  "tool_choice": {"type": "tool", "name": "map", "disable_parallel_tool_use": true}})";

TEST_CASE("a conversation in OpenAI's form is said in Anthropic's", "[route]") {
  json expected = json::parse(anthropicConversation);
  expected["system"] = json::parse(R"([{"type": "text", "text": "Be brief."}])");
  expected["messages"][0]["content"] = json::parse(R"([{"type": "text", "text": "Which river?"}])");
  CHECK(toAnthropicForm(json::parse(openAiConversation)) == expected);
}

TEST_CASE("a conversation in Anthropic's form is said in OpenAI's", "[route]") {
  CHECK(toOpenAiForm(json::parse(anthropicConversation)) == json::parse(openAiConversation));
}

TEST_CASE("a conversation that goes there and back is the same", "[route]") {
  const json openai = json::parse(openAiConversation);
  CHECK(toOpenAiForm(toAnthropicForm(openai)) == openai);
}

TEST_CASE("instructions stand at the beginning, and messages of one role become one", "[route]") {
  const json form = toAnthropicForm(json::parse(R"({"messages": [
    {"role": "system", "content": "One."}, {"role": "user", "content": "a"},
    {"role": "developer", "content": [{"type": "text", "text": "Two."}]}, {"role": "user", "content": "b"},
    {"role": "assistant", "content": ""}, {"role": "user", "content": "c"}]})"));
  CHECK(form.at("system") ==
        json::parse(R"([{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}])"));
  CHECK(form.at("messages") == json::parse(R"([{"role": "user", "content": [{"type": "text", "text": "a"},
    {"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}])"));
}

TEST_CASE("settings have their other names", "[route]") {
  const auto with = [](const char* settings) {
    json context = json::parse(settings);
    context["messages"] = json::parse(R"([{"role": "user", "content": "a"}])");
    return toAnthropicForm(context);
  };
  CHECK(with(R"({"max_completion_tokens": 9})").at("max_tokens") == 9);
  CHECK(with(R"({"temperature": 1.7})").at("temperature") == 1);
  CHECK(with(R"({"stop": "END"})").at("stop_sequences") == json::array({"END"}));
  const std::string tools = R"("tools": [{"type": "function", "function": {"name": "f"}}])";
  const auto choice = [&](const std::string& settings) {
    return with(("{" + tools + "," + settings + "}").c_str()).value("tool_choice", json());
  };
  CHECK(choice(R"("tool_choice": "auto")") == json{{"type", "auto"}});
  CHECK(choice(R"("tool_choice": "required")") == json{{"type", "any"}});
  CHECK(choice(R"("tool_choice": "none", "parallel_tool_calls": false)") == json{{"type", "none"}});
  CHECK(choice(R"("parallel_tool_calls": false)") ==
        json{{"type", "auto"}, {"disable_parallel_tool_use", true}});
  CHECK(choice(R"("parallel_tool_calls": true)").is_null());
  // A tool without parameters takes an object; hints and unknown members are refused there, so left out.
  CHECK(with(("{" + tools + "}").c_str()).at("tools")[0].at("input_schema") == json{{"type", "object"}});
  CHECK(with(R"({"seed": 1, "logit_bias": {}, "novelty": 2, "n": 1, "response_format": {"type": "text"}})")
            .size() == 1);
}

TEST_CASE("the other way round too", "[route]") {
  const auto with = [](const char* settings) {
    json context = json::parse(settings);
    context["messages"] = json::parse(R"([{"role": "user", "content": "a"}])");
    return toOpenAiForm(context);
  };
  const std::string tools = R"("tools": [{"name": "f", "input_schema": {"type": "object"}}])";
  const auto choice = [&](const std::string& settings) {
    return with(("{" + tools + "," + settings + "}").c_str()).value("tool_choice", json());
  };
  CHECK(choice(R"("tool_choice": {"type": "auto"})") == "auto");
  CHECK(choice(R"("tool_choice": {"type": "any"})") == "required");
  CHECK(choice(R"("tool_choice": {"type": "none"})") == "none");
  CHECK(with(R"({"system": [{"type": "text", "text": "a", "novelty": {}}, {"type": "text", "text": "b"}]})")
            .at("messages")[0]
            .at("content") == "a\n\nb");
  CHECK(with(R"({"top_k": 5, "thinking": {"type": "enabled"}, "novelty": 1})").size() == 1);
  const json answer = toOpenAiForm(json::parse(R"({"messages": [{"role": "assistant", "content": [
    {"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "redacted_thinking", "data": "d"},
    {"type": "tool_use", "id": "c", "name": "f", "input": {}}]}]})"));
  CHECK(answer.at("messages") == json::parse(R"([{"role": "assistant", "content": null, "tool_calls": [
    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}])"));
}

TEST_CASE("what would be an answer to another question is refused by name", "[route]") {
  const auto message = [](const std::string& content) {
    return R"({"messages": [{"role": "user", "content": "secret"},)" + content + "]}";
  };
  CHECK(refusedForAnthropic(R"({"messages": [{"role": "user", "content": "secret"}], "n": 2})") == "n");
  CHECK(refusedForAnthropic(R"({"messages": [], "response_format": {"type": "json_object"}})") ==
        "response_format");
  CHECK(refusedForAnthropic(R"({"messages": [], "logprobs": true})") == "logprobs");
  CHECK(refusedForAnthropic(R"({"messages": [], "audio": {"voice": "x"}})") == "audio");
  CHECK(refusedForAnthropic(R"({"messages": [], "functions": []})") == "functions");
  CHECK(refusedForAnthropic(R"({"messages": [{"role": "system", "content": "secret"}]})") == "messages");
  CHECK(refusedForAnthropic(message(R"({"role": "function", "content": "x"})").c_str()) == "messages[].role");
  CHECK(refusedForAnthropic(message(R"({"role": "user", "content": [{"type": "file"}]})").c_str()) ==
        "messages[].content[].type");
  CHECK(refusedForAnthropic(
            message(R"({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "secret"}}]})")
                .c_str()) == "messages[].content[].image_url.url");
  CHECK(refusedForAnthropic(
            message(R"({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f",
                        "arguments": "secret"}}]})")
                .c_str()) == "messages[].tool_calls[].function.arguments");
  CHECK(refusedForAnthropic(
            R"({"messages": [{"role": "user", "content": "secret"}], "tools": [{"type": "web_search"}]})") ==
        "tools[].type");

  CHECK(refusedForOpenAi(message(R"({"role": "system", "content": "x"})").c_str()) == "messages[].role");
  CHECK(refusedForOpenAi(message(R"({"role": "user", "content": [{"type": "document"}]})").c_str()) ==
        "messages[].content[].type");
  CHECK(refusedForOpenAi(message(R"({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c",
                                     "content": [{"type": "image"}]}]})")
                             .c_str()) == "messages[].content[].content");
  CHECK(refusedForOpenAi(R"({"messages": [], "tools": [{"type": "web_search_20250305", "name": "w"}]})") ==
        "tools[].type");
}

TEST_CASE("members of any other type do no harm", "[route]") {
  const std::vector<json> others{nullptr,          true,          -1, 1.5, "text", json::array(),
                                 json::array({1}), json::object()};
  for (const char* const source : {openAiConversation, anthropicConversation}) {
    const json conversation = json::parse(source);
    const json flat = conversation.flatten();
    for (const auto& place : flat.items()) {
      for (const json& other : others) {
        json changed = conversation;
        changed[json::json_pointer(place.key())] = other;
        for (auto* const convert : {&toAnthropicForm, &toOpenAiForm}) {
          try {
            (void)convert(changed);
          } catch (const lukhas::Error& error) {
            CHECK(error.code() == RouteErrc::not_expressible);
          }
        }
      }
    }
  }
}

}  // namespace conversation_form_test
