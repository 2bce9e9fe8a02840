#include <string>

#include "support/catch.hpp"
#include "unit/route/stream_world.hpp"

namespace model_router_forms_test {

using lukhas::ModelDescription;
using lukhas::ModelProtocol;
using lukhas::RouteErrc;
using lukhas::RouteRequest;
using lukhas::test::Ending;
using lukhas::test::RouterFixture;
using lukhas::test::StreamEnding;
using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto anthropic = ModelProtocol::anthropic;

void speakAnthropic(ModelDescription& model) { model.protocol = anthropic; }

RouteRequest inForm(ModelProtocol form, json context = lukhas::test::helloContext()) {
  return std::move(RouteRequest("req-1", std::move(context), {"chat"}).inForm(form));
}

Ending ask(RouterFixture& f, RouteRequest request) {
  Ending ending;
  f.world.spawn(routeInto(f.world.environment(), *f.router, std::move(request), ending));
  f.world.run();
  REQUIRE(ending.ended);
  CHECK(f.world.openConnections() == 0);
  return ending;
}
StreamEnding stream(RouterFixture& f, RouteRequest request) {
  StreamEnding ending;
  f.world.spawn(streamInto(f.world.environment(), *f.router, std::move(request), ending));
  f.world.run();
  REQUIRE(ending.ended);
  CHECK(f.world.openConnections() == 0);
  return ending;
}

TEST_CASE("models of both protocols answer conversations of both forms, whole and as streams", "[route]") {
  for (const ModelProtocol form : {ModelProtocol::openai, anthropic}) {
    for (const ModelProtocol protocol : {ModelProtocol::openai, anthropic}) {
      RouterFixture f(0);
      f.add("a", [&](ModelDescription& model) { model.protocol = protocol; })
          .speaks(protocol)
          .reply("one two");
      CHECK(ask(f, inForm(form)).text == "one two");
      const StreamEnding streamed = stream(f, inForm(form));
      CHECK(streamed.text == "one two");
      CHECK(streamed.finishReason == (protocol == anthropic ? "end_turn" : "stop"));
      CHECK_FALSE(streamed.error);
      CHECK(f.router->getMetrics().modelOutputTokens.at("a") == 4);
    }
  }
}

TEST_CASE("a request fails over to a model of the other protocol", "[route]") {
  RouterFixture f(1);
  f.add("b", speakAnthropic).speaks(anthropic);
  f.served("a").failNext(1, 503);
  const Ending ending = ask(f, inForm(ModelProtocol::openai));
  CHECK(ending.model == "b");
  CHECK(ending.attempts == 2);
  f.served("a").overloadStreams(1);
  CHECK(stream(f, inForm(ModelProtocol::openai)).model == "b");
}

TEST_CASE("a conversation that the model's protocol cannot say goes to the next model", "[route]") {
  RouterFixture f(0);
  f.add("a", speakAnthropic).speaks(anthropic);
  json context = lukhas::test::helloContext();
  context["n"] = 2;
  const Ending alone = ask(f, inForm(ModelProtocol::openai, context));
  CHECK(alone.error == RouteErrc::not_expressible);
  CHECK(alone.details.at("field") == "n");
  CHECK(alone.details.at("modelId") == "a");
  CHECK(f.served("a").requests() == 0);

  f.add("b");
  const Ending ending = ask(f, inForm(ModelProtocol::openai, context));
  CHECK(ending.model == "b");
  CHECK(f.served("a").requests() == 0);
  CHECK(f.router->circuit("a") == lukhas::CircuitState::closed);
}

TEST_CASE("Anthropic's overload is left for the next model, before and in a stream", "[route]") {
  RouterFixture f(0);
  f.add("a", speakAnthropic).speaks(anthropic).failNext(1, 529, {}, R"({"type":"error","error":
    {"type":"overloaded_error","message":"Overloaded"}})");
  f.add("b", speakAnthropic).speaks(anthropic);
  CHECK(ask(f, inForm(anthropic)).model == "b");
  f.served("a").overloadStreams(1);
  CHECK(stream(f, inForm(anthropic)).model == "b");
  f.served("a").reply("one two three").endStreamsEarly(1, 2);
  const StreamEnding cut = stream(f, inForm(anthropic));
  CHECK(cut.error == RouteErrc::stream_interrupted);
  CHECK(cut.details.at("text") == "one two ");
}

TEST_CASE("a protocol that is not known is refused, for models and for requests", "[route]") {
  RouterFixture f(1);
  const auto unknown = static_cast<ModelProtocol>(7);
  CHECK_THROWS_AS(f.add("x", [&](ModelDescription& model) { model.protocol = unknown; }), lukhas::Error);
  CHECK(ask(f, inForm(unknown)).error == lukhas::Errc::invalid_argument);
}

// A protocol of one's own: a request of one word, an answer of one word.
struct PlainReader {
  std::optional<lukhas::ModelFault> read(const lukhas::SseEvent& event,
                                         std::deque<lukhas::ModelDelta>& deltas) {
    lukhas::ModelDelta delta;
    delta.text = event.data;
    deltas.push_back(std::move(delta));
    return std::nullopt;
  }
  [[nodiscard]] bool isComplete() const noexcept { return true; }
  [[nodiscard]] bool isDone() const noexcept { return false; }
};
struct PlainProvider {
  static constexpr ModelProtocol form = ModelProtocol::openai;
  using StreamReader = PlainReader;
  static lukhas::HttpRequest makeRequest(const ModelDescription& model, const json& context,
                                         lukhas::Delivery delivery) {
    return lukhas::OpenAiProvider::makeRequest(model, context, delivery);
  }
  static lukhas::ModelAnswer readAnswer(int, std::string_view body) {
    return lukhas::ModelReply(json(std::string(body)), "plain", "", {});
  }
  static void authorize(lukhas::HttpRequest&, std::string_view) {}
};

TEST_CASE("a model may speak a protocol of the caller's own", "[route]") {
  RouterFixture f(0);
  f.add("a", [](ModelDescription& model) { model.provider = &lukhas::providerFunctions<PlainProvider>(); });
  CHECK(ask(f, inForm(ModelProtocol::openai)).text == "plain");
  CHECK(stream(f, inForm(ModelProtocol::openai)).text.find("chat.completion.chunk") != std::string::npos);
}

}  // namespace model_router_forms_test
