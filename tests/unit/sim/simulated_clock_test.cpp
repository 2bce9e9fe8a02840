#include "lukhas/sim/simulated_clock.hpp"

#include <chrono>

#include <asio/io_context.hpp>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;

TEST_CASE("while the machine is suspended only now stands still", "[sim]") {
  lukhas::Simulation world;
  const lukhas::Environment environment = world.environment();
  const auto now = environment.now();
  const auto boot = environment.bootNow();
  const auto wall = environment.wallNow();
  world.suspendFor(1h);
  CHECK(environment.now() == now);
  CHECK(world.elapsed() == 0s);
  CHECK(environment.bootNow() == boot + 1h);
  CHECK(environment.wallNow() == wall + 1h);
  world.runFor(1s);
  CHECK(environment.now() == now + 1s);
  CHECK(environment.bootNow() == boot + 1h + 1s);
  world.crash();  // the next life has the same machine
  CHECK(world.environment().bootNow() == boot + 1h + 1s);
}

TEST_CASE("setting the time of day changes no other clock", "[sim]") {
  lukhas::Simulation world;
  const lukhas::Environment environment = world.environment();
  const auto now = environment.now();
  const auto boot = environment.bootNow();
  const auto wall = environment.wallNow();
  world.shiftWallClock(-48h);
  CHECK(environment.wallNow() == wall - 48h);
  CHECK((environment.now() == now && environment.bootNow() == boot));
}

TEST_CASE("the real clock that counts suspended time goes on", "[async]") {
  asio::io_context io;
  const lukhas::Environment environment(io.get_executor());
  const auto boot = environment.bootNow();
  const auto now = environment.now();
  while (environment.now() < now + 1ms) {
  }
  CHECK(environment.bootNow() - boot >= 900us);
}
