// Time of day that is set, and time in which the machine is suspended.
#include "lukhas/ttl/ttl_enforcement_engine.hpp"

#include <chrono>

#include "support/catch.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::SuspendedTime;
using lukhas::test::TtlWorld;
using Lines = TtlWorld::Lines;

TEST_CASE("setting the time of day changes nothing but when the last sweep was", "[ttl]") {
  for (const lukhas::Duration jump : {lukhas::Duration(-1000h), lukhas::Duration(1000h)}) {
    TtlWorld ttl({.expiringSoonWindow = 10s});
    ttl->start();
    ttl->registerEntry("key", 30s);
    ttl.world.runFor(15s);
    ttl.world.shiftWallClock(jump);
    CHECK(ttl->getRemainingTTL("key") == 15s);
    CHECK(ttl->healthCheck().healthy);
    ttl.world.run();
    CHECK(ttl.soon == Lines{"key/@20000-10000"});
    CHECK(ttl.expired == Lines{"key/@35000"});
    const auto wall = ttl.world.environment().wallNow().time_since_epoch();
    CHECK(ttl->getMetrics().lastSweepAt ==
          std::chrono::duration_cast<std::chrono::milliseconds>(wall).count());
  }
}

TEST_CASE("by default an entry does not age while the machine is suspended", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(10s);
  ttl.world.suspendFor(1h);
  CHECK(ttl->getRemainingTTL("key") == 20s);
  ttl.world.run();
  CHECK(ttl.expired == Lines{"key/@35000"});
}

TEST_CASE("counted suspended time ends an entry on waking up and its report follows with the interval",
          "[ttl]") {
  TtlWorld ttl({.sweepInterval = 20s, .suspendedTime = SuspendedTime::counted});
  ttl->start();
  ttl->registerEntry("short", 5min);
  ttl->registerEntry("long", 1h);
  ttl.world.runFor(10s);
  ttl.world.suspendFor(10min);
  CHECK_FALSE(ttl->isValid("short"));
  CHECK_FALSE(ttl->refresh("short"));  // its grace period is over as well
  CHECK(ttl->getRemainingTTL("long") == 1h - 10s - 10min);
  ttl.world.runFor(10s - 1ns);
  CHECK(ttl.expired.empty());
  ttl.world.runFor(1ns);
  CHECK(ttl.expired == Lines{"short/@20000"});
  ttl.world.run();
  CHECK(ttl.expired == Lines{"short/@20000", "long/@3005000"});  // to the second: 600 of them were asleep
}

TEST_CASE("with counted suspended time any change notices that the machine was suspended", "[ttl]") {
  TtlWorld ttl({.suspendedTime = SuspendedTime::counted});
  ttl->start();
  ttl->registerEntry("key", 5min);
  ttl.world.runFor(1s);
  ttl.world.suspendFor(10min);
  ttl->registerEntry("another");
  ttl.world.runFor(0s);
  CHECK(ttl.expired == Lines{"key/@1000"});
}

TEST_CASE("with counted suspended time that never comes everything is on time", "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 10s, .suspendedTime = SuspendedTime::counted});
  ttl->start();
  ttl->registerEntry("key", 30s);
  ttl.world.run();
  CHECK(ttl.soon == Lines{"key/@20000-10000"});
  CHECK(ttl.expired == Lines{"key/@35000"});
  CHECK(ttl.world.elapsed() == 35s);
}
