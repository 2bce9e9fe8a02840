#include "support/whole_system.hpp"

#include <string>

#include "support/catch.hpp"
#include "support/deep.hpp"

using test::BrokenGuard;
using test::WholeSystem;

namespace {

// How many of `seeds` runs find something wrong.
unsigned failingSeeds(BrokenGuard broken, std::uint64_t seeds) {
  unsigned failing = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    WholeSystem system(seed, broken);
    system.run();
    if (!system.violations().empty()) ++failing;
  }
  return failing;
}

}  // namespace

TEST_CASE("the whole system keeps its promises under a thousand seeds of faults and crashes", "[system]") {
  const std::uint64_t seeds = test::runs(1000, 20'000);
  std::uint64_t turns = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    WholeSystem system(seed, BrokenGuard::none);
    system.run();
    turns += system.turns();
    for (const std::string& violation : system.violations()) FAIL_CHECK("seed " << seed << ": " << violation);
  }
  CHECK(turns > 10 * seeds);
}

TEST_CASE("a seed replays the whole system step by step", "[system]") {
  for (std::uint64_t seed = 1; seed <= test::runs(200, 1000); ++seed) {
    INFO("seed " << seed);
    WholeSystem first(seed, BrokenGuard::none);
    WholeSystem second(seed, BrokenGuard::none);
    first.run();
    second.run();
    CHECK(first.fingerprint() == second.fingerprint());
    CHECK(first.turns() == second.turns());
  }
}

TEST_CASE("a back end that forgets the lock is caught", "[system]") {
  CHECK(failingSeeds(BrokenGuard::lock, 20) > 0);
}

TEST_CASE("a participant that commits before the decision is caught", "[system]") {
  CHECK(failingSeeds(BrokenGuard::two_phase_commit, 20) > 0);
}

TEST_CASE("a cache that keeps contexts beyond their time is caught", "[system]") {
  CHECK(failingSeeds(BrokenGuard::expiry, 20) > 0);
}

TEST_CASE("an engine that ends nothing is caught", "[system]") {
  CHECK(failingSeeds(BrokenGuard::ttl, 20) > 0);
}
