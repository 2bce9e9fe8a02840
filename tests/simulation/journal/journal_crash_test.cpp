#include "simulation/journal/journal_script.hpp"
#include "support/catch.hpp"

using namespace lukhas;
using test::JournalHistory;

namespace {

constexpr std::uint64_t rounds = 8;

// A last open, some more records, and one more open: nothing of before comes back, and all new ones are
// there.
asio::awaitable<void> comeToRest(Simulation& world, JournalHistory& history) {
  SplitMix random(99);
  std::unique_ptr<Journal> journal = co_await test::openAndCompare(world, history);
  co_await test::playRounds(world, history, *journal, random, 2);
  co_await journal->close();
  journal = co_await test::openAndCompare(world, history);
  co_await journal->close();
}

// Ends the script after `steps` of the simulation, the next open after `recoverySteps` if they are enough,
// then looks. Returns whether the script, and the recovery, were still under way.
struct Reached {
  bool script = false;
  bool recovery = false;
};
Reached crashTwice(std::uint64_t seed, std::uint64_t steps, std::uint64_t recoverySteps) {
  Simulation world({.seed = seed});
  JournalHistory history;
  Reached reached;
  world.spawn(test::playScript(world, history, seed, rounds));
  reached.script = world.runSteps(steps);
  world.crash();
  if (recoverySteps > 0) {
    world.spawn(comeToRest(world, history));
    reached.recovery = world.runSteps(recoverySteps);
    world.crash();
  }
  world.spawn(comeToRest(world, history));
  world.run();
  INFO("seed " << seed << ", crash after " << steps << " and " << recoverySteps << " steps");
  CHECK(history.violations.empty());
  if (!history.violations.empty()) FAIL(history.violations);
  return reached;
}

}  // namespace

TEST_CASE("a journal keeps what it acknowledged through a crash at any step", "[journal]") {
  for (std::uint64_t seed = 1; seed <= test::runs(8); ++seed) {
    std::uint64_t steps = 1;
    while (crashTwice(seed, steps, 0).script) ++steps;
    CHECK(steps > 200);
  }
}

TEST_CASE("a journal keeps what it acknowledged through a second crash at any step of recovery",
          "[journal]") {
  for (std::uint64_t seed = 100; seed < 100 + test::runs(20); ++seed) {
    const std::uint64_t first = 100 + splitMix64(seed) % 500;
    std::uint64_t steps = 1;
    while (crashTwice(seed, first, steps).recovery) ++steps;
    CHECK(steps > 20);
  }
}

TEST_CASE("a run of a journal is the same for the same seed", "[journal]") {
  const auto fingerprint = [] {
    Simulation world({.seed = 5});
    JournalHistory history;
    world.spawn(test::playScript(world, history, 5, rounds));
    world.runSteps(300);
    world.crash();
    world.spawn(comeToRest(world, history));
    world.run();
    return world.fingerprint();
  };
  CHECK(fingerprint() == fingerprint());
}
