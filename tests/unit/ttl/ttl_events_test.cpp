#include "lukhas/ttl/ttl_events.hpp"

#include <chrono>
#include <stdexcept>
#include <string>

#include "support/catch.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::EntryExpired;
using lukhas::EntryExpiringSoon;
using lukhas::test::TtlWorld;
using Lines = TtlWorld::Lines;

TEST_CASE("an entry is reported once and exactly when its grace period is over", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("key", 40s, "cache");
  ttl.world.runFor(45s - 1ns);
  CHECK(ttl.expired.empty());
  ttl.world.runFor(1ns);
  CHECK(ttl.expired == Lines{"key/cache@45000"});
  ttl->start();
  CHECK(ttl.sweep().expired == 0);
  ttl.world.runFor(1h);
  CHECK(ttl.expired.size() == 1);
}

TEST_CASE("without a grace period an entry is reported at its expiry", "[ttl]") {
  TtlWorld ttl({.gracePeriod = 0s});
  ttl->start();
  ttl->registerEntry("key", 30s);
  ttl.world.run();
  CHECK(ttl.expired == Lines{"key/@30000"});
}

TEST_CASE("entries are reported in the order of their expiry", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("c", 32s);
  ttl->registerEntry("a", 30s);
  ttl->registerEntry("b", 31s);
  ttl->registerEntry("a2", 30s);
  ttl.world.run();
  CHECK(ttl.expired == Lines{"a/@35000", "a2/@35000", "b/@36000", "c/@37000"});
}

TEST_CASE("a grace period of a type does not hold up others", "[ttl]") {
  TtlWorld ttl(
      {.gracePeriod = 1s, .policies = {{"slow", {.gracePeriod = 1h}}, {"now", {.gracePeriod = 0s}}}});
  ttl->start();
  ttl->registerEntry("slow", 30s, "slow");
  ttl->registerEntry("quick", 31s);
  ttl->registerEntry("now", 31s, "now");
  ttl.world.run();
  CHECK(ttl.expired == Lines{"now/now@31000", "quick/@32000", "slow/slow@3630000"});
}

TEST_CASE("an entry that was prolonged or unregistered is not reported before its new end", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("refreshed", 30s);
  ttl->registerEntry("extended", 30s);
  ttl->registerEntry("gone", 30s);
  ttl.world.runFor(20s);
  ttl->refresh("refreshed");
  ttl->extend("extended", 1min);
  CHECK(ttl->unregister("gone"));
  ttl.world.run();
  CHECK(ttl.expired == Lines{"refreshed/@55000", "extended/@95000"});
}

TEST_CASE("an entry that is unregistered or replaced in its grace period is not reported", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("gone", 30s);
  ttl->registerEntry("anew", 30s, "old");
  ttl.world.runFor(32s);
  CHECK(ttl->unregister("gone"));
  CHECK_FALSE(ttl->unregister("gone"));
  ttl->registerEntry("anew", 30s, "new");
  CHECK(ttl->isValid("anew"));
  ttl.world.run();
  CHECK(ttl.expired == Lines{"anew/new@67000"});
}

TEST_CASE("by default nobody is told what expires soon", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("key", 30s);
  ttl.world.run();
  CHECK(ttl.soon.empty());
}

TEST_CASE("what expires soon is told once when it comes into the window", "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 10s});
  ttl->start();
  ttl->registerEntry("key", 30s, "cache");
  ttl.world.runFor(20s - 1ns);
  CHECK(ttl.soon.empty());
  ttl.world.run();
  CHECK(ttl.soon == Lines{"key/cache@20000-10000"});
  CHECK(ttl.expired.size() == 1);
}

TEST_CASE("it is told once in a life and prolonging moves the moment until then", "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 10s});
  ttl->start();
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(15s);
  ttl->refresh("key");  // the warning at 20 s is not due any more
  ttl.world.runFor(10s);
  ttl->extend("key", 2s);
  ttl.world.runFor(12s);
  CHECK(ttl.soon == Lines{"key/@37000-10000"});
  ttl->extend("key", 1s);
  ttl->refresh("key");  // out of the window, and into it again: the same life
  ttl.world.runFor(31s);
  CHECK(ttl->refresh("key"));  // also by way of the grace period
  ttl.world.run();
  CHECK(ttl.soon.size() == 1);
  ttl->registerEntry("key", 30s);  // another life
  ttl.world.run();
  CHECK(ttl.soon.size() == 2);
}

