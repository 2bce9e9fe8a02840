#include "lukhas/ttl/ttl_enforcement_engine.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <type_traits>

#include "support/catch.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::Errc;
using lukhas::ExtendResult;
using lukhas::OutOfRangeTtl;
using lukhas::TtlErrc;
using lukhas::test::refusalOf;
using lukhas::test::TtlWorld;

static_assert(!std::is_copy_constructible_v<lukhas::TTLEnforcementEngine>);
static_assert(!std::is_move_constructible_v<lukhas::TTLEnforcementEngine>);

TEST_CASE("an entry without a TTL gets the default one", "[ttl]") {
  TtlWorld ttl;
  CHECK(ttl->registerEntry("key") == 5min);
  CHECK(ttl->isValid("key"));
  CHECK(ttl->getRemainingTTL("key") == 5min);
}

TEST_CASE("an entry is valid until its expiry and from that instant never again", "[ttl]") {
  for (const bool started : {false, true}) {
    TtlWorld ttl;
    if (started) ttl->start();
    ttl->registerEntry("key", 30s);
    ttl.world.runFor(30s - 1ns);
    CHECK(ttl->isValid("key"));
    CHECK(ttl->getRemainingTTL("key") == 1ns);
    ttl.world.runFor(1ns);
    CHECK_FALSE(ttl->isValid("key"));
    CHECK_FALSE(ttl->getRemainingTTL("key").has_value());
    ttl.world.runFor(1h);
    CHECK_FALSE(ttl->isValid("key"));
  }
}

TEST_CASE("a key that nobody registered is not valid", "[ttl]") {
  TtlWorld ttl;
  const std::string tooLong(257, 'k');
  for (const std::string& key : {std::string(), std::string("nobody"), tooLong}) {
    CHECK_FALSE(ttl->isValid(key));
    CHECK_FALSE(ttl->getRemainingTTL(key).has_value());
    CHECK_FALSE(ttl->refresh(key));
    CHECK_FALSE(ttl->extend(key, 1min));
    CHECK_FALSE(ttl->unregister(key));
  }
}

TEST_CASE("a TTL is accepted at both ends of its range and clamped beyond them", "[ttl]") {
  TtlWorld ttl;
  CHECK(ttl->registerEntry("a", 30s) == 30s);
  CHECK(ttl->registerEntry("b", 1h) == 1h);
  CHECK(ttl->registerEntry("c", 30s - 1ns) == 30s);
  CHECK(ttl->registerEntry("d", 1h + 1ns) == 1h);
  CHECK(ttl->registerEntry("e", -1s) == 30s);
  CHECK(ttl->registerEntry("f", 0s) == 30s);
  CHECK(ttl->registerEntry("g", lukhas::Duration::max()) == 1h);
  CHECK(ttl->registerEntry("h", std::chrono::hours::max()) == 1h);  // no nanoseconds hold that
  CHECK(ttl->registerEntry("i", std::chrono::hours::min()) == 30s);
  CHECK(ttl->getRemainingTTL("d") == 1h);
}

TEST_CASE("a TTL out of range is refused with its figures where the options say so", "[ttl]") {
  TtlWorld ttl({.outOfRangeTtl = OutOfRangeTtl::refuse});
  CHECK_NOTHROW(ttl->registerEntry("low", 30s));
  CHECK_NOTHROW(ttl->registerEntry("high", 1h));
  const auto error = refusalOf([&] { ttl->registerEntry("a\"\xff", 1s, "cache"); });
  CHECK(error.code() == TtlErrc::ttl_out_of_range);
  CHECK(std::string(error.what()) ==
        "the entry \"a\\\"\xEF\xBF\xBD\" cannot live for 1 s; allowed is 30 s to 3600 s");
  CHECK(error.details().dump() ==
        "{\"key\":\"a\\\"\xEF\xBF\xBD\",\"maximumMs\":3600000.0,\"minimumMs\":30000.0,\"ttlMs\":1000.0,"
        "\"type\":\"cache\"}");
  CHECK_FALSE(ttl->isValid("a\"\xff"));
  for (const lukhas::AnyDuration ttlOut :
       {lukhas::AnyDuration(1h + 1ns), lukhas::AnyDuration(0s), lukhas::AnyDuration(-1h),
        lukhas::AnyDuration(std::chrono::hours::max()), lukhas::AnyDuration(std::chrono::hours::min())}) {
    CHECK(refusalOf([&] { ttl->registerEntry("b", ttlOut); }).code() == TtlErrc::ttl_out_of_range);
  }
  CHECK(ttl->getMetrics().totalEntries == 2);
}

