#include "lukhas/async/front_timer.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "support/failing_world.hpp"

namespace front_timer_test {

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::TimePoint;

namespace {

// A component with deadlines: notes when it took each one that was due.
struct Owner {
  explicit Owner(lukhas::Environment environment) : env(std::move(environment)) {}

  void follow() { timer->follow(front()); }
  [[nodiscard]] std::optional<TimePoint> front() const {
    return deadlines.empty() ? std::nullopt : std::optional(deadlines.front());
  }
  void tick() {
    ++ticks;
    while (!deadlines.empty() && deadlines.front() <= env.now()) {
      rung.push_back(env.now() - began);
      deadlines.erase(deadlines.begin());
    }
    timer->settle(env.now(), front());
  }

  lukhas::Environment env;
  TimePoint began = env.now();
  std::vector<TimePoint> deadlines;  // sorted
  std::vector<Duration> rung;
  int ticks = 0;
  std::optional<lukhas::FrontTimer> timer;
};

struct Fixture {
  void follow(std::vector<Duration> after) {
    owner->deadlines.clear();
    for (const Duration each : after) owner->deadlines.push_back(owner->began + each);
    owner->follow();
  }

  lukhas::Simulation world{{.seed = 3}};
  std::shared_ptr<lukhas::test::Failures> failures = std::make_shared<lukhas::test::Failures>();
  std::shared_ptr<Owner> owner =
      std::make_shared<Owner>(lukhas::test::FailingWorld::over(world.environment(), failures));

  Fixture() {
    owner->timer.emplace(
        owner->env, std::weak_ptr(owner), +[](Owner& ticked) { ticked.tick(); });
  }
};

using Times = std::vector<Duration>;

}  // namespace

TEST_CASE("a front timer ticks when each front is due", "[async]") {
  Fixture f;
  f.follow({1s, 3s});
  f.world.run();
  CHECK(f.owner->rung == Times{1s, 3s});
}

TEST_CASE("a front that moves earlier is followed and one that moves later costs an early tick", "[async]") {
  Fixture f;
  f.follow({5s});
  f.follow({2s, 5s});
  f.world.run();
  CHECK(f.owner->rung == Times{2s, 5s});
  CHECK(f.owner->ticks == 2);
  f.owner->rung.clear();
  f.follow({7s});
  f.follow({9s});
  f.world.run();
  CHECK(f.owner->rung == Times{9s});
  CHECK(f.owner->ticks == 4);
}

TEST_CASE("a front timer of an empty heap leaves no alarm behind", "[async]") {
  Fixture f;
  f.follow({1h});
  f.follow({});
  f.world.run();
  CHECK(f.world.elapsed() == 0s);
}

TEST_CASE("an empty heap's alarm is cancelled also when the tick cannot be posted", "[async]") {
  Fixture f;
  f.follow({1h});
  f.failures->posts = 1;
  f.follow({});
  f.world.run();
  CHECK(f.world.elapsed() == 0s);
}

TEST_CASE("a front timer does not tick an owner that is gone", "[async]") {
  Fixture f;
  f.follow({1s});
  const std::weak_ptr<Owner> gone = f.owner;
  f.owner.reset();
  CHECK(gone.expired());
  f.world.run();
}

TEST_CASE("an alarm that could not be set is set by a posted tick", "[async]") {
  Fixture f;
  f.failures->alarms = 1;
  f.follow({1s});
  f.world.run();
  CHECK(f.owner->rung == Times{1s});
}

TEST_CASE("an alarm that could not be set at all is set with the next change", "[async]") {
  Fixture f;
  f.follow({2s});
  *f.failures = {.alarms = 1, .posts = 1};
  f.follow({1s, 2s});
  f.world.run();
  CHECK(f.owner->rung.empty());
  f.follow({1s, 2s});
  f.world.run();
  CHECK(f.owner->rung == Times{1s, 2s});
}

}  // namespace front_timer_test
