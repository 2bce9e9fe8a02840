#include "lukhas/route/detail/partial_answer.hpp"

#include <string>
#include <utility>

#include "support/catch.hpp"

namespace partial_answer_test {

using lukhas::ModelDelta;
using lukhas::detail::PartialAnswer;
using nlohmann::json;

ModelDelta text(std::string words) {
  ModelDelta delta;
  delta.text = std::move(words);
  return delta;
}
ModelDelta call(std::size_t index, std::string id, std::string name, std::string arguments) {
  ModelDelta delta;
  delta.toolCalls.emplace_back(index, std::move(id), std::move(name), std::move(arguments));
  return delta;
}
json detailsOf(const PartialAnswer& answer) {
  json details;
  answer.describe(details);
  return details;
}

TEST_CASE("what a stream had said is told: text, thinking and calls of tools", "[route]") {
  PartialAnswer answer(1000);
  ModelDelta thinking;
  thinking.thinking = "Hm.";
  answer.add(thinking);
  answer.add(text("one "));
  answer.add(text("two"));
  CHECK(answer.canBeContinued());
  answer.add(call(0, "c1", "map", "{\"a\""));
  answer.add(call(0, "", "", ":1}"));
  answer.add(call(1, "c2", "sum", ""));
  CHECK(detailsOf(answer) == json::parse(R"({"text": "one two", "textCut": false, "thinking": "Hm.",
    "toolCalls": [{"id": "c1", "name": "map", "arguments": "{\"a\":1}"},
                  {"id": "c2", "name": "sum", "arguments": ""}]})"));
}

TEST_CASE("a stream is not gone on with after a call, a refusal, or text that was not kept", "[route]") {
  PartialAnswer called(1000);
  called.add(call(0, "c", "f", ""));
  CHECK_FALSE(called.canBeContinued());
  PartialAnswer refused(1000);
  ModelDelta refusal;
  refusal.refusal = "No.";
  refused.add(refusal);
  CHECK_FALSE(refused.canBeContinued());
  PartialAnswer cut(3);
  cut.add(text("four"));
  CHECK_FALSE(cut.canBeContinued());
}

TEST_CASE("a partial answer is bounded, keeps whole characters, and nothing after a gap", "[route]") {
  PartialAnswer answer(5);
  answer.add(text("abc"));
  answer.add(text("d\u00e4"));  // its second byte does not fit
  answer.add(text("x"));
  CHECK(detailsOf(answer) == json{{"text", "abcd"}, {"textCut", true}});

  PartialAnswer calls(100);
  calls.add(call(0, "c", "f", "12345"));
  calls.add(call(0, "", "", std::string(50, 'x')));
  calls.add(call(0, "", "", "6"));
  calls.add(call(7, "c", "f", ""));  // an index that leaves others out
  const json list = detailsOf(calls).at("toolCalls");
  REQUIRE(list.size() == 1);
  CHECK(list[0].at("arguments") == "12345");
}

}  // namespace partial_answer_test
