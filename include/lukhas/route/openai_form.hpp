// toOpenAiForm: a conversation in Anthropic's form, as OpenAI's protocol wants it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/route/detail/form_error.hpp"
#include "lukhas/route/detail/write_body.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas {
namespace detail {

// The messages of one conversation, one after the other.
class OpenAiMessages {
 public:
  void addSystem(const nlohmann::json& system) {
    std::string text = wordsOf(system, "system");
    if (!text.empty()) messages_.push_back({{"role", "system"}, {"content", std::move(text)}});
  }

  void add(const nlohmann::json& message) {
    const std::string role = textOf(memberOf(message, "role"));
    const nlohmann::json& content = memberOf(message, "content");
    if (role == "user") return addQuestion(content);
    if (role == "assistant") return addAnswer(content);
    throw notExpressible("messages[].role", "is neither user nor assistant");
  }

  [[nodiscard]] nlohmann::json take() && { return std::move(messages_); }

 private:
  // Text alone: a string, or blocks of text with an empty line between them.
  static std::string wordsOf(const nlohmann::json& content, std::string_view where) {
    if (!content.is_array()) return textOf(content);
    std::string words;
    for (const nlohmann::json& block : content) {
      if (memberOf(block, "type") != "text") throw notExpressible(where, "holds blocks other than text");
      if (!words.empty()) words += "\n\n";
      words += textOf(memberOf(block, "text"));
    }
    return words;
  }

  // The results of tools become messages of their own, and stand first: they answer the message before.
  void addQuestion(const nlohmann::json& content) {
    if (!content.is_array()) {
      messages_.push_back({{"role", "user"}, {"content", textOf(content)}});
      return;
    }
    nlohmann::json parts = nlohmann::json::array();
    for (const nlohmann::json& block : content) {
      const std::string type = textOf(memberOf(block, "type"));
      if (type == "tool_result") {
        nlohmann::json result;
        result["role"] = "tool";
        result["tool_call_id"] = textOf(memberOf(block, "tool_use_id"));
        result["content"] = wordsOf(memberOf(block, "content"), "messages[].content[].content");
        messages_.push_back(std::move(result));
      } else if (type == "text") {
        parts.push_back({{"type", "text"}, {"text", textOf(memberOf(block, "text"))}});
      } else if (type == "image") {
        parts.push_back(
            {{"type", "image_url"}, {"image_url", {{"url", imageUrl(memberOf(block, "source"))}}}});
      } else {
        throw notExpressible("messages[].content[].type", "is none of text, image and tool_result");
      }
    }
    if (parts.empty()) return;
    const bool onlyText = parts.size() == 1 && parts[0]["type"] == "text";
    messages_.push_back({{"role", "user"}, {"content", onlyText ? parts[0]["text"] : parts}});
  }

  static std::string imageUrl(const nlohmann::json& source) {
    const std::string type = textOf(memberOf(source, "type"));
    if (type == "url") return textOf(memberOf(source, "url"));
    if (type != "base64")
      throw notExpressible("messages[].content[].source.type", "is neither url nor base64");
    return "data:" + textOf(memberOf(source, "media_type")) + ";base64," + textOf(memberOf(source, "data"));
  }

  void addAnswer(const nlohmann::json& content) {
    nlohmann::json message;
    message["role"] = "assistant";
    std::string words = content.is_array() ? std::string() : textOf(content);
    nlohmann::json calls = nlohmann::json::array();
    for (const nlohmann::json& block : content.is_array() ? content : nlohmann::json::array()) {
      const std::string type = textOf(memberOf(block, "type"));
      if (type == "text") {
        words += textOf(memberOf(block, "text"));
      } else if (type == "tool_use") {
        const nlohmann::json& input = memberOf(block, "input");
        nlohmann::json function;
        function["name"] = textOf(memberOf(block, "name"));
        function["arguments"] = input.is_object() ? writeJson(input) : std::string("{}");
        calls.push_back(
            {{"id", textOf(memberOf(block, "id"))}, {"type", "function"}, {"function", std::move(function)}});
      } else if (type != "thinking" && type != "redacted_thinking") {
        throw notExpressible("messages[].content[].type", "is none of text, tool_use and thinking");
      }
    }
    if (words.empty() && calls.empty()) return;
    message["content"] = words.empty() ? nlohmann::json() : nlohmann::json(std::move(words));
    if (!calls.empty()) message["tool_calls"] = std::move(calls);
    messages_.push_back(std::move(message));
  }

  nlohmann::json messages_ = nlohmann::json::array();
};

[[nodiscard]] inline nlohmann::json openAiTools(const nlohmann::json& tools) {
  nlohmann::json list = nlohmann::json::array();
  for (const nlohmann::json& tool : tools) {
    const nlohmann::json& schema = memberOf(tool, "input_schema");
    if (!schema.is_object()) throw notExpressible("tools[].type", "is a tool that only that endpoint has");
    nlohmann::json function;
    function["name"] = textOf(memberOf(tool, "name"));
    if (std::string words = textOf(memberOf(tool, "description")); !words.empty())
      function["description"] = std::move(words);
    function["parameters"] = schema;
    list.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return list;
}

[[nodiscard]] inline nlohmann::json openAiToolChoice(const nlohmann::json& choice) {
  const std::string type = textOf(memberOf(choice, "type"));
  if (type == "auto" || type == "none") return type;
  if (type == "any") return "required";
  if (type != "tool") throw notExpressible("tool_choice.type", "is none of auto, any, none and tool");
  return {{"type", "function"}, {"function", {{"name", textOf(memberOf(choice, "name"))}}}};
}

}  // namespace detail

// `context` as OpenAI's chat completions, without the model's name.
//
// The system prompt becomes the first message, results of tools become messages of their own, thinking is
// left out of earlier turns. What both have under other names is renamed (stop_sequences, tools, tool_choice,
// metadata.user_id). Hints without a counterpart (top_k, thinking, cache_control, …) and members that are not
// known are left out.
//
// Throws RouteErrc::not_expressible, which names the field, for what would change the question: documents,
// images within the results of tools, and tools that only Anthropic's endpoint has.
[[nodiscard]] inline nlohmann::json toOpenAiForm(const nlohmann::json& context) {
  using detail::memberOf;
  nlohmann::json form = nlohmann::json::object();
  detail::OpenAiMessages messages;
  messages.addSystem(memberOf(context, "system"));
  for (const nlohmann::json& message : memberOf(context, "messages")) messages.add(message);
  form["messages"] = std::move(messages).take();

  for (const char* const name : {"max_tokens", "temperature", "top_p"}) {
    if (memberOf(context, name).is_number()) form[name] = memberOf(context, name);
  }
  if (memberOf(context, "stop_sequences").is_array()) form["stop"] = memberOf(context, "stop_sequences");
  const nlohmann::json& tools = memberOf(context, "tools");
  if (tools.is_array() && !tools.empty()) {
    form["tools"] = detail::openAiTools(tools);
    const nlohmann::json& choice = memberOf(context, "tool_choice");
    if (!choice.is_null()) form["tool_choice"] = detail::openAiToolChoice(choice);
    if (memberOf(choice, "disable_parallel_tool_use") == true) form["parallel_tool_calls"] = false;
  }
  const nlohmann::json& user = memberOf(memberOf(context, "metadata"), "user_id");
  if (user.is_string()) form["user"] = user;
  return form;
}

}  // namespace lukhas
