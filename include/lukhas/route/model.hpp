// Models and requests as the router's users describe them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "lukhas/core/name_list.hpp"
#include "lukhas/route/route_error.hpp"

namespace lukhas {

// How a model's endpoint wants to be spoken to; also the form in which a conversation is written down.
enum class ModelProtocol : std::uint8_t {
  openai,     // POST {url}/chat/completions
  anthropic,  // POST {url}/messages
};

struct ProviderFunctions;

// One endpoint that answers.
//
//   router.registerModel({.id = "local", .url = "http://127.0.0.1:8080/v1", .capabilities = {"chat"}});
//
// No API key stands here, only where it is found: descriptions may be copied, logged and printed.
struct ModelDescription {
  // What the model is called in replies, events, metrics and errors. 1 to 256 bytes of UTF-8, no control
  // characters.
  std::string id = {};
  // http or https, host, port and path up to where the protocol's own path begins. No user, query or
  // fragment: addresses are printed, and secrets do not belong there.
  std::string url = {};
  ModelProtocol protocol = ModelProtocol::openai;
  // A protocol of your own in its place: see Provider. Null: `protocol`.
  const ProviderFunctions* provider = nullptr;
  // Among the models that can do what a request requires, the highest is asked first; equals in the order of
  // registration.
  int priority = 0;
  // Among equals of priority, where ModelRouterOptions::balance goes by weight. 1 to 1,000.
  unsigned weight = 1;
  // What it can do: any words that requests use as requirements. None may be empty.
  NameList capabilities = {};
  // Requests under way at this model. With so many it is passed over, or waited for when there is no other. 1
  // to 100,000.
  std::size_t maxConcurrent = 8;
  // For one attempt, from sending to the end of the answer, of a stream to its first content; the request's
  // own deadline ends it earlier. The
  // default leaves time for two further attempts within the router's 30 s. 1 ms to 24 h.
  std::chrono::nanoseconds timeout = std::chrono::seconds(10);
  // From sending to the first content of a stream: text, a tool call or thinking. Zero: `timeout`. 0 to 24 h.
  std::chrono::nanoseconds firstTokenTimeout = std::chrono::nanoseconds::zero();
  // Of a stream, how long the caller waits for more once it has begun. What is no content (a ping, a comment)
  // does not extend it. 1 ms to 24 h.
  std::chrono::nanoseconds betweenTokensTimeout = std::chrono::seconds(20);
  // Name resolution, connection and TLS together. 1 ms to 24 h.
  std::chrono::nanoseconds connectTimeout = std::chrono::seconds(5);
  // What the endpoint calls the model. Empty: the id.
  std::string modelName = {};
  // The longest answer that is asked for where the protocol demands a number and the request names none. 1 to
  // 10,000,000.
  unsigned maxOutputTokens = 4096;
  // The environment variable that holds the API key, read for each attempt. Empty: none.
  std::string apiKeyEnvironment = {};
  // Gives the API key, called for each attempt: for keys that change. Comes before apiKeyEnvironment. Empty:
  // none.
  std::function<std::string()> apiKey = {};
};

// One question to whoever can answer it.
//
//   ModelReply reply = co_await router.route({"turn-1", context, {"chat"}});
class RouteRequest {
 public:
  // `context`: an object with the array `messages`; its other members (temperature, tools, …) go to the model
  // as they are, or, where it speaks the other protocol, as far as that has a word for them: see
  // toAnthropicForm() and toOpenAiForm(). `requirements`: capabilities that the model must have.
  RouteRequest(std::string id, nlohmann::json context, NameList requirements = {})
      : id_(std::move(id)), context_(std::move(context)), requirements_(std::move(requirements)) {}

  // Requests of one session go to the model that answered the one before, while it can be asked, whatever
  // its priority; see ModelRouterOptions::stickySessions. At most 256 bytes; empty: of no session.
  RouteRequest& ofSession(std::string session) & {
    session_ = std::move(session);
    return *this;
  }
  RouteRequest&& ofSession(std::string session) && { return std::move(ofSession(std::move(session))); }

  // In which protocol's form the context is written. Without this: OpenAI's.
  RouteRequest& inForm(ModelProtocol form) & noexcept {
    form_ = form;
    return *this;
  }
  RouteRequest&& inForm(ModelProtocol form) && noexcept { return std::move(inForm(form)); }

  // Nothing is lost when two models answer it at once: see ModelRouterOptions::hedgeDelay.
  RouteRequest& idempotent() & noexcept {
    idempotent_ = true;
    return *this;
  }
  RouteRequest&& idempotent() && noexcept { return std::move(idempotent()); }

  [[nodiscard]] const std::string& id() const noexcept { return id_; }
  [[nodiscard]] const std::string& session() const noexcept { return session_; }
  [[nodiscard]] const nlohmann::json& context() const noexcept { return context_; }
  [[nodiscard]] const NameList& requirements() const noexcept { return requirements_; }
  [[nodiscard]] ModelProtocol form() const noexcept { return form_; }
  [[nodiscard]] bool isIdempotent() const noexcept { return idempotent_; }

 private:
  std::string id_;
  nlohmann::json context_;
  NameList requirements_;
  std::string session_;
  ModelProtocol form_ = ModelProtocol::openai;
  bool idempotent_ = false;
};

// Whether everything that is required is offered.
[[nodiscard]] inline bool hasCapabilities(const NameList& offered, const NameList& required) {
  return std::all_of(required.begin(), required.end(), [&offered](const std::string& name) {
    return std::find(offered.begin(), offered.end(), name) != offered.end();
  });
}

// Throws Errc::invalid_option with the field, its value and what is allowed.
void checkModel(const ModelDescription& model);

// Throws Errc::invalid_argument.
void checkRequest(const RouteRequest& request);

// For a registration whose id is taken, and for an id that nobody registered.
[[nodiscard]] Error duplicateModel(std::string_view id);
[[nodiscard]] Error unknownModel(std::string_view id);

}  // namespace lukhas

#include "lukhas/route/impl/model.hpp"
