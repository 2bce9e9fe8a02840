// Whatever bytes come in: the SSE parser and both providers read them or refuse them, the same however they
// are cut, within bounded memory.
#include <deque>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/route/anthropic_form.hpp"
#include "lukhas/route/openai_form.hpp"
#include "lukhas/route/provider.hpp"
#include "lukhas/sim/simulated_dialect.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"

namespace provider_fuzz_test {

using lukhas::ModelAnswer;
using lukhas::ModelDelta;
using lukhas::ModelFault;
using lukhas::ModelProtocol;
using lukhas::ModelReply;
using lukhas::SplitMix;
using nlohmann::json;

std::string streamOf(ModelProtocol protocol) {
  const lukhas::detail::SimulatedEvents events(protocol, {"m", "", 1, 0, 3, 4});
  return events.beginning() + events.piece("one ") + events.piece("zw\u00f6lf \u2603") + events.end();
}

// Some bytes changed, left out, doubled, or put elsewhere.
std::string mutated(std::string bytes, SplitMix& chance) {
  const std::string_view spice =
      "\n\r\n\n:{}[]\",\\ \0\xFF\xEF\xBB\xBF"
      "data: event: error 0e-";
  for (std::uint64_t changes = 1 + chance.below(8); changes > 0 && !bytes.empty(); --changes) {
    const std::size_t at = chance.below(bytes.size());
    const std::size_t length = std::min<std::size_t>(bytes.size() - at, 1 + chance.below(20));
    switch (chance.below(6)) {
      case 0: bytes[at] = static_cast<char>(chance.next()); break;
      case 1: bytes[at] = spice[chance.below(spice.size())]; break;
      case 2: bytes.erase(at, length); break;
      case 3: bytes.insert(at, bytes.substr(chance.below(bytes.size()), length)); break;
      case 4: bytes.resize(at); break;
      default: bytes.insert(at, 1, spice[chance.below(spice.size())]);
    }
  }
  return bytes;
}

struct Reading {
  std::vector<std::string> deltas;
  bool fault = false;
  bool complete = false;

