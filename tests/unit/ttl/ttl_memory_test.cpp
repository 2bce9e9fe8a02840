// Without memory: for an alarm, a post, or an entry.
#include "lukhas/ttl/ttl_enforcement_engine.hpp"

#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <variant>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/ttl/detail/entry_schedule.hpp"
#include "support/catch.hpp"
#include "support/failing_memory.hpp"
#include "support/failing_world.hpp"

namespace ttl_memory_test {

using namespace std::chrono_literals;
using lukhas::TimePoint;
using lukhas::TTLEnforcementEngineOptions;
using lukhas::detail::EntrySchedule;

TEST_CASE("entries expire on time after alarms that there was no memory for", "[ttl]") {
  for (const int failing : {1, 2, 3}) {
    lukhas::Simulation world;
    const auto failures = std::make_shared<lukhas::test::Failures>();
    lukhas::TTLEnforcementEngine engine(lukhas::test::FailingWorld::over(world.environment(), failures),
                                        {.sweepInterval = 10s, .maxEntriesPerSlice = 1, .gracePeriod = 0s});
    std::vector<lukhas::Duration> expired;
    const auto watching =
        engine.onExpired.connect([&](const lukhas::EntryExpired&) { expired.push_back(world.elapsed()); });
    engine.start();
    (void)engine.registerEntry("a", 30s);
    (void)engine.registerEntry("b", 30s);
    (void)engine.registerEntry("c", 45s);
    world.runFor(5s);
    failures->alarms = failing;
    try {
      world.run();
    } catch (const std::bad_alloc&) {
      world.run();
    }
    CHECK(expired == std::vector<lukhas::Duration>{30s, 30s, 45s});
    CHECK(failures->alarms == 0);
  }
}

TEST_CASE("a run that could not post its next slice is begun anew", "[ttl]") {
  lukhas::Simulation world;
  const auto failures = std::make_shared<lukhas::test::Failures>();
  lukhas::TTLEnforcementEngine engine(lukhas::test::FailingWorld::over(world.environment(), failures),
                                      {.maxEntriesPerSlice = 1, .gracePeriod = 0s});
  engine.start();
  for (const char* key : {"a", "b", "c"}) (void)engine.registerEntry(key, 30s);
  world.runFor(30s - 1ns);
  failures->posts = 1;
  CHECK_THROWS_AS(world.run(), std::bad_alloc);
  world.run();
  CHECK(engine.getMetrics().expiredEntries == 3);
  CHECK(world.elapsed() == 30s);
}

namespace {

TTLEnforcementEngineOptions warned() { return {.gracePeriod = 5s, .expiringSoonWindow = 10s}; }

void follow(EntrySchedule& entries, lukhas::Duration until) {
  while (entries.isDue(TimePoint(until))) (void)entries.takeDue(TimePoint(until));
}

// Whether the call found no memory when its nth allocation failed.
template <class Call>
bool failsAt(int nth, Call&& call) {
  const lukhas::test::FailingMemory failing(nth);
  try {
    call();
  } catch (const std::bad_alloc&) {
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("registering a key anew without memory leaves the old entry as it was", "[ttl]") {
  const std::string longType(40, 't');  // more than a string keeps in itself
  for (const lukhas::Duration reached : {0s, 32s}) {
    int failed = 0;
    for (bool refused = true; refused; ++failed) {
      EntrySchedule entries(warned(), 1);
      entries.put("a", "old", 30s, TimePoint());
      follow(entries, reached);
      const auto before = entries.next();
      refused = failsAt(failed, [&] { entries.put("a", longType, 1min, TimePoint(reached)); });
      CHECK(entries.checkInvariants());
      CHECK(entries.size() == 1);
      CHECK((entries.next() == before) == refused);
      CHECK(entries.types().size() == (refused ? 2 : 3));
    }
    CHECK(failed > 1);
  }
}

TEST_CASE("registering a new key without memory changes nothing", "[ttl]") {
  const std::string longKey(40, 'k');
  int failed = 0;
  // With 125 of them a leaf of the trees has just been split, with 64 or 192 the table's chunks are full.
  for (const int others : {0, 1, 64, 125, 192}) {
    failed = 0;
    for (bool refused = true; refused; ++failed) {
      EntrySchedule entries(warned(), 1);
      for (int i = 0; i < others; ++i) entries.put(std::to_string(i), "", 30s, TimePoint());
      refused = failsAt(failed, [&] { entries.put(longKey, longKey, 1min, TimePoint()); });
      CHECK(entries.checkInvariants());
      CHECK(entries.size() == static_cast<std::size_t>(others) + (refused ? 0 : 1));
      CHECK(entries.remaining(longKey, TimePoint()).has_value() == !refused);
    }
    CHECK(failed > 2);
  }
}

TEST_CASE("a refresh in the grace period without memory leaves the entry ended", "[ttl]") {
  int failed = 0;
  for (bool refused = true; refused; ++failed) {
    EntrySchedule entries(warned(), 1);
    entries.put("a", "", 30s, TimePoint());
    follow(entries, 32s);
    for (int i = 0; i < 125; ++i) entries.put(std::to_string(i), "", 1h, TimePoint(32s));
    refused = failsAt(failed, [&] { (void)entries.refresh("a", TimePoint(32s)); });
    CHECK(entries.checkInvariants());
    CHECK(entries.remaining("a", TimePoint(32s)).has_value() == !refused);
  }
  CHECK(failed > 1);
}

TEST_CASE("an entry whose grace period could not begin for want of memory begins it later", "[ttl]") {
  EntrySchedule entries(warned(), 1);
  entries.put("a", "", 30s, TimePoint());
  follow(entries, 20s);
  CHECK(failsAt(0, [&] { (void)entries.takeDue(TimePoint(30s)); }));
  CHECK(entries.checkInvariants());
  CHECK(std::holds_alternative<EntrySchedule::GraceBegun>(entries.takeDue(TimePoint(30s))));
}

}  // namespace ttl_memory_test
