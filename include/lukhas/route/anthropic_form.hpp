// toAnthropicForm: a conversation in OpenAI's form, as Anthropic's protocol wants it.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/route/detail/form_error.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas {
namespace detail {

// The messages of one conversation, one after the other.
class AnthropicMessages {
 public:
  void add(const nlohmann::json& message) {
    const std::string role = textOf(memberOf(message, "role"));
    const nlohmann::json& content = memberOf(message, "content");
    if (role == "system" || role == "developer") {
      for (nlohmann::json& block : blocksOf(content)) system_.push_back(std::move(block));
    } else if (role == "user") {
      append("user", blocksOf(content));
    } else if (role == "assistant") {
      append("assistant", answerOf(message, content));
    } else if (role == "tool") {
      nlohmann::json result;
      result["type"] = "tool_result";
      result["tool_use_id"] = textOf(memberOf(message, "tool_call_id"));
      result["content"] = content.is_array() ? blocksOf(content) : nlohmann::json(textOf(content));
      append("user", nlohmann::json::array({std::move(result)}));
    } else {
      throw notExpressible("messages[].role", "is none of system, developer, user, assistant and tool");
    }
  }

  void moveTo(nlohmann::json& form) && {
    if (messages_.empty()) throw notExpressible("messages", "hold nothing but instructions");
    if (!system_.empty()) form["system"] = std::move(system_);
    form["messages"] = std::move(messages_);
  }

 private:
  // All results of one turn's calls have to stand in one message, so messages of one role become one.
  void append(const char* role, nlohmann::json blocks) {
    if (blocks.empty()) return;  // an empty message is refused there, and says nothing
    if (messages_.empty() || messages_.back()["role"] != role)
      messages_.push_back({{"role", role}, {"content", nlohmann::json::array()}});
    nlohmann::json& content = messages_.back()["content"];
    for (nlohmann::json& block : blocks) content.push_back(std::move(block));
  }

  static nlohmann::json textBlock(std::string text) {
    nlohmann::json block;
    block["type"] = "text";
    block["text"] = std::move(text);
    return block;
  }

  static nlohmann::json blocksOf(const nlohmann::json& content) {
    nlohmann::json blocks = nlohmann::json::array();
    if (content.is_array()) {
      for (const nlohmann::json& part : content) addPart(blocks, part);
    } else if (std::string text = textOf(content); !text.empty()) {
      blocks.push_back(textBlock(std::move(text)));
    }
    return blocks;
  }

  static void addPart(nlohmann::json& blocks, const nlohmann::json& part) {
    const std::string type = textOf(memberOf(part, "type"));
    if (type == "text" || type == "refusal") {
      std::string text = textOf(memberOf(part, type == "text" ? "text" : "refusal"));
      if (!text.empty()) blocks.push_back(textBlock(std::move(text)));
    } else if (type == "image_url") {
      blocks.push_back(
          {{"type", "image"}, {"source", imageSource(textOf(memberOf(memberOf(part, "image_url"), "url")))}});
    } else {
      throw notExpressible("messages[].content[].type", "is none of text, refusal and image_url");
    }
  }

  // An address, or data:TYPE;base64,BYTES.
  static nlohmann::json imageSource(const std::string& url) {
    constexpr std::string_view scheme = "data:";
    constexpr std::string_view encoding = ";base64,";
    if (url.starts_with("https://") || url.starts_with("http://")) return {{"type", "url"}, {"url", url}};
    const std::size_t mark = url.find(encoding);
    if (!url.starts_with(scheme) || mark == std::string::npos) {
      throw notExpressible("messages[].content[].image_url.url",
                           "is neither an http address nor data in base64");
    }
    nlohmann::json source;
    source["type"] = "base64";
    source["media_type"] = url.substr(scheme.size(), mark - scheme.size());
    source["data"] = url.substr(mark + encoding.size());
    return source;
  }

  static nlohmann::json answerOf(const nlohmann::json& message, const nlohmann::json& content) {
    if (!memberOf(message, "function_call").is_null())
      throw notExpressible("messages[].function_call", "is the old form of tool_calls");
    nlohmann::json blocks = blocksOf(content);
    const nlohmann::json& calls = memberOf(message, "tool_calls");
    if (!calls.is_array()) return blocks;
    for (const nlohmann::json& call : calls) {
      const nlohmann::json& function = memberOf(call, "function");
      nlohmann::json block;
      block["type"] = "tool_use";
      block["id"] = textOf(memberOf(call, "id"));
      block["name"] = textOf(memberOf(function, "name"));
      block["input"] = inputOf(textOf(memberOf(function, "arguments")));
      blocks.push_back(std::move(block));
    }
    return blocks;
  }

