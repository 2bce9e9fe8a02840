#include "lukhas/sim/simulated_clock.hpp"

#include <cstdint>
#include <memory>

#include "lukhas/async/blocking_lane.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace simulated_lane_test {

using lukhas::BlockingLane;

TEST_CASE("a crash leaves nothing of a call on a lane that its own caller owns", "[async]") {
  for (std::uint64_t steps = 1; steps <= 40; ++steps) {
    INFO("crash after " << steps);
    const auto held = std::make_shared<int>(1);
    {
      lukhas::Simulation world{{.seed = 1}};
      auto body = [](lukhas::Environment environment, std::shared_ptr<int> owned) -> asio::awaitable<void> {
        BlockingLane lane(environment, "test");
        auto job = [] {};
        for (int i = 0; i < 1000 && owned; ++i) co_await lane.run(job);
      };
      world.spawn(body(world.environment(), held));
      world.runSteps(steps);
      CHECK(held.use_count() == 2);
      world.crash();
      CHECK(held.use_count() == 1);
    }
  }
}

}  // namespace simulated_lane_test
