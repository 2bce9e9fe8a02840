#include "lukhas/async/wait_list.hpp"

#include <memory>
#include <string>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace wait_list_test {

using namespace std::chrono_literals;
using lukhas::ChildTask;
using lukhas::WaitList;
using lukhas::WaitResult;

namespace {

using Task = asio::awaitable<void>;

struct Fixture {
  Task wait(std::string name, lukhas::Duration limit) {
    try {
      const auto isReady = [this] { return ready; };
      const WaitResult result = co_await list->waitUntil(env.after(limit), isReady);
      note(name + (result == WaitResult::timed_out ? " timed out" : " resumed"));
    } catch (const lukhas::Error& error) {
      note(name + (error.code() == asio::error::operation_aborted ? " cancelled" : " closed"));
    }
  }
  void note(const std::string& what) { log.push_back(what + " at " + std::to_string(world.elapsed() / 1ms)); }

  lukhas::Simulation world{{.seed = 9}};
  lukhas::Environment env = world.environment();
  std::unique_ptr<WaitList> list = std::make_unique<WaitList>(env);
  bool ready = false;
  std::vector<std::string> log;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("who comes when the condition holds does not wait", "[async]") {
  Fixture f;
  f.ready = true;
  f.world.spawn(f.wait("a", 1s));
  f.world.run();
  CHECK(f.log == Lines{"a resumed at 0"});
  CHECK(f.list->size() == 0);
}

TEST_CASE("a wait times out exactly at its deadline and leaves nothing behind", "[async]") {
  Fixture f;
  f.world.spawn(f.wait("a", 1500ms));
  f.world.runFor(1500ms - 1ns);
  CHECK(f.list->size() == 1);
  f.world.run();
  CHECK(f.log == Lines{"a timed out at 1500"});
  CHECK(f.list->size() == 0);
}

TEST_CASE("a wait that is resumed leaves no alarm behind", "[async]") {
  Fixture f;
  f.world.spawn(f.wait("a", 1h));
  f.world.runFor(1s);
  f.list->resumeAll();
  f.world.run();
  CHECK(f.log == Lines{"a resumed at 1000"});
  CHECK(f.world.elapsed() == 1s);
}

TEST_CASE("a cancelled wait leaves neither a waiter nor an alarm", "[async]") {
  Fixture f;
  auto body = [&]() -> Task {
    ChildTask<void> child(f.env, f.wait("a", 1h));
    co_await f.env.sleepFor(1s);
    child.cancel();
    co_await child.join();
  };
  f.world.spawn(body());
  f.world.run();
  CHECK(f.log == Lines{"a cancelled at 1000"});
  CHECK(f.list->size() == 0);
  CHECK(f.world.elapsed() == 1s);
}

TEST_CASE("a list that is destroyed fails those who wait", "[async]") {
  Fixture f;
  f.world.spawn(f.wait("a", 1h));
  f.world.runFor(1s);
  f.list.reset();
  f.world.run();
  CHECK(f.log == Lines{"a closed at 1000"});
}

TEST_CASE("a list that is closed fails those who come later", "[async]") {
  Fixture f;
  f.list->close(std::make_exception_ptr(lukhas::Error(lukhas::Errc::closed, "over")));
  f.ready = true;
  f.world.spawn(f.wait("a", 1h));
  f.world.run();
  CHECK(f.log == Lines{"a closed at 0"});
}

TEST_CASE("of resume and time-out and cancellation at one moment exactly one wins", "[async]") {
  int outcomes[3] = {};
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    lukhas::Simulation world{{.seed = seed}};
    const lukhas::Environment env = world.environment();
    WaitList list(env);
    int ended = 0;
    auto waiting = [&]() -> Task {
      try {
        const auto never = [] { return false; };
        const WaitResult result = co_await list.waitUntil(env.after(1s), never);
        ++outcomes[result == WaitResult::timed_out ? 1 : 0];
      } catch (const lukhas::Error&) {
        ++outcomes[2];
      }
      ++ended;
    };
    auto resuming = [&]() -> Task {
      co_await env.sleepFor(1s);
      list.resumeAll();
    };
    auto cancelling = [&]() -> Task {
      ChildTask<void> child(env, waiting());
      co_await env.sleepFor(1s);
      child.cancel();
      co_await child.join();
    };
    world.spawn(cancelling());
    world.spawn(resuming());
    world.run();
    CHECK(ended == 1);
    CHECK(list.size() == 0);
  }
  for (const int each : outcomes) CHECK(each > 0);
}

}  // namespace wait_list_test
