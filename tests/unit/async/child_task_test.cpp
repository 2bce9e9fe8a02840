#include "lukhas/async/child_task.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace child_task_test {

using namespace std::chrono_literals;
using lukhas::ChildTask;
using lukhas::Duration;
using lukhas::Environment;

namespace {

using Task = asio::awaitable<void>;
using Log = std::shared_ptr<std::vector<std::string>>;

// Notes how it ended. Owns what it uses, as every child must.
asio::awaitable<int> sleeper(Environment env, Duration duration, Log log) {
  try {
    co_await env.sleepFor(duration);
  } catch (const lukhas::Error&) {
    log->push_back("cancelled");
    throw;
  }
  log->push_back("slept");
  co_return 7;
}
// Does not react to cancellation.
asio::awaitable<int> stubborn(Environment env, Duration duration, Log log) {
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  co_await env.sleepFor(duration);
  log->push_back("slept on");
  co_return 7;
}
// The code that the time limit ended with; none when the operation gave 7.
asio::awaitable<std::error_code> limited(Environment env, Duration limit, asio::awaitable<int> operation) {
  try {
    const int result = co_await lukhas::withTimeLimit(env, limit, "napping", std::move(operation));
    CHECK(result == 7);
  } catch (const lukhas::Error& error) {
    co_return error.code();
  }
  co_return std::error_code();
}

struct Fixture {
  lukhas::Simulation world{{.seed = 2}};
  Environment env = world.environment();
  Log log = std::make_shared<std::vector<std::string>>();
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a time limit ends exactly at the deadline and cancels the operation", "[async]") {
  Fixture f;
  auto body = [&]() -> Task {
    const std::error_code code = co_await limited(f.env, 1s, sleeper(f.env, 1h, f.log));
    CHECK(code == lukhas::Errc::deadline_exceeded);
    CHECK(f.world.elapsed() == 1s);
  };
  f.world.spawn(body());
  f.world.run();
  CHECK(*f.log == Lines{"cancelled"});
  CHECK(f.world.elapsed() == 1s);
}

TEST_CASE("an operation that ends within its time limit leaves no alarm", "[async]") {
  Fixture f;
  auto body = [&]() -> Task {
    const std::error_code code = co_await limited(f.env, 1h, sleeper(f.env, 1s, f.log));
    CHECK(code == std::error_code());
  };
  f.world.spawn(body());
  f.world.run();
  CHECK(*f.log == Lines{"slept"});
  CHECK(f.world.elapsed() == 1s);
}

TEST_CASE("an operation that does not react to cancellation runs on by itself after its time limit",
          "[async]") {
  Fixture f;
  auto body = [&]() -> Task {
    const std::error_code code = co_await limited(f.env, 1s, stubborn(f.env, 3s, f.log));
    CHECK(code == lukhas::Errc::deadline_exceeded);
    CHECK(f.world.elapsed() == 1s);
    CHECK(f.log->empty());
  };
  f.world.spawn(body());
  f.world.run();
  CHECK(*f.log == Lines{"slept on"});
  CHECK(f.world.elapsed() == 3s);
}

TEST_CASE("the shorter of two nested time limits decides and both operations are cancelled", "[async]") {
  for (const bool outerIsShorter : {true, false}) {
    Fixture f;
    auto body = [&]() -> Task {
      asio::awaitable<int> inner = lukhas::withTimeLimit(f.env, outerIsShorter ? 5s : 1s,
                                                         std::string("inner"), sleeper(f.env, 1h, f.log));
      std::string message;
      try {
        (void)co_await lukhas::withTimeLimit(f.env, outerIsShorter ? 1s : 5s, std::string("outer"),
                                             std::move(inner));
      } catch (const lukhas::Error& error) {
        message = error.what();
      }
      CHECK(message == std::string(outerIsShorter ? "outer" : "inner") + " did not finish within 1000 ms");
    };
    f.world.spawn(body());
    f.world.run();
    CHECK(*f.log == Lines{"cancelled"});
    CHECK(f.world.elapsed() == 1s);
  }
}

TEST_CASE("a child that is left is cancelled and one that is detached runs on", "[async]") {
  Fixture f;
  auto body = [&]() -> Task {
    {
      const ChildTask<int> left(f.env, sleeper(f.env, 1s, f.log));
      co_await f.env.sleepFor(1ms);
    }
    ChildTask<int> detached(f.env, sleeper(f.env, 1s, f.log));
    detached.detach();
  };
  f.world.spawn(body());
  f.world.run();
  CHECK(*f.log == Lines{"cancelled", "slept"});
}

TEST_CASE("what a child throws its join throws", "[async]") {
  Fixture f;
  auto failing = []() -> Task {
    throw std::runtime_error("broken");
    co_return;
  };
  std::string thrown;
  auto body = [&]() -> Task {
    ChildTask<void> child(f.env, failing());
    try {
      co_await child.join();
    } catch (const std::runtime_error& error) {
      thrown = error.what();
    }
    CHECK(child.done());
  };
  f.world.spawn(body());
  f.world.run();
  CHECK(thrown == "broken");
}

}  // namespace child_task_test
