#include "lukhas/ttl/detail/ttl_rules.hpp"

#include <chrono>
#include <optional>

#include "support/catch.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::OutOfRangeTtl;
using lukhas::TTLEnforcementEngineOptions;
using lukhas::TtlPolicy;
using lukhas::detail::rulesOf;

TEST_CASE("a policy changes what it sets and nothing else", "[ttl]") {
  const TTLEnforcementEngineOptions options;
  const auto plain = rulesOf(options, TtlPolicy{});
  CHECK((plain.defaultTtl == 5min && plain.minTtl == 30s && plain.maxTtl == 1h));
  CHECK((plain.gracePeriod == 5s && plain.expiringSoonWindow == 0s));
  CHECK(plain.outOfRangeTtl == OutOfRangeTtl::clamp);
  const auto changed = rulesOf(options, {.maxTtl = 2h, .expiringSoonWindow = 1min});
  CHECK((changed.defaultTtl == 5min && changed.maxTtl == 2h && changed.expiringSoonWindow == 1min));
}

TEST_CASE("every TTL is granted or clamped or refused by the policy and none wraps round", "[ttl]") {
  const TTLEnforcementEngineOptions options;
  const auto clamping = rulesOf(options, {});
  const auto refusing = rulesOf(options, {.outOfRangeTtl = OutOfRangeTtl::refuse});
  struct Case {
    Duration asked;
    Duration granted;
  };
  const Case cases[] = {
      {Duration::min(), 30s}, {-1h, 30s},           {-1ns, 30s}, {0s, 30s}, {1ns, 30s}, {2h, 1h},
      {1h + 1ns, 1h},         {Duration::max(), 1h}};
  for (const Case& each : cases) {
    CHECK(clamping.grant("key", "", each.asked) == each.granted);
    CHECK_THROWS_AS(refusing.grant("key", "", each.asked), lukhas::Error);
  }
  for (const Duration fitting : {Duration(30s), Duration(31s), Duration(1h)}) {
    CHECK(clamping.grant("key", "", fitting) == fitting);
    CHECK(refusing.grant("key", "", fitting) == fitting);
  }
}
