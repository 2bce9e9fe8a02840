#include "lukhas/ttl/ttl_enforcement_engine.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::EntryExpired;
using lukhas::EntryExpiringSoon;
using lukhas::Environment;
using lukhas::TTLEnforcementEngine;
using lukhas::TtlErrc;

namespace {

const bool deep = std::getenv("LUKHAS_DEEP") != nullptr;

// What the workers did, and what the engine said to it. Everything a coroutine uses outlives it here.
struct Scene {
  struct Life {
    lukhas::TimePoint expiresAt{};
    bool warned = false;
  };

  lukhas::Simulation world;
  std::unique_ptr<TTLEnforcementEngine> engine;
  std::map<std::string, Life> lives;  // not reported and not unregistered
  std::size_t reports = 0;
  std::size_t warnings = 0;
  std::size_t swept = 0;
  std::vector<std::string> wrong;
  std::vector<lukhas::Subscription> watching;

  static constexpr Duration grace = 3s;
  static constexpr Duration window = 10s;

  explicit Scene(std::uint64_t seed) : world({.seed = seed}) { begin(); }

  void begin() {
    watching.clear();
    lives.clear();
    engine = std::make_unique<TTLEnforcementEngine>(
        world.environment(),
        lukhas::TTLEnforcementEngineOptions{
            .minTtl = 1s, .maxEntriesPerSlice = 3, .gracePeriod = grace, .expiringSoonWindow = window});
    watching.push_back(engine->onExpired.connect([this](const EntryExpired& event) { note(event); }));
    watching.push_back(
        engine->onExpiringSoon.connect([this](const EntryExpiringSoon& event) { note(event); }));
    engine->start();
  }

  void note(const EntryExpired& event) {
    ++reports;
    const auto found = lives.find(event.key);
    if (found == lives.end()) return wrong.push_back(event.key + " was reported again");
    if (world.environment().now() < found->second.expiresAt + grace) wrong.push_back(event.key + " is early");
    if (engine->isValid(event.key)) wrong.push_back(event.key + " is valid");
    lives.erase(found);
  }
  void note(const EntryExpiringSoon& event) {
    ++warnings;
    const auto found = lives.find(event.key);
    if (found == lives.end()) return wrong.push_back(event.key + " is gone");
    if (std::exchange(found->second.warned, true)) wrong.push_back(event.key + " was warned of again");
    if (event.remaining > window || event.remaining <= 0s)
      wrong.push_back(event.key + " was warned of early");
  }

  // One step of a worker, drawn from the simulation's chance.
  void act() {
    const Environment environment = world.environment();
    const std::string key = std::to_string(environment.random() % 40);
    const lukhas::TimePoint now = environment.now();
    switch (environment.random() % 8) {
      case 0: return environment.random() % 3 == 0 ? engine->stop() : engine->start();
      case 1:
        if (engine->unregister(key) != (lives.erase(key) > 0)) wrong.push_back(key + " was not known");
        return;
      case 2:
      case 3: return prolong(key, now, grace, [&] { return engine->refresh(key); });
      case 4: return prolong(key, now, 0s, [&] { return bool(engine->extend(key, 2s)); });
      default: {
        const Duration ttl = engine->registerEntry(key, std::chrono::seconds(environment.random() % 30));
        lives[key] = {now + ttl, false};
      }
    }
  }
  template <class Call>
  void prolong(const std::string& key, lukhas::TimePoint now, Duration grace_, Call call) {
    const auto found = lives.find(key);
    const bool possible = found != lives.end() && found->second.expiresAt + grace_ > now;
    if (call() != possible) wrong.push_back(key + " has the wrong validity");
    if (!possible) return;
    const auto left = engine->getRemainingTTL(key);
    if (!left) return wrong.push_back(key + " was lost");
    found->second.expiresAt = now + *left;
  }

  static asio::awaitable<void> work(Scene& scene, int steps) {
    const Environment environment = scene.world.environment();
    for (int i = 0; i < steps; ++i) {
      scene.act();
      co_await environment.sleepFor(std::chrono::milliseconds(environment.random() % 3000));
    }
  }
  static asio::awaitable<void> sweepAgain(Scene& scene, int times) {
    const Environment environment = scene.world.environment();
    for (int i = 0; i < times; ++i) {
      co_await environment.sleepFor(std::chrono::milliseconds(environment.random() % 5000));
      scene.swept += (co_await scene.engine->sweep()).expired;
    }
  }
  void spawnAll() {
    for (int i = 0; i < 4; ++i) world.spawn(work(*this, 60));
    for (int i = 0; i < 2; ++i) world.spawn(sweepAgain(*this, 30));
  }
};

asio::awaitable<void> ownAnEngine(Environment environment, int entries) {
  TTLEnforcementEngine engine(environment, {.minTtl = 1s, .maxEntriesPerSlice = 2, .expiringSoonWindow = 1s});
  engine.start();
  for (int i = 0; i < entries; ++i) engine.registerEntry("key" + std::to_string(i), 1s, "type");
  for (;;) {
    co_await environment.sleepFor(6s);
    (void)co_await engine.sweep();
    for (int i = 0; i < entries; ++i) engine.registerEntry("key" + std::to_string(i), 1s);
  }
}

asio::awaitable<void> sweepUntilClosed(std::shared_ptr<TTLEnforcementEngine> engine, bool& closed) {
  auto sweep = engine->sweep();
  engine.reset();
  try {
    (void)co_await std::move(sweep);
  } catch (const lukhas::Error& error) {
    closed = error.code() == TtlErrc::closed;
  }
}

// Looks how much happens between two of its turns.
asio::awaitable<void> watchSlices(Environment environment, const std::size_t& removed, std::size_t end,
                                  std::size_t& most, std::size_t& turns) {
  std::size_t seen = 0;
  while (removed < end) {
    ++turns;
    most = std::max(most, removed - seen);
    seen = removed;
    co_await asio::post(environment.executor(), asio::use_awaitable);
  }
}

}  // namespace

