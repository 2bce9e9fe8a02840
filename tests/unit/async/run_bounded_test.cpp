#include "lukhas/async/run_bounded.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace run_bounded_test {

using namespace std::chrono_literals;

struct Watched {
  std::size_t running = 0;
  std::size_t most = 0;
  std::vector<std::size_t> begun;
};

asio::awaitable<void> oneTask(lukhas::Environment environment, std::shared_ptr<Watched> watched,
                              std::size_t index) {
  watched->begun.push_back(index);
  watched->most = std::max(watched->most, ++watched->running);
  co_await environment.sleepFor(10ms);
  --watched->running;
  if (index == 2) throw std::runtime_error("the third");
}

asio::awaitable<void> runTen(lukhas::Environment environment, std::shared_ptr<Watched> watched,
                             std::string& failure) {
  const auto task = [environment, watched](std::size_t index) {
    return oneTask(environment, watched, index);
  };
  try {
    co_await lukhas::runBounded(environment, 10, 4, task);
  } catch (const std::runtime_error& error) {
    failure = error.what();
  }
}

TEST_CASE("all tasks run, so many at once, and a failure of one comes out at the end", "[async]") {
  lukhas::Simulation world{{.seed = 3}};
  const auto watched = std::make_shared<Watched>();
  std::string failure;
  world.spawn(runTen(world.environment(), watched, failure));
  world.run();
  CHECK(watched->most == 4);
  CHECK(watched->begun.size() == 10);
  CHECK(failure == "the third");
}

}  // namespace run_bounded_test
