#include "lukhas/ttl/detail/ttl_rules.hpp"

#include <chrono>
#include <optional>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::OutOfRangeTtl;
using lukhas::TTLEnforcementEngineOptions;
using lukhas::TtlPolicy;
using lukhas::detail::rulesOf;
using lukhas::detail::TtlRuleBook;

TEST_CASE("a policy changes what it sets and nothing else", "[ttl]") {
  const TTLEnforcementEngineOptions options;
  const auto plain = rulesOf(options, TtlPolicy{});
  CHECK((plain.defaultTtl == 5min && plain.minTtl == 30s && plain.maxTtl == 1h));
  CHECK((plain.gracePeriod == 5s && plain.expiringSoonWindow == 0s));
  CHECK(plain.outOfRangeTtl == OutOfRangeTtl::clamp);
  const auto changed = rulesOf(options, {.maxTtl = 2h, .expiringSoonWindow = 1min});
  CHECK((changed.defaultTtl == 5min && changed.maxTtl == 2h && changed.expiringSoonWindow == 1min));
}

TEST_CASE("a type without a policy lives by the general rules", "[ttl]") {
  const TTLEnforcementEngineOptions options{.policies = {{"session", {.defaultTtl = 10min}}}};
  const TtlRuleBook book(options);
  CHECK(book.of("session").defaultTtl == 10min);
  CHECK(book.of("sessio").defaultTtl == 5min);
  CHECK(&book.of("") == &book.of("cache"));
}

TEST_CASE("names from outside are quoted and made valid UTF-8", "[ttl]") {
  CHECK(lukhas::quotedText("a\n\"b\"") == R"("a\n\"b\"")");
  CHECK(lukhas::cleanText("\xff") == "\xEF\xBF\xBD");
}
