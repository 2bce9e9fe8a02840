// Without memory: for an alarm, a post, or an entry.
#include "lukhas/ttl/ttl_enforcement_engine.hpp"

#include <chrono>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/ttl/detail/entry_schedule.hpp"
#include "support/catch.hpp"
#include "support/failing_memory.hpp"
#include "support/failing_world.hpp"

namespace ttl_memory_test {

using namespace std::chrono_literals;
using lukhas::TimePoint;
using lukhas::detail::EntrySchedule;
using lukhas::detail::TtlRules;

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

TEST_CASE("registering a key anew without memory leaves the old entry as it was", "[ttl]") {
  const std::string longType(40, 't');  // more than a string keeps in itself
  const TtlRules rules{5min, 30s, 1h, lukhas::OutOfRangeTtl::clamp, 5s, 10s};
  for (const lukhas::Duration reached : {0s, 32s}) {
    int failed = 0;
    for (int nth = 0;; ++nth) {
      EntrySchedule entries(1);
      entries.put("a", "old", rules, 30s, TimePoint());
      while (entries.isDue(TimePoint(reached))) (void)entries.takeDue(TimePoint(reached));
      const auto before = entries.next();
      bool refused = false;
      {
        const lukhas::test::FailingMemory failing(nth);
        try {
          entries.put("a", longType, rules, 1min, TimePoint(reached));
        } catch (const std::bad_alloc&) {
          refused = true;
        }
      }
      CHECK(entries.checkInvariants());
      CHECK(entries.size() == 1);
      if (!refused) break;
      ++failed;
      CHECK(entries.next() == before);
    }
    CHECK(failed > 0);
  }
}

TEST_CASE("registering a new key without memory changes nothing", "[ttl]") {
  const std::string longKey(40, 'k');
  const TtlRules rules{5min, 30s, 1h, lukhas::OutOfRangeTtl::clamp, 5s, 10s};
  for (int nth = 0;; ++nth) {
    EntrySchedule entries(1);
    entries.put("a", "", rules, 30s, TimePoint());
    bool refused = false;
    {
      const lukhas::test::FailingMemory failing(nth);
      try {
        entries.put(longKey, longKey, rules, 1min, TimePoint());
      } catch (const std::bad_alloc&) {
        refused = true;
      }
    }
    CHECK(entries.checkInvariants());
    CHECK(entries.size() == (refused ? 1 : 2));
    if (!refused) break;
  }
}

}  // namespace ttl_memory_test
