#include "lukhas/async/blocking_lane.hpp"

#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <asio/io_context.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace blocking_lane_test {

using namespace std::chrono_literals;
using lukhas::BlockingLane;
using lukhas::ChildTask;
using lukhas::LaneJobs;

namespace {

using Task = asio::awaitable<void>;

// The code of what a lane's call threw; none when it ran.
Task run(BlockingLane& lane, std::vector<std::string>& log, std::string name) {
  try {
    const auto job = [&log, name] { log.push_back(name); };
    co_await lane.run(job);
    log.push_back(name + " done");
  } catch (const lukhas::Error& error) {
    log.push_back(name + (error.code() == lukhas::Errc::closed ? " closed" : " cancelled"));
  }
}

}  // namespace

TEST_CASE("a lane gives the result of the job or what it threw", "[async]") {
  lukhas::Simulation world;
  BlockingLane lane(world.environment(), "test");
  auto body = [&]() -> Task {
    const auto seven = [] { return 7; };
    const int result = co_await lane.run(seven);
    CHECK(result == 7);
    const auto failing = []() -> int { throw std::runtime_error("broken"); };
    std::string thrown;
    try {
      (void)co_await lane.run(failing);
    } catch (const std::runtime_error& error) {
      thrown = error.what();
    }
    CHECK(thrown == "broken");
  };
  world.spawn(body());
  world.run();
}

TEST_CASE("a job whose caller is cancelled before it begins does not run and is not kept", "[async]") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    lukhas::Simulation world{{.seed = seed}};
    BlockingLane lane(world.environment(), "test");
    std::vector<std::string> log;
    asio::cancellation_signal cancel;
    const auto kept = std::make_shared<int>(1);
    bool aborted = false;
    auto body = [&]() -> Task {
      const auto job = [&log, kept] { log.push_back("ran"); };
      co_await lane.run(job);
    };
    asio::co_spawn(world.environment().executor(), body(),
                   asio::bind_cancellation_slot(
                       cancel.slot(), [&](std::exception_ptr error) { aborted = error != nullptr; }));
    world.runSteps(1);  // the coroutine has submitted its job
    const auto before = kept.use_count();
    cancel.emit(asio::cancellation_type::terminal);
    CHECK(kept.use_count() == before - 1);
    world.run();
    CHECK(log.empty());
    CHECK(aborted);
    CHECK(kept.use_count() == 1);
  }
}

TEST_CASE("a real lane that is stuck keeps nothing of callers that were cancelled", "[async]") {
  asio::io_context io;
  const lukhas::Environment env(io.get_executor());
  BlockingLane lane(env, "test");
  std::latch began(1);
  std::latch release(1);
  const auto kept = std::make_shared<int>(1);
  bool ran = false;
  auto body = [&]() -> Task {
    const auto stuck = [&began, &release] {
      began.count_down();
      release.wait();
    };
    const auto another = [&ran, kept] { ran = true; };
    ChildTask<void> first(env, lane.run(stuck));
    ChildTask<void> second(env, lane.run(another));
    const bool joined = co_await second.joinUntil(env.after(1ms));
    CHECK_FALSE(joined);
    second.cancel();
    bool aborted = false;
    try {
      co_await second.join();
    } catch (const lukhas::Error& error) {
      aborted = error.code() == asio::error::operation_aborted;
    }
    CHECK(aborted);
    release.count_down();
    co_await first.join();
  };
  asio::co_spawn(io, body(), asio::detached);
  io.run();
  CHECK_FALSE(ran);
}

TEST_CASE("a job that has begun runs to its end when its caller is cancelled", "[async]") {
  asio::io_context io;
  const lukhas::Environment env(io.get_executor());
  BlockingLane lane(env, "test");
  std::latch began(1);
  std::latch release(1);
  std::latch ended(1);
  auto body = [&]() -> Task {
    const auto job = [&] {
      began.count_down();
      release.wait();
      ended.count_down();
    };
    ChildTask<void> child(env, lane.run(job));
    (void)co_await child.joinUntil(env.after(1ms));
    began.wait();
    child.cancel();
    bool aborted = false;
    try {
      co_await child.join();
    } catch (const lukhas::Error&) {
      aborted = true;
    }
    CHECK(aborted);
    release.count_down();
  };
  std::thread runner([&] { io.run(); });
  asio::co_spawn(io, body(), asio::detached);
  runner.join();
  io.restart();
  io.run();
  ended.wait();
}

TEST_CASE("as many jobs wait for a lane as may and one more is refused", "[async]") {
  lukhas::Simulation world;
  const auto lane = world.environment().makeLane("test");
  std::vector<lukhas::LanePlace> places;
  std::size_t ran = 0;
  for (std::size_t i = 0; i < LaneJobs::maxJobs; ++i) places.push_back(lane->submit([&] { ++ran; }));
  const auto code = [&] {
    try {
      places.push_back(lane->submit([&] { ++ran; }));
    } catch (const lukhas::Error& error) {
      CHECK(error.details().at("maximum") == LaneJobs::maxJobs);
      return error.code();
    }
    return std::error_code();
  };
  CHECK(code() == lukhas::Errc::overloaded);
  places.front().drop();
  CHECK(code() == std::error_code());
  CHECK(code() == lukhas::Errc::overloaded);
  world.run();
  CHECK(ran == LaneJobs::maxJobs);
}

TEST_CASE("the callers of a lane that is destroyed are told", "[async]") {
  lukhas::Simulation world{{.seed = 4}};
  std::optional<BlockingLane> lane(std::in_place, world.environment(), "test");
  std::vector<std::string> log;
  world.spawn(run(*lane, log, "a"));
  world.runSteps(1);
  lane.reset();
  world.run();
  CHECK(log == std::vector<std::string>{"a closed"});
}

TEST_CASE("jobs run one at a time in the order in which they came", "[async]") {
  lukhas::Simulation world;
  const auto lane = world.environment().makeLane("test");
  std::string order;
  std::vector<lukhas::LanePlace> places;
  for (const char name : std::string("abcdef"))
    places.push_back(lane->submit([&order, name] { order += name; }));
  places[2].drop();
  world.run();
  CHECK(order == "abdef");
}

}  // namespace blocking_lane_test
