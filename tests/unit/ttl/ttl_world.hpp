// TtlWorld: a simulation, an engine in it, and what the engine reports, for the tests of the engine.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/ttl/ttl_enforcement_engine.hpp"
#include "support/catch.hpp"

namespace lukhas::test {

// Reports are written down as "key/type@ms": when they came, in virtual milliseconds.
struct TtlWorld {
  using Lines = std::vector<std::string>;

  Simulation world{{.seed = 11}};
  std::unique_ptr<TTLEnforcementEngine> engine;
  Lines expired;
  Lines soon;
  std::vector<Subscription> watching;

  explicit TtlWorld(TTLEnforcementEngineOptions options = {})
      : engine(std::make_unique<TTLEnforcementEngine>(world.environment(), std::move(options))) {
    watching.push_back(engine->onExpired.connect([this](const EntryExpired& event) {
      expired.push_back(event.key + "/" + event.type + "@" + clock());
    }));
    watching.push_back(engine->onExpiringSoon.connect([this](const EntryExpiringSoon& event) {
      soon.push_back(event.key + "/" + event.type + "@" + clock() + "-" + inMs(event.remaining));
    }));
  }
  ~TtlWorld() { CHECK((!engine || engine->checkInvariants())); }

  TTLEnforcementEngine* operator->() const { return engine.get(); }
  [[nodiscard]] std::string clock() const { return inMs(world.elapsed()); }

  // Awaits a sweep in a coroutine of its own.
  SweepReport sweep() {
    SweepReport report;
    world.spawn(sweepOnce(*engine, report));
    world.runFor(Duration::zero());
    return report;
  }

 private:
  static asio::awaitable<void> sweepOnce(TTLEnforcementEngine& swept, SweepReport& report) {
    report = co_await swept.sweep();
  }
  static std::string inMs(Duration duration) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
  }
};

// What `call` throws; fails the test when it does not.
template <class Call>
Error refusalOf(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("nothing was refused");
  throw std::logic_error("unreachable");
}

}  // namespace lukhas::test
