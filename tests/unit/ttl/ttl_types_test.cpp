#include "lukhas/ttl/detail/ttl_types.hpp"

#include <chrono>
#include <string>

#include "support/catch.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::TTLEnforcementEngineOptions;
using lukhas::TtlErrc;
using lukhas::detail::TtlTypes;
using lukhas::test::refusalOf;

TEST_CASE("a type without a policy lives by the general rules", "[ttl]") {
  const TTLEnforcementEngineOptions options{.policies = {{"session", {.defaultTtl = 10min}}}};
  TtlTypes types(options, 1);
  CHECK(types.rulesOf("session").defaultTtl == 10min);
  CHECK(types.rulesOf("sessio").defaultTtl == 5min);
  CHECK(types.rulesOf("").defaultTtl == 5min);
  CHECK(types.size() == 2);  // asking for rules is no use of a type
}

TEST_CASE("a type keeps its number and its address", "[ttl]") {
  TtlTypes types({.maxTypes = 2'000}, 1);
  const auto& first = types.learn("first");
  CHECK(types.learn("").number == 0);
  for (int i = 0; i < 1'999; ++i) (void)types.learn(std::to_string(i));
  CHECK(&types.learn("first") == &first);
  CHECK(&types[first.number] == &first);
  CHECK(first.name == "first");
  CHECK(types.size() == 2'001);
}

TEST_CASE("one type more than the maximum is refused and those of policies do not count", "[ttl]") {
  TtlTypes types({.maxTypes = 1, .policies = {{"session", {}}, {"cache", {}}}}, 1);
  CHECK_NOTHROW(types.learn("session"));
  CHECK_NOTHROW(types.learn("one"));
  const auto error = refusalOf([&] { (void)types.learn("two\n"); });
  CHECK(error.code() == TtlErrc::too_many_types);
  CHECK(error.details().dump() == R"({"maximum":4,"type":"two\n"})");
  CHECK_NOTHROW(types.learn("one"));
  CHECK(types.size() == 4);
}
