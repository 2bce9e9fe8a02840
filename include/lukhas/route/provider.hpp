// Provider: what a protocol has to know about its requests and answers. Pure: bytes in, bytes out.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "lukhas/route/anthropic_provider.hpp"
#include "lukhas/route/delivery.hpp"
#include "lukhas/route/http_message.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/openai_provider.hpp"
#include "lukhas/route/provider_answer.hpp"
#include "lukhas/route/stream_reader.hpp"

namespace lukhas {

// A protocol, as static members.
//
// form                                    in which form makeRequest() wants the conversation; the router
//                                         brings it into that.
// makeRequest(model, context, delivery)   the request without the key, which is added where it is sent.
//                                         `context` has passed checkRequest(). Throws Errc::invalid_argument
//                                         for what cannot be written down.
// readAnswer(status, body)                what came back in one piece. Never throws, whatever the bytes are.
// authorize(request, key)                 adds the key.
// StreamReader                            reads what comes as a stream.
//
// For a protocol of your own:
//
//   router.registerModel({.id = "mine", .url = "…", .provider = &lukhas::providerFunctions<MyProvider>()});
template <class P>
concept Provider = StreamReader<typename P::StreamReader> &&
    requires(const ModelDescription& model, const nlohmann::json& context, HttpRequest& request) {
  { P::form } -> std::convertible_to<ModelProtocol>;
  { P::makeRequest(model, context, Delivery{}) } -> std::same_as<HttpRequest>;
  { P::readAnswer(int{}, std::string_view{}) } -> std::same_as<ModelAnswer>;
  { P::authorize(request, std::string_view{}) } -> std::same_as<void>;
};

// The same as functions that the router calls.
struct ProviderFunctions {
  ModelProtocol form;
  HttpRequest (*makeRequest)(const ModelDescription&, const nlohmann::json&, Delivery);
  ModelAnswer (*readAnswer)(int, std::string_view);
  void (*authorize)(HttpRequest&, std::string_view);
  std::unique_ptr<StreamDecoder> (*makeDecoder)();
};

template <Provider P>
[[nodiscard]] const ProviderFunctions& providerFunctions() noexcept {
  static constexpr ProviderFunctions functions{
      P::form,
      [](const ModelDescription& model, const nlohmann::json& context, Delivery delivery) {
        return P::makeRequest(model, context, delivery);
      },
      [](int status, std::string_view body) { return P::readAnswer(status, body); },
      [](HttpRequest& request, std::string_view key) { P::authorize(request, key); },
      []() -> std::unique_ptr<StreamDecoder> {
        return std::make_unique<StreamDecoderOf<typename P::StreamReader>>();
      }};
  return functions;
}

// Those of the protocol that the model speaks.
[[nodiscard]] inline const ProviderFunctions& providerOf(const ModelDescription& model) noexcept {
  if (model.provider != nullptr) return *model.provider;
  return model.protocol == ModelProtocol::anthropic ? providerFunctions<AnthropicProvider>()
                                                    : providerFunctions<OpenAiProvider>();
}

}  // namespace lukhas
