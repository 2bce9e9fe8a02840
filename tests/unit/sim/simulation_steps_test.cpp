#include "lukhas/sim/simulation.hpp"

#include <string>

#include "support/catch.hpp"

using namespace std::chrono_literals;

namespace {

asio::awaitable<void> spin(lukhas::Environment env, int times) {
  for (int i = 0; i < times; ++i) co_await env.sleepFor(1ms);
}

// How many steps a run of that coroutine takes.
std::uint64_t stepsOf(int times) {
  lukhas::Simulation world;
  world.spawn(spin(world.environment(), times));
  world.run();
  return world.steps();
}

}  // namespace

TEST_CASE("a run of as many steps as it may take ends and one more is an error that names the seed",
          "[sim]") {
  const std::uint64_t steps = stepsOf(50);
  lukhas::Simulation enough{{.seed = 1, .maxSteps = steps}};
  enough.spawn(spin(enough.environment(), 50));
  enough.run();

  lukhas::Simulation tooFew{{.seed = 1, .maxSteps = steps - 1}};
  tooFew.spawn(spin(tooFew.environment(), 50));
  std::string message;
  try {
    tooFew.run();
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::deadline_exceeded);
    message = error.what();
  }
  CHECK(message ==
        "the simulation with seed 1 did not come to rest within " + std::to_string(steps - 1) + " steps");
}