  static nlohmann::json inputOf(const std::string& arguments) {
    if (arguments.empty()) return nlohmann::json::object();
    nlohmann::json input = parseOutsideJson(arguments);
    if (!input.is_object())
      throw notExpressible("messages[].tool_calls[].function.arguments", "is not the text of a JSON object");
    return input;
  }

  nlohmann::json system_ = nlohmann::json::array();
  nlohmann::json messages_ = nlohmann::json::array();
};

[[nodiscard]] inline nlohmann::json anthropicTools(const nlohmann::json& tools) {
  nlohmann::json list = nlohmann::json::array();
  for (const nlohmann::json& tool : tools) {
    const nlohmann::json& function = memberOf(tool, "function");
    if (!function.is_object()) throw notExpressible("tools[].type", "is not function");
    nlohmann::json one;
    one["name"] = textOf(memberOf(function, "name"));
    if (std::string words = textOf(memberOf(function, "description")); !words.empty())
      one["description"] = std::move(words);
    const nlohmann::json& schema = memberOf(function, "parameters");
    one["input_schema"] = schema.is_object() ? schema : nlohmann::json{{"type", "object"}};
    list.push_back(std::move(one));
  }
  return list;
}

[[nodiscard]] inline nlohmann::json anthropicToolChoice(const nlohmann::json& choice) {
  if (choice == "auto" || choice == "none") return {{"type", choice}};
  if (choice == "required") return {{"type", "any"}};
  const nlohmann::json& name = memberOf(memberOf(choice, "function"), "name");
  if (!name.is_string())
    throw notExpressible("tool_choice", "is none of auto, none, required and a function");
  return {{"type", "tool"}, {"name", name}};
}

// What changes the answer's shape, so that leaving it out would be an answer to another question.
inline void refuseForAnthropic(const nlohmann::json& context) {
  const nlohmann::json& count = memberOf(context, "n");
  if (count.is_number() && count != 1) throw notExpressible("n", "asks for several answers");
  const nlohmann::json& format = memberOf(context, "response_format");
  if (format.is_object() && memberOf(format, "type") != "text")
    throw notExpressible("response_format", "asks for another form than text");
  if (memberOf(context, "logprobs") == true) throw notExpressible("logprobs", "asks for probabilities");
  if (memberOf(context, "audio").is_object()) throw notExpressible("audio", "asks for sound");
  if (memberOf(context, "functions").is_array())
    throw notExpressible("functions", "is the old form of tools");
}

}  // namespace detail

// `context` as Anthropic's messages, without the model's name.
//
// Instructions of all system messages stand at the beginning there. Messages of one role that follow each
// other become one, as all results of a turn's tools must. What both have under other names is renamed
// (max_completion_tokens, stop, tools, tool_choice, parallel_tool_calls, user); a temperature over 1 is 1.
// Hints without a counterpart (seed, penalties, logit_bias, reasoning_effort, …) and members that are not
// known are left out: that protocol refuses what it does not know.
//
// Throws RouteErrc::not_expressible, which names the field, for what would change the question: several
// answers, a prescribed format, probabilities, sound, files, and broken arguments of tools.
[[nodiscard]] inline nlohmann::json toAnthropicForm(const nlohmann::json& context) {
  using detail::memberOf;
  detail::refuseForAnthropic(context);
  nlohmann::json form = nlohmann::json::object();
  detail::AnthropicMessages messages;
  for (const nlohmann::json& message : memberOf(context, "messages")) messages.add(message);
  std::move(messages).moveTo(form);

  for (const char* const name : {"max_tokens", "max_completion_tokens"}) {
    if (memberOf(context, name).is_number()) form["max_tokens"] = memberOf(context, name);
  }
  const nlohmann::json& temperature = memberOf(context, "temperature");
  if (temperature.is_number()) form["temperature"] = temperature > 1 ? nlohmann::json(1) : temperature;
  if (memberOf(context, "top_p").is_number()) form["top_p"] = memberOf(context, "top_p");
  const nlohmann::json& stop = memberOf(context, "stop");
  if (stop.is_string()) form["stop_sequences"] = nlohmann::json::array({stop});
  if (stop.is_array()) form["stop_sequences"] = stop;
  const nlohmann::json& tools = memberOf(context, "tools");
  if (tools.is_array() && !tools.empty()) {
    form["tools"] = detail::anthropicTools(tools);
    const nlohmann::json& choice = memberOf(context, "tool_choice");
    if (!choice.is_null()) form["tool_choice"] = detail::anthropicToolChoice(choice);
    if (memberOf(context, "parallel_tool_calls") == false) {
      if (!form.contains("tool_choice")) form["tool_choice"] = {{"type", "auto"}};
      if (form["tool_choice"]["type"] != "none") form["tool_choice"]["disable_parallel_tool_use"] = true;
    }
  }
  if (memberOf(context, "user").is_string()) form["metadata"] = {{"user_id", memberOf(context, "user")}};
  return form;
}

}  // namespace lukhas
