// Provider: what a protocol has to know about its requests and answers. Pure: bytes in, bytes out.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

#include "lukhas/route/http_message.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/openai_provider.hpp"
#include "lukhas/route/provider_answer.hpp"

namespace lukhas {

// A protocol, as static functions.
//
// makeRequest(model, context)  the request without the key, which is added where it is sent. `context` has
// passed checkRequest().
//                              Throws Errc::invalid_argument for what cannot be written down.
// readAnswer(status, body)     what came back. Never throws, whatever the bytes are.
// authorize(request, key)      adds the key.
template <class P>
concept Provider = requires(const ModelDescription& model, const nlohmann::json& context,
                            HttpRequest& request) {
  { P::makeRequest(model, context) } -> std::same_as<HttpRequest>;
  { P::readAnswer(int{}, std::string_view{}) } -> std::same_as<ModelAnswer>;
  { P::authorize(request, std::string_view{}) } -> std::same_as<void>;
};

static_assert(Provider<OpenAiProvider>);

// Calls `use` with the provider of that protocol.
//
//   HttpRequest request = withProvider(
//       model.protocol, [&](auto provider) { return provider.makeRequest(model, context); });
template <class Use>
decltype(auto) withProvider(ModelProtocol protocol, Use&& use) {
  switch (protocol) {
    case ModelProtocol::openai: break;
  }
  return use(OpenAiProvider{});
}

}  // namespace lukhas
