#include "lukhas/system/context_system.hpp"

#include <string>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::ContextSystem;
using nlohmann::json;

namespace {

lukhas::ContextSystemOptions simulatedOptions(lukhas::Simulation& world) {
  lukhas::ContextSystemOptions options;
  options.preserver.disk = world.disk();
  options.router.transport = world.transport();
  return options;
}

std::string refusal(lukhas::Simulation& world, const lukhas::ContextSystemOptions& options) {
  try {
    const ContextSystem system(world.environment(), options);
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::invalid_option);
    return error.what();
  }
  return "nothing was refused";
}

}  // namespace

TEST_CASE("a wrong option of any component is refused with component and option", "[system]") {
  lukhas::Simulation world;
  lukhas::ContextSystemOptions options = simulatedOptions(world);
  options.lock.timeout = -1s;
  CHECK(refusal(world, options).find("AsyncLock: option timeout is -1 s") == 0);
  options = simulatedOptions(world);
  options.store.maxBytes = 1;
  CHECK(refusal(world, options).find("AsyncMemoryStore: option maxBytes is 1") == 0);
  options = simulatedOptions(world);
  options.router.transport = nullptr;
  CHECK(refusal(world, options).find("ModelRouter: option transport is null") == 0);
  options = simulatedOptions(world);
  options.ttl.sweepInterval = 0s;
  CHECK(refusal(world, options).find("TTLEnforcementEngine: option sweepInterval is 0 s") == 0);
}

TEST_CASE("a system that was stopped leaves the world at rest", "[system]") {
  lukhas::Simulation world;
  ContextSystem system(world.environment(), simulatedOptions(world));
  world.spawn([](ContextSystem& started) -> asio::awaitable<void> {
    co_await started.start();
    const json value = 1;
    co_await started.store().set("key", value);
    (void)started.ttl().registerEntry("key");
    co_await started.stop();
  }(system));
  world.run();
  CHECK(system.healthCheck().healthy);
}

TEST_CASE("metrics and health have a part for each component", "[system]") {
  lukhas::Simulation world;
  const ContextSystem system(world.environment(), simulatedOptions(world));
  const json metrics = system.getMetrics();
  for (const char* part : {"lock", "store", "preserver", "router", "ttl"}) CHECK(metrics.contains(part));
  CHECK(system.healthCheck().toJson().at("healthy") == true);
  const std::string text = system.toPrometheus();
  CHECK(text.find("lukhas_lock_active_locks 0\n") != std::string::npos);
  CHECK(text.find("lukhas_ttl_active_entries 0\n") != std::string::npos);
}

TEST_CASE("a key that expires is removed from the cache too", "[system]") {
  lukhas::Simulation world;
  ContextSystem system(world.environment(), simulatedOptions(world));
  world.spawn(system.start());
  world.runFor(1s);
  system.store().trySet("session:42", json(1), 1h);
  (void)system.ttl().registerEntry("session:42", 30s, "session");
  world.runFor(29s);
  CHECK(system.store().tryGet<json>("session:42").has_value());
  world.runFor(10s);
  CHECK_FALSE(system.store().tryGet<json>("session:42").has_value());
  world.spawn(system.stop());
  world.run();
}