TEST_CASE("keys have 1 to 256 bytes and types at most 64", "[ttl]") {
  TtlWorld ttl;
  CHECK_NOTHROW(ttl->registerEntry("k", 1min, std::string(64, 't')));
  CHECK_NOTHROW(ttl->registerEntry(std::string(256, 'k')));
  CHECK_NOTHROW(ttl->registerEntry(std::string("a\0b", 3)));
  const auto noKey = refusalOf([&] { ttl->registerEntry(""); });
  CHECK(noKey.code() == TtlErrc::invalid_key);
  CHECK(noKey.details().dump() == R"({"maximum":256,"size":0})");
  const auto longKey = refusalOf([&] { ttl->registerEntry(std::string(257, 'k')); });
  CHECK(longKey.code() == TtlErrc::invalid_key);
  CHECK(longKey.details()["size"] == 257);
  const auto longType = refusalOf([&] { ttl->registerEntry("key", 1min, std::string(65, 't')); });
  CHECK(longType.code() == TtlErrc::invalid_type);
  CHECK(longType.details().dump() == R"({"maximum":64,"size":65})");
  CHECK(ttl->getMetrics().activeEntries == 3);
}

TEST_CASE("a refresh goes back to the original TTL", "[ttl]") {
  TtlWorld ttl;
  ttl->registerEntry("key", 1min);
  ttl.world.runFor(40s);
  CHECK(ttl->refresh("key"));
  CHECK(ttl->getRemainingTTL("key") == 1min);
  CHECK(ttl->extend("key", 10min));
  CHECK(ttl->refresh("key"));
  CHECK(ttl->getRemainingTTL("key") == 1min);
}

TEST_CASE("an extension is added to what is left", "[ttl]") {
  TtlWorld ttl;
  ttl->registerEntry("key", 1min);
  ttl.world.runFor(59s);
  CHECK(ttl->extend("key", 1s));
  CHECK(ttl->getRemainingTTL("key") == 2s);
  CHECK(ttl->extend("key", 0s));
  CHECK(ttl->getRemainingTTL("key") == 2s);
}

TEST_CASE("an extension leads at most to the longest TTL from now and says so", "[ttl]") {
  using Outcome = ExtendResult::Outcome;
  TtlWorld ttl;
  ttl->registerEntry("key", 5min);
  const ExtendResult whole = ttl->extend("key", 55min);
  CHECK((whole.outcome == Outcome::extended && whole.remaining == 1h));
  ttl.world.runFor(10s);
  const ExtendResult part = ttl->extend("key", 11s);
  CHECK((part && part.outcome == Outcome::reached_maximum && part.remaining == 1h));
  CHECK(ttl->getRemainingTTL("key") == 1h);
  for (const lukhas::AnyDuration forEver :
       {lukhas::AnyDuration(lukhas::Duration::max()), lukhas::AnyDuration(std::chrono::hours::max())}) {
    const ExtendResult none = ttl->extend("key", forEver);
    CHECK((none.outcome == Outcome::reached_maximum && none.remaining == 1h));
  }
  CHECK(ttl->getRemainingTTL("key") == 1h);
  const ExtendResult nobody = ttl->extend("nobody", 1s);
  CHECK((!nobody && nobody.outcome == Outcome::not_valid && nobody.remaining == 0s));
}

TEST_CASE("an extension beyond the longest TTL is refused where the options say so", "[ttl]") {
  TtlWorld ttl({.outOfRangeTtl = OutOfRangeTtl::refuse});
  ttl->registerEntry("key", 1min);
  CHECK(ttl->extend("key", 59min));
  const auto error = refusalOf([&] { ttl->extend("key", 1ns); });
  CHECK(error.code() == TtlErrc::ttl_out_of_range);
  CHECK(ttl->getRemainingTTL("key") == 1h);
  CHECK_FALSE(ttl->extend("nobody", 2h));
}

TEST_CASE("a short rest can be extended by less than the shortest TTL", "[ttl]") {
  TtlWorld ttl({.outOfRangeTtl = OutOfRangeTtl::refuse});
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(29s);
  CHECK(ttl->extend("key", 1s));
  CHECK(ttl->getRemainingTTL("key") == 2s);
}

TEST_CASE("a negative extension is an invalid argument", "[ttl]") {
  TtlWorld ttl;
  ttl->registerEntry("key", 1min);
  const auto error = refusalOf([&] { ttl->extend("key", -1ms); });
  CHECK(error.code() == Errc::invalid_argument);
  CHECK(error.details().dump() == R"({"argument":"by","key":"key","value":"-1 ms"})");
  CHECK(ttl->getRemainingTTL("key") == 1min);
}

TEST_CASE("in its grace period an entry is not valid and a refresh makes it valid again", "[ttl]") {
  for (const bool started : {false, true}) {
    TtlWorld ttl;
    if (started) ttl->start();
    ttl->registerEntry("key", 30s);
    ttl.world.runFor(35s - 1ns);
    CHECK_FALSE(ttl->isValid("key"));
    CHECK_FALSE(ttl->extend("key", 1min));  // of nothing that is left
    CHECK_FALSE(ttl->isValid("key"));
    CHECK(ttl->refresh("key"));
    CHECK(ttl->getRemainingTTL("key") == 30s);
    CHECK(ttl.expired.empty());
  }
}

TEST_CASE("after its grace period an entry is gone for refresh and extend alike", "[ttl]") {
  for (const bool started : {false, true}) {
    TtlWorld ttl;
    if (started) ttl->start();
    ttl->registerEntry("key", 30s);
    ttl.world.runFor(35s);
    CHECK_FALSE(ttl->refresh("key"));
    CHECK_FALSE(ttl->extend("key", 1min));
    CHECK_FALSE(ttl->isValid("key"));
  }
}

