// The checks of route/model.hpp.
#pragma once

#include <charconv>

#include <fmt/format.h>

#include "lukhas/core/option_check.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/core/quoted_text.hpp"

namespace lukhas {
namespace detail {

inline constexpr std::size_t maxRouteIdBytes = 256;
inline constexpr const char* routeIdRule = "1 to 256 bytes of UTF-8 without control characters";

// Fit for metrics and logs.
inline bool isRouteId(std::string_view id) {
  return !id.empty() && id.size() <= maxRouteIdBytes && isUtf8(id) &&
         std::none_of(id.begin(), id.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

inline bool isModelProtocol(ModelProtocol protocol) noexcept {
  return protocol == ModelProtocol::openai || protocol == ModelProtocol::anthropic;
}

inline bool isPort(std::string_view text) noexcept {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

// host, host:port, [address], [address]:port
inline bool isHostAndPort(std::string_view text) noexcept {
  std::size_t hostEnd = text.find(':');
  if (text.starts_with('[')) {
    const std::size_t bracket = text.find(']');
    if (bracket == std::string_view::npos || bracket == 1) return false;
    hostEnd = bracket + 1;
    if (hostEnd == text.size()) return true;
    if (text[hostEnd] != ':') return false;
  }
  if (hostEnd == std::string_view::npos) return !text.empty();
  return hostEnd > 0 && isPort(text.substr(hostEnd + 1));
}

inline std::string_view withoutScheme(std::string_view url) noexcept {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (url.starts_with(scheme)) return url.substr(scheme.size());
  }
  return {};
}

inline bool isModelUrl(std::string_view url) noexcept {
  const std::string_view rest = withoutScheme(url);
  const auto forbidden = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f || c == '?' || c == '#' || c == '@' ||
           c == '\\';
  };
  return std::none_of(url.begin(), url.end(), forbidden) && isHostAndPort(rest.substr(0, rest.find('/')));
}

// A refused address may hold a password before its '@' or a key after its '?': those parts are not repeated.
// A password may itself hold '@', '/', '?' and '#', so all before the last '@' is taken for one. Where a '?'
// or '#' stands before that '@', it may as well be the query that holds an '@': then nothing is shown.
inline std::string printableUrl(std::string_view url) {
  constexpr std::string_view mask = "***";
  constexpr std::string_view marks = "?#";
  const std::string_view rest = withoutScheme(url);
  std::string shown(rest.empty() ? std::string_view() : url.substr(0, url.size() - rest.size()));
  if (!rest.empty()) url = rest;
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos) {
    shown += mask;
    if (url.substr(0, at).find_first_of(marks) != std::string_view::npos) return shown;
    url.remove_prefix(at);
  }
  const std::size_t secret = url.find_first_of(marks);
  shown += url.substr(0, secret);
  if (secret != std::string_view::npos) shown.append(url.substr(secret, 1)).append(mask);
  return shown;
}

}  // namespace detail

inline void checkModel(const ModelDescription& model) {
  using namespace std::chrono_literals;
  const auto requireName = [](const std::string& who, std::string_view option, const std::string& name) {
    requireOptionRule(who, option, quotedText(name, detail::maxRouteIdBytes), detail::isRouteId(name),
                      detail::routeIdRule);
  };
  requireName("ModelRouter", "model.id", model.id);
  const std::string who = fmt::format("ModelRouter, model {}", quotedText(model.id, detail::maxRouteIdBytes));
  requireOptionRule(
      who, "model.url", quotedText(detail::printableUrl(model.url), 1024), detail::isModelUrl(model.url),
      "http:// or https://, a host, a port of 1 to 65535 and a path, without user, query or fragment");
  requireOptionRule(who, "model.protocol", static_cast<int>(model.protocol),
                    detail::isModelProtocol(model.protocol), "openai or anthropic");
  for (const std::string& capability : model.capabilities) requireName(who, "model.capabilities", capability);
  requireOption(who, "model.weight", model.weight, 1U, 1'000U);
  requireOption(who, "model.maxOutputTokens", model.maxOutputTokens, 1U, 10'000'000U);
  requireOption(who, "model.maxConcurrent", model.maxConcurrent, 1U, 100'000U);
  requireOption(who, "model.timeout", model.timeout, 1ms, 24h);
  requireOption(who, "model.firstTokenTimeout", model.firstTokenTimeout, 0ns, 24h);
  requireOption(who, "model.betweenTokensTimeout", model.betweenTokensTimeout, 1ms, 24h);
  requireOption(who, "model.connectTimeout", model.connectTimeout, 1ms, 24h);
  if (!model.modelName.empty()) requireName(who, "model.modelName", model.modelName);
}

namespace detail {

[[noreturn]] inline void refuseRequest(const RouteRequest& request, std::string_view argument,
                                       const std::string& rule) {
  throw Error(
      Errc::invalid_argument,
      fmt::format("route request {}: {} {}", quotedText(request.id(), maxRouteIdBytes), argument, rule),
      {{"argument", argument}, {"requestId", cleanText(request.id(), maxRouteIdBytes)}, {"allowed", rule}});
}

}  // namespace detail

inline void checkRequest(const RouteRequest& request) {
  const auto refuse = [&request](std::string_view argument, const std::string& rule) {
    detail::refuseRequest(request, argument, rule);
  };
  if (!detail::isRouteId(request.id())) refuse("id", std::string("must be ") + detail::routeIdRule);
  const nlohmann::json& context = request.context();
  if (!context.is_object())
    refuse("context", fmt::format("must be a JSON object; it is of type {}", context.type_name()));
  const auto messages = context.find("messages");
  if (messages == context.end()) refuse("context", "must have the array messages");
  if (!messages->is_array())
    refuse("context.messages", fmt::format("must be an array; it is of type {}", messages->type_name()));
  if (messages->empty()) refuse("context.messages", "must hold at least one message");
  for (const nlohmann::json& message : *messages) {
    if (!message.is_object())
      refuse("context.messages", fmt::format("must hold objects; one is of type {}", message.type_name()));
  }
  if (!detail::isModelProtocol(request.form())) refuse("form", "must be openai or anthropic");
  if (request.session().size() > detail::maxRouteIdBytes) refuse("session", "must have at most 256 bytes");
  for (const std::string& requirement : request.requirements()) {
    if (!detail::isRouteId(requirement))
      refuse("requirements", std::string("must each be ") + detail::routeIdRule);
  }
}

inline Error duplicateModel(std::string_view id) {
  return {RouteErrc::duplicate_model,
          fmt::format("a model {} is registered already", quotedText(id, detail::maxRouteIdBytes)),
          {{"modelId", cleanText(id, detail::maxRouteIdBytes)}}};
}

inline Error unknownModel(std::string_view id) {
  return {RouteErrc::unknown_model,
          fmt::format("no model {} is registered", quotedText(id, detail::maxRouteIdBytes)),
          {{"modelId", cleanText(id, detail::maxRouteIdBytes)}}};
}

}  // namespace lukhas