TEST_CASE("each life ends in at most one report and never early whatever the order", "[ttl]") {
  std::size_t reports = 0;
  std::size_t warnings = 0;
  std::size_t swept = 0;
  for (std::uint64_t seed = 1; seed <= (deep ? 5000U : 150U); ++seed) {
    INFO("seed " << seed);
    Scene scene(seed);
    scene.spawnAll();
    scene.world.run();
    scene.engine->start();  // a worker may have stopped it
    scene.world.run();
    const std::string first = scene.wrong.empty() ? "" : scene.wrong.front();
    CHECK(first == "");
    CHECK(scene.lives.empty());  // the engine has reported every one
    REQUIRE(scene.engine->checkInvariants());
    CHECK(scene.engine->getMetrics().expiredEntries == scene.reports);
    reports += scene.reports;
    warnings += scene.warnings;
    swept += scene.swept;
  }
  CHECK((reports > 0 && warnings > 0 && swept > 0));
}

TEST_CASE("equal seeds give equal runs", "[ttl]") {
  const auto fingerprint = [](std::uint64_t seed) {
    Scene scene(seed);
    scene.spawnAll();
    scene.world.run();
    return scene.world.fingerprint();
  };
  CHECK(fingerprint(3) == fingerprint(3));
  CHECK(fingerprint(3) != fingerprint(4));
}

TEST_CASE("a crash at any step leaves nothing and the next life works", "[ttl]") {
  for (std::uint64_t step = 0; step < (deep ? 1500U : 250U); ++step) {
    INFO("step " << step);
    Scene scene(7);
    scene.spawnAll();
    scene.world.runSteps(step);
    scene.world.crash();
    scene.engine.reset();
    scene.begin();
    scene.world.spawn(Scene::work(scene, 5));
    scene.world.run();
    scene.engine->start();
    scene.world.run();
    CHECK(scene.wrong.empty());
    CHECK(scene.lives.empty());
  }
}

TEST_CASE("a crash at any step destroys an engine that a coroutine owns", "[ttl]") {
  for (std::uint64_t step = 0; step < 200; ++step) {
    lukhas::Simulation world({.seed = step + 1});
    world.spawn(ownAnEngine(world.environment(), 7));
    world.runSteps(step);
    world.crash();
    world.run();
  }
  SUCCEED("nothing was used after its end");
}

TEST_CASE("an engine that is destroyed at any step of its sweeps closes them", "[ttl]") {
  for (std::uint64_t step = 0; step < 40; ++step) {
    INFO("step " << step);
    lukhas::Simulation world({.seed = step + 1});
    auto engine = std::make_shared<TTLEnforcementEngine>(
        world.environment(), lukhas::TTLEnforcementEngineOptions{.maxEntriesPerSlice = 1});
    std::size_t reports = 0;
    const auto counting = engine->onExpired.connect([&](const EntryExpired&) { ++reports; });
    for (int i = 0; i < 100; ++i) engine->registerEntry(std::to_string(i), 30s);
    world.runFor(1min);
    engine->start();
    bool first = false;
    bool second = false;
    world.spawn(sweepUntilClosed(engine, first));
    world.spawn(sweepUntilClosed(engine, second));
    world.runSteps(2 + step);
    engine.reset();
    const std::size_t reported = reports;
    world.run();
    CHECK((first && second));
    CHECK(reports == reported);
  }
}

TEST_CASE("a hundred thousand entries that expire at once let others work in between", "[ttl]") {
  constexpr std::size_t entries = 100'000;
  lukhas::Simulation world({.seed = 9});
  TTLEnforcementEngine engine(world.environment(), {});
  std::size_t removed = 0;
  const auto counting = engine.onExpired.connect([&](const EntryExpired&) { ++removed; });
  for (std::size_t i = 0; i < entries; ++i) engine.registerEntry("context:" + std::to_string(i), 30s);
  engine.start();
  world.runFor(35s - 1ns);
  CHECK(removed == 0);
  std::size_t most = 0;
  std::size_t turns = 0;
  while (removed == 0) world.runSteps(1);  // the first slice
  CHECK(removed == 1000);
  world.spawn(watchSlices(world.environment(), removed, entries, most, turns));
  world.runFor(0s);
  CHECK(removed == entries);
  CHECK(turns > 20);
  CHECK(most <= 20'000);  // between two turns: as many slices as the seed gives the engine in a row
  CHECK(engine.getMetrics().activeEntries == 0);
  CHECK(engine.getMetrics().sweepCount == 1);
}