TEST_CASE("without a grace period an entry cannot be refreshed from its expiry on", "[ttl]") {
  TtlWorld ttl({.gracePeriod = 0s});
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(30s - 1ns);
  CHECK(ttl->refresh("key"));
  ttl.world.runFor(30s);
  CHECK_FALSE(ttl->refresh("key"));
}

TEST_CASE("registering a key again replaces its entry", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("key", 10min, "old");
  ttl->registerEntry("key", 30s, "new");
  CHECK(ttl->getRemainingTTL("key") == 30s);
  CHECK(ttl->getMetrics().activeEntries == 1);
  ttl.world.run();
  CHECK(ttl.expired == TtlWorld::Lines{"key/new@35000"});
}

TEST_CASE("what expires soon is given in the order of expiry up to the window", "[ttl]") {
  TtlWorld ttl;
  ttl->registerEntry("c", 50s, "x");
  ttl->registerEntry("a", 30s);
  ttl->registerEntry("d", 51s);
  ttl->registerEntry("b", 40s);
  const auto soon = ttl->getExpiringSoon(50s);
  REQUIRE(soon.size() == 3);
  CHECK((soon[0].key == "a" && soon[1].key == "b" && soon[2].key == "c"));
  CHECK(soon[2].type == "x");
  CHECK(soon[2].remaining == 50s);
  CHECK(ttl->getExpiringSoon(lukhas::Duration::max()).size() == 4);
  CHECK(ttl->getExpiringSoon(30s - 1ns).empty());
  CHECK(ttl->getExpiringSoon(-1s).empty());
}

TEST_CASE("what has expired does not expire soon", "[ttl]") {
  for (const bool started : {false, true}) {
    TtlWorld ttl;
    if (started) ttl->start();
    ttl->registerEntry("gone", 30s);
    ttl->registerEntry("there", 40s);
    ttl.world.runFor(30s);
    const auto soon = ttl->getExpiringSoon(1min);
    REQUIRE(soon.size() == 1);
    CHECK(soon[0].key == "there");
    CHECK(soon[0].remaining == 10s);
  }
}

TEST_CASE("one more key than the maximum is refused and expired ones count", "[ttl]") {
  TtlWorld ttl({.maxEntries = 2});
  ttl->start();
  ttl->registerEntry("a", 30s);
  ttl->registerEntry("b", 1min);
  const auto error = refusalOf([&] { ttl->registerEntry("c"); });
  CHECK(error.code() == TtlErrc::too_many_entries);
  CHECK(error.details().dump() == R"({"key":"c","maximum":2})");
  CHECK_NOTHROW(ttl->registerEntry("b", 1min));  // a known key takes no more room
  ttl.world.runFor(34s);
  CHECK_THROWS_AS(ttl->registerEntry("c"), lukhas::Error);
  ttl.world.runFor(1s);
  CHECK_NOTHROW(ttl->registerEntry("c"));
}

TEST_CASE("one more type than the maximum is refused and nothing has changed", "[ttl]") {
  TtlWorld ttl({.maxTypes = 1, .policies = {{"session", {}}}});
  ttl->registerEntry("a", 30s, "session");
  ttl->registerEntry("b", 30s, "cache");
  const auto error = refusalOf([&] { ttl->registerEntry("b", 1min, "session:42"); });
  CHECK(error.code() == TtlErrc::too_many_types);
  CHECK(ttl->getRemainingTTL("b") == 30s);
  CHECK_THROWS_AS(ttl->registerEntry("c", 1min, "session:42"), lukhas::Error);
  CHECK(ttl->getMetrics().totalEntries == 2);
}

TEST_CASE("a type lives by its policy and inherits the rest", "[ttl]") {
  TtlWorld ttl({.minTtl = 20s,
                .gracePeriod = 2s,
                .policies = {{"session", {.defaultTtl = 30min, .maxTtl = 2h}},
                             {"strict", {.outOfRangeTtl = OutOfRangeTtl::refuse}},
                             {"cache", {.minTtl = 1s, .gracePeriod = 0s}}}});
  ttl->start();
  CHECK(ttl->registerEntry("s", std::nullopt, "session") == 30min);
  CHECK(ttl->registerEntry("s", 3h, "session") == 2h);
  CHECK(ttl->registerEntry("s", 1s, "session") == 20s);
  CHECK(ttl->registerEntry("c", 1s, "cache") == 1s);
  CHECK(ttl->registerEntry("x", 1s, "other") == 20s);
  CHECK_THROWS_AS(ttl->registerEntry("y", 1s, "strict"), lukhas::Error);
  ttl->registerEntry("long", 30s, "session");
  CHECK(ttl->extend("long", 119min));
  CHECK(ttl->unregister("long"));
  ttl.world.run();
  CHECK(ttl.expired == TtlWorld::Lines{"c/cache@1000", "s/session@22000", "x/other@22000"});
}
