// Without memory for an alarm or a post.
#include "lukhas/lock/async_lock.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "support/failing_world.hpp"

namespace async_lock_memory_test {

using namespace std::chrono_literals;

namespace {

struct Fixture {
  asio::awaitable<void> waitInVain() {
    try {
      (void)co_await locks.acquire("a", {.timeout = 5s});
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == lukhas::LockErrc::timeout);
      timedOut.push_back(world.elapsed());
    }
  }

  lukhas::Simulation world{{.seed = 5}};
  std::shared_ptr<lukhas::test::Failures> failures = std::make_shared<lukhas::test::Failures>();
  lukhas::AsyncLock locks{lukhas::test::FailingWorld::over(world.environment(), failures),
                          {.heldWarning = 0s}};
  std::optional<lukhas::LockGuard> held = locks.tryAcquire("a");
  std::vector<lukhas::Duration> timedOut;
};

using Times = std::vector<lukhas::Duration>;

}  // namespace

TEST_CASE("a time-out survives an alarm that there was no memory for", "[lock]") {
  Fixture f;
  f.failures->alarms = 1;
  f.world.spawn(f.waitInVain());
  f.world.run();
  CHECK(f.timedOut == Times{5s});
}

TEST_CASE("time-outs come again with the next change after there was no memory at all", "[lock]") {
  Fixture f;
  *f.failures = {.alarms = 1, .posts = 1};
  f.world.spawn(f.waitInVain());
  f.world.run();
  CHECK(f.timedOut.empty());
  f.world.spawn(f.waitInVain());
  f.world.run();
  CHECK(f.timedOut == Times{5s, 5s});
}

}  // namespace async_lock_memory_test
