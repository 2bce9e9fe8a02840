// A million entries that expire in one instant, beside a coroutine that wants its turn each millisecond.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/ttl/ttl_enforcement_engine.hpp"
#include "support/catch.hpp"
#include "support/tick_watch.hpp"
#include "support/working_world.hpp"

namespace ttl_million_test {

using namespace std::chrono_literals;
using lukhas::EntryExpired;
using lukhas::TTLEnforcementEngine;
using lukhas::test::TickWatch;
using lukhas::test::WorkingWorld;

const bool thorough = std::getenv("LUKHAS_DEEP") != nullptr;

void registerAt(TTLEnforcementEngine& engine, lukhas::TimePoint expiry,
                const lukhas::Environment& environment, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    engine.registerEntry("context:" + std::to_string(i), expiry - environment.now(), "context");
  }
}

TEST_CASE("no slice of a million entries that expire in one instant has more than it may", "[ttl]") {
  const std::size_t entries = thorough ? 1'000'000 : 100'000;
  lukhas::Simulation world({.seed = 9});
  const auto working = std::make_shared<WorkingWorld>(world.environment());
  const lukhas::Environment environment(world.environment().executor(), working);
  TTLEnforcementEngine engine(environment, {.gracePeriod = 0s, .maxEntries = entries});
  std::size_t removed = 0;
  const auto counting = engine.onExpired.connect([&](const EntryExpired&) {
    ++removed;
    working->worked += 2us;  // so that time ends a slice first: after 500 of them and a look at the clock
  });
  registerAt(engine, environment.now() + 30s, environment, entries);
  engine.start();
  std::size_t slices = 0;
  std::size_t most = 0;
  std::size_t before = 0;
  while (before < entries) {
    REQUIRE(world.runSteps(1));
    if (removed == before) continue;
    most = std::max(most, removed - before);
    before = removed;
    ++slices;
  }
  CHECK(most <= 516);
  CHECK(slices >= entries / 516);
  world.run();
  CHECK(removed == entries);
  CHECK(engine.getMetrics().activeEntries == 0);
}

// The figure is that of an idle machine; here it only has to be far from what one go would take.
TEST_CASE("in real time a coroutine has its turns while very many entries expire in one instant", "[ttl]") {
  const std::size_t entries = thorough ? 1'000'000 : 20'000;
  asio::io_context io(1);
  const lukhas::Environment environment(io.get_executor());
  TTLEnforcementEngine engine(environment, {.minTtl = 1ms, .gracePeriod = 0s, .maxEntries = entries});
  engine.start();
  TickWatch watch;
  std::size_t removed = 0;
  const lukhas::TimePoint expiry = environment.after(thorough ? 5s : 300ms);
  lukhas::TimePoint gone{};
  const auto counting = engine.onExpired.connect([&](const EntryExpired&) {
    if (++removed < entries) return;
    gone = environment.now();
    watch.done = true;
  });
  registerAt(engine, expiry, environment, entries);
  asio::co_spawn(io, TickWatch::run(environment, watch), asio::detached);
  io.run();
  const std::chrono::duration<double, std::milli> worst = watch.worst;
  const std::chrono::duration<double, std::milli> all = gone - expiry;
  CHECK(removed == entries);
  CHECK(watch.ticks > 10);
  if (!thorough) return;
  WARN("a million entries were gone after " << all.count() << " ms; the worst tick came " << worst.count()
                                            << " ms late");
  CHECK(watch.worst <= 100ms);
}

}  // namespace ttl_million_test