TEST_CASE("an entry whose whole life is within the window is told at once", "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 1min});
  ttl->start();
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(0s);
  CHECK(ttl.soon == Lines{"key/@0-30000"});
  ttl->refresh("key");
  ttl.world.runFor(1s);
  CHECK(ttl.soon.size() == 1);
  ttl->registerEntry("key", 30s);  // another life
  ttl.world.runFor(0s);
  CHECK(ttl.soon == Lines{"key/@0-30000", "key/@1000-30000"});
}

TEST_CASE("each type has its own lead time", "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 10s,
                .policies = {{"early", {.expiringSoonWindow = 20s}}, {"never", {.expiringSoonWindow = 0s}}}});
  ttl->start();
  ttl->registerEntry("a", 30s);
  ttl->registerEntry("b", 30s, "early");
  ttl->registerEntry("c", 30s, "never");
  ttl.world.run();
  CHECK(ttl.soon == Lines{"b/early@10000-20000", "a/@20000-10000"});
}

TEST_CASE("an entry that nobody was warned of in time is warned of in the life that a refresh gave it",
          "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 10s});
  ttl->registerEntry("key", 30s);
  ttl.world.runFor(32s);
  ttl->start();  // in its grace period
  ttl.world.runFor(0s);
  CHECK(ttl.soon.empty());
  CHECK(ttl->refresh("key"));
  ttl.world.run();
  CHECK(ttl.soon == Lines{"key/@52000-10000"});
}

TEST_CASE("an entry that has expired or gone is not said to expire soon", "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 10s});
  ttl->registerEntry("late", 30s);
  ttl->registerEntry("gone", 30s);
  ttl->unregister("gone");
  ttl.world.runFor(31s);
  ttl->start();  // too late for a warning
  ttl.world.run();
  CHECK(ttl.soon.empty());
  CHECK(ttl.expired == Lines{"late/@35000"});
}

TEST_CASE("a listener may register the key anew and the new life is its own", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  int lives = 3;
  ttl.watching.push_back(ttl->onExpired.connect([&](const EntryExpired& event) {
    CHECK_FALSE(ttl->isValid(event.key));
    if (--lives > 0) ttl->registerEntry(event.key, 30s, event.type);
  }));
  ttl->registerEntry("key", 30s, "t");
  ttl.world.run();
  CHECK(ttl.expired == Lines{"key/t@35000", "key/t@70000", "key/t@105000"});
}

TEST_CASE("what a listener prolongs or registers anew is not reported with the others of its slice",
          "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl.watching.push_back(ttl->onExpired.connect([&](const EntryExpired& event) {
    if (event.key == "a") ttl->registerEntry("b", 1min);
    if (event.key == "a") ttl->unregister("c");
  }));
  for (const char* key : {"a", "b", "c"}) ttl->registerEntry(key, 30s);
  ttl.world.runFor(35s);
  CHECK(ttl.expired == Lines{"a/@35000"});
  CHECK(ttl->isValid("b"));
  ttl.world.run();
  CHECK(ttl.expired == Lines{"a/@35000", "b/@100000"});
}

TEST_CASE("a listener may destroy the engine", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl.watching.push_back(ttl->onExpired.connect([&](const EntryExpired&) { ttl.engine.reset(); }));
  for (int i = 0; i < 5; ++i) ttl->registerEntry(std::to_string(i), 30s);
  ttl.world.run();
  CHECK(ttl.expired == Lines{"0/@35000"});
  CHECK(ttl.world.elapsed() == 35s);  // no timer is left
}

TEST_CASE("a listener may stop and start the engine and nothing is lost", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 2});
  ttl->start();
  ttl.watching.push_back(ttl->onExpired.connect([&](const EntryExpired& event) {
    if (event.key == "1" || event.key == "2") ttl->stop();
    if (event.key == "2") ttl->start();
  }));
  for (int i = 0; i < 5; ++i) ttl->registerEntry(std::to_string(i), 30s);
  ttl.world.run();
  CHECK(ttl.expired == Lines{"0/@35000", "1/@35000"});
  ttl->start();
  ttl.world.run();
  CHECK(ttl.expired.size() == 5);
}

