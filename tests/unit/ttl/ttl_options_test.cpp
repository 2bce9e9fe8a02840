#include "lukhas/ttl/ttl_options.hpp"

#include <chrono>
#include <functional>
#include <string>

#include "support/catch.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::Errc;
using lukhas::TTLEnforcementEngineOptions;
using lukhas::test::refusalOf;
using Options = TTLEnforcementEngineOptions;

namespace {

void construct(const Options& options) {
  const lukhas::Simulation world;
  const lukhas::TTLEnforcementEngine engine(world.environment(), options);
}

// The name of the option that is refused.
std::string refused(const Options& options) {
  const lukhas::Error error = refusalOf([&] { construct(options); });
  CHECK(error.code() == Errc::invalid_option);
  CHECK(error.details()["component"] == "TTLEnforcementEngine");
  return error.details()["option"];
}

}  // namespace

TEST_CASE("the defaults are those that are promised", "[ttl]") {
  const Options options;
  CHECK(options.defaultTtl == 5min);
  CHECK(options.minTtl == 30s);
  CHECK(options.maxTtl == 1h);
  CHECK(options.sweepInterval == 60s);
  CHECK(options.maxEntriesPerSlice == 1000);
  CHECK(options.maxSliceTime == 1ms);
  CHECK(options.gracePeriod == 5s);
  CHECK(options.expiringSoonWindow == 0s);
  CHECK_NOTHROW(construct(options));
}

TEST_CASE("options at the ends of their ranges are accepted", "[ttl]") {
  CHECK_NOTHROW(construct({.defaultTtl = 1ms, .minTtl = 1ms, .maxTtl = 1ms}));
  CHECK_NOTHROW(construct({.defaultTtl = 366 * 24h, .maxTtl = 366 * 24h}));
  CHECK_NOTHROW(
      construct({.sweepInterval = 10ms, .maxEntriesPerSlice = 1, .gracePeriod = 0s, .maxEntries = 1}));
  CHECK_NOTHROW(construct({.sweepInterval = 24h,
                           .maxEntriesPerSlice = 1'000'000,
                           .maxSliceTime = 1s,
                           .gracePeriod = 24h,
                           .expiringSoonWindow = 366 * 24h,
                           .maxEntries = 100'000'000,
                           .maxTypes = 10'000}));
  CHECK_NOTHROW(construct({.maxSliceTime = 10us, .maxTypes = 0}));
}

TEST_CASE("an option one past its range is refused by name", "[ttl]") {
  CHECK(refused({.maxTtl = 366 * 24h + 1ns}) == "maxTtl");
  CHECK(refused({.minTtl = 1ms - 1ns}) == "minTtl");
  CHECK(refused({.minTtl = 1h + 1ns}) == "minTtl");
  CHECK(refused({.defaultTtl = 30s - 1ns}) == "defaultTtl");
  CHECK(refused({.defaultTtl = 1h + 1ns}) == "defaultTtl");
  CHECK(refused({.sweepInterval = 10ms - 1ns}) == "sweepInterval");
  CHECK(refused({.sweepInterval = 24h + 1ns}) == "sweepInterval");
  CHECK(refused({.maxEntriesPerSlice = 0}) == "maxEntriesPerSlice");
  CHECK(refused({.maxEntriesPerSlice = 1'000'001}) == "maxEntriesPerSlice");
  CHECK(refused({.maxSliceTime = 10us - 1ns}) == "maxSliceTime");
  CHECK(refused({.maxSliceTime = 1s + 1ns}) == "maxSliceTime");
  CHECK(refused({.maxTypes = 10'001}) == "maxTypes");
  CHECK(refused({.gracePeriod = -1ns}) == "gracePeriod");
  CHECK(refused({.gracePeriod = 24h + 1ns}) == "gracePeriod");
  CHECK(refused({.expiringSoonWindow = -1ns}) == "expiringSoonWindow");
  CHECK(refused({.expiringSoonWindow = 366 * 24h + 1ns}) == "expiringSoonWindow");
  CHECK(refused({.maxEntries = 0}) == "maxEntries");
  CHECK(refused({.maxEntries = 100'000'001}) == "maxEntries");
}

TEST_CASE("the error of a refused option has its value and range", "[ttl]") {
  const auto error = refusalOf([] { construct({.defaultTtl = 2h}); });
  CHECK(std::string(error.what()) ==
        "TTLEnforcementEngine: option defaultTtl is 7200 s; allowed is 30 s to 3600 s");
}

TEST_CASE("a policy is checked together with what it inherits", "[ttl]") {
  CHECK_NOTHROW(construct({.policies = {{std::string(64, 't'), {.maxTtl = 5min}}}}));
  CHECK(refused({.policies = {{"session", {.maxTtl = 4min}}}}) == "policies[\"session\"].defaultTtl");
  CHECK(refused({.policies = {{"session", {.minTtl = 2h}}}}) == "policies[\"session\"].minTtl");
  CHECK(refused({.policies = {{"a", {}}, {"b", {.gracePeriod = -1s}}}}) == "policies[\"b\"].gracePeriod");
  CHECK(refused({.policies = {{"", {}}}}) == "policies");
  CHECK(refused({.policies = {{std::string(65, 't'), {}}}}) == "policies");
}