  bool operator==(const Reading&) const = default;
};

template <class Provider>
Reading readIn(std::string_view bytes, SplitMix& chance, std::size_t mostBytes) {
  const auto decoder = lukhas::providerFunctions<Provider>().makeDecoder();
  std::deque<ModelDelta> deltas;
  Reading reading;
  while (!bytes.empty() && !reading.fault) {
    const std::size_t length = std::min<std::size_t>(bytes.size(), 1 + chance.below(mostBytes));
    reading.fault = decoder->read(bytes.substr(0, length), deltas).has_value();
    bytes.remove_prefix(length);
  }
  for (const ModelDelta& delta : deltas) reading.deltas.push_back(delta.text + "|" + delta.event.dump());
  reading.complete = decoder->isComplete();
  return reading;
}

template <class Provider>
void fuzzStreams(ModelProtocol protocol) {
  SplitMix chance(7);
  const std::string good = streamOf(protocol);
  std::uint64_t broken = 0;
  const std::uint64_t runs = test::runs(10'000, 500'000);
  for (std::uint64_t run = 0; run < runs; ++run) {
    const std::string bytes = mutated(good, chance);
    const Reading whole = readIn<Provider>(bytes, chance, std::size_t{1} << 20U);
    const Reading pieces = readIn<Provider>(bytes, chance, 1 + chance.below(30));
    REQUIRE(whole == pieces);
    broken += whole.fault || !whole.complete ? 1U : 0U;
  }
  CHECK(broken > runs / 10);
  CHECK(broken < runs);
}

TEST_CASE("a damaged stream is read the same however it is cut", "[route]") {
  fuzzStreams<lukhas::OpenAiProvider>(ModelProtocol::openai);
  fuzzStreams<lukhas::AnthropicProvider>(ModelProtocol::anthropic);
}

TEST_CASE("a damaged answer is read or refused", "[route]") {
  SplitMix chance(8);
  std::uint64_t refused = 0;
  const std::uint64_t runs = test::runs(20'000, 1'000'000);
  for (std::uint64_t run = 0; run < runs; ++run) {
    const ModelProtocol protocol = run % 2 == 0 ? ModelProtocol::openai : ModelProtocol::anthropic;
    const std::string good = lukhas::detail::simulatedAnswer(protocol, {"m", "zw\u00f6lf", 1, 0, 3, 4});
    const std::string bytes = mutated(good, chance);
    const int status = chance.below(4) == 0 ? static_cast<int>(chance.below(700)) : 200;
    const auto& provider = protocol == ModelProtocol::openai
                               ? lukhas::providerFunctions<lukhas::OpenAiProvider>()
                               : lukhas::providerFunctions<lukhas::AnthropicProvider>();
    const ModelAnswer answer = provider.readAnswer(status, bytes);
    if (const auto* const fault = std::get_if<ModelFault>(&answer)) {
      REQUIRE(fault->message.size() <= bytes.size() + 4096);
      ++refused;
    } else {
      REQUIRE((status >= 200 && status < 300));
      (void)std::get<ModelReply>(answer).body.dump();
    }
  }
  CHECK(refused > runs / 10);
  CHECK(refused < runs);
}

TEST_CASE("an answer that is nested without end is refused", "[route]") {
  const std::string deep = R"({"choices":)" + std::string(200'000, '[');
  for (const auto* const provider : {&lukhas::providerFunctions<lukhas::OpenAiProvider>(),
                                     &lukhas::providerFunctions<lukhas::AnthropicProvider>()}) {
    CHECK(std::holds_alternative<ModelFault>(provider->readAnswer(200, deep)));
    std::deque<ModelDelta> deltas;
    CHECK(provider->makeDecoder()->read("event: message_delta\ndata: " + deep + "\n\n", deltas));
  }
}

// Any JSON, of the words that conversations are made of.
json anyJson(SplitMix& chance, unsigned depth) {
  static const char* const words[] = {"role",   "user",        "assistant", "tool",   "system",  "content",
                                      "type",   "text",        "tool_use",  "id",     "name",    "input",
                                      "source", "tool_result", "image",     "base64", "function"};
  const auto word = [&] { return std::string(words[chance.below(std::size(words))]); };
  switch (chance.below(depth == 0 ? 4 : 7)) {
    case 0: return nullptr;
    case 1: return word();
    case 2: return chance.below(2) == 0;
    case 3: return static_cast<std::int64_t>(chance.next());
    case 4: {
      json list = json::array();
      for (std::uint64_t left = chance.below(4); left > 0; --left) list.push_back(anyJson(chance, depth - 1));
      return list;
    }
    default: {
      json object = json::object();
      for (std::uint64_t left = chance.below(6); left > 0; --left)
        object[word()] = anyJson(chance, depth - 1);
      return object;
    }
  }
}

TEST_CASE("any conversation is said in the other form or refused by name", "[route]") {
  SplitMix chance(9);
  for (std::uint64_t run = 0; run < test::runs(20'000, 1'000'000); ++run) {
    json context = anyJson(chance, 3);
    if (!context.is_object()) context = json::object();
    json messages = json::array();
    for (std::uint64_t left = 1 + chance.below(4); left > 0; --left) {
      json message = anyJson(chance, 3);
      if (!message.is_object()) message = json::object();
      if (chance.below(4) != 0) message["role"] = chance.below(2) == 0 ? "user" : "assistant";
      messages.push_back(std::move(message));
    }
    context["messages"] = std::move(messages);
    for (auto* const convert : {&lukhas::toAnthropicForm, &lukhas::toOpenAiForm}) {
      try {
        const json form = convert(context);
        REQUIRE(form.at("messages").is_array());
      } catch (const lukhas::Error& error) {
        REQUIRE(error.code() == lukhas::RouteErrc::not_expressible);
        REQUIRE(error.details().at("field").is_string());
      }
    }
  }
}

}  // namespace provider_fuzz_test