TEST_CASE("a listener that throws keeps nobody from hearing", "[ttl]") {
  TtlWorld ttl;
  int heard = 0;
  ttl.watching.push_back(ttl->onExpired.connect(
      [](const EntryExpired&) { throw std::runtime_error("a listener's own trouble"); }));
  ttl.watching.push_back(ttl->onExpired.connect([&](const EntryExpired&) { ++heard; }));
  ttl->start();
  ttl->registerEntry("a", 30s);
  ttl->registerEntry("b", 30s);
  ttl.world.run();
  CHECK(heard == 2);
  CHECK(ttl->onExpired.listenerErrors() == 2);
}

TEST_CASE("a listener that unregisters its neighbours is the last to hear of them", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  int unregistered = 0;
  ttl.watching.push_back(ttl->onExpired.connect([&](const EntryExpired& event) {
    const int own = std::stoi(event.key);
    CHECK_FALSE(ttl->unregister(event.key));  // it is gone already
    CHECK_FALSE(ttl->unregister(std::to_string(own - 1)));
    if (ttl->unregister(std::to_string(own + 1))) ++unregistered;
  }));
  for (int i = 10; i < 20; ++i) ttl->registerEntry(std::to_string(i), 30s);
  ttl.world.run();
  CHECK(ttl.expired.size() == 5);
  CHECK(unregistered == 5);
  for (const std::string& line : ttl.expired) CHECK(std::stoi(line) % 2 == 0);
  CHECK(ttl->getMetrics().expiredEntries == 5);
}

TEST_CASE("a listener may register what it hears of at once and for ever so many times", "[ttl]") {
  TtlWorld ttl({.minTtl = 1ms, .maxEntriesPerSlice = 3, .gracePeriod = 0s});
  ttl->start();
  ttl.watching.push_back(ttl->onExpired.connect(
      [&](const EntryExpired& event) { ttl->registerEntry(event.key, 1ms, event.type); }));
  for (int i = 0; i < 10; ++i) ttl->registerEntry(std::to_string(i), 1ms, "t");
  ttl.world.runFor(50ms);
  CHECK(ttl.expired.size() == 500);
  CHECK(ttl->getMetrics().activeEntries == 10);
  ttl->stop();
}

TEST_CASE("a listener that destroys its own subscription hears nothing more", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  int heard = 0;
  lukhas::Subscription own;
  own = ttl->onExpired.connect([&](const EntryExpired&) {
    ++heard;
    own = {};
  });
  for (int i = 0; i < 5; ++i) ttl->registerEntry(std::to_string(i), 30s);
  ttl.world.run();
  CHECK(heard == 1);
  CHECK(ttl.expired.size() == 5);  // the others hear on
}

TEST_CASE("a listener of what expires soon may prolong or unregister or destroy its subscription", "[ttl]") {
  TtlWorld ttl({.expiringSoonWindow = 10s});
  ttl->start();
  int heard = 0;
  lukhas::Subscription own;
  own = ttl->onExpiringSoon.connect([&](const EntryExpiringSoon& event) {
    ++heard;
    if (event.key == "a") CHECK(ttl->refresh("a"));
    if (event.key == "b") CHECK(ttl->unregister("b"));
    if (event.key == "c") own = {};
    throw std::runtime_error("a listener's own trouble");
  });
  for (const char* key : {"a", "b", "c", "d"}) ttl->registerEntry(key, 30s);
  ttl.world.run();
  CHECK(heard == 3);
  CHECK(ttl.expired == Lines{"c/@35000", "d/@35000", "a/@55000"});
  CHECK(ttl->onExpiringSoon.listenerErrors() == 3);
}

TEST_CASE("an entry of another type with the same moment of warning is warned of behind the earlier ones",
          "[ttl]") {
  TtlWorld ttl({.policies = {{"a", {.expiringSoonWindow = 10s}}, {"b", {.expiringSoonWindow = 20s}}}});
  ttl->start();
  ttl->registerEntry("x", 40s, "a");
  ttl->registerEntry("y", 40s, "a");
  ttl->registerEntry("x", 50s, "b");  // 50 s - 20 s is 40 s - 10 s
  CHECK(ttl->checkInvariants());
  ttl.world.run();
  CHECK(ttl.soon == Lines{"y/a@30000-10000", "x/b@30000-20000"});
}
