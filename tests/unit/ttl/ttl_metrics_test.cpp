#include "lukhas/ttl/ttl_metrics.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "support/catch.hpp"
#include "unit/ttl/ttl_world.hpp"

using namespace std::chrono_literals;
using lukhas::test::TtlWorld;

TEST_CASE("the metrics of an unused engine are zero under their own names", "[ttl]") {
  TtlWorld ttl;
  CHECK(ttl->getMetrics().toJson().dump() ==
        R"({"activeEntries":0,"avgSweepDurationMs":0.0,"avgTTLMs":0.0,"expiredEntries":0,)"
        R"("lastSweepAt":0,"sweepCount":0,"totalEntries":0})");
}

TEST_CASE("entries are counted when they come and when they expire", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("a", 30s);
  ttl->registerEntry("b", 60s);
  ttl->registerEntry("b", 90s);  // replaces
  ttl->registerEntry("c");
  ttl->unregister("c");
  auto metrics = ttl->getMetrics();
  CHECK(metrics.totalEntries == 4);
  CHECK(metrics.activeEntries == 2);
  CHECK(metrics.expiredEntries == 0);
  CHECK(metrics.avgTTLMs == (30'000.0 + 60'000.0 + 90'000.0 + 300'000.0) / 4);
  ttl.world.runFor(34s);
  CHECK(ttl->getMetrics().activeEntries == 2);  // in its grace period
  ttl.world.runFor(1s);
  metrics = ttl->getMetrics();
  CHECK(metrics.activeEntries == 1);
  CHECK(metrics.expiredEntries == 1);
  CHECK(metrics.totalEntries == 4);
}

TEST_CASE("the mean TTL is that which entries got and not what was asked for", "[ttl]") {
  TtlWorld ttl;
  ttl->registerEntry("a", 1s);
  CHECK(ttl->getMetrics().avgTTLMs == 30'000);
}

TEST_CASE("the last sweep has a time of day in milliseconds", "[ttl]") {
  TtlWorld ttl;
  ttl->start();
  ttl->registerEntry("a", 30s);
  ttl.world.runFor(35s);
  const auto wall = ttl.world.environment().wallNow().time_since_epoch();
  CHECK(ttl->getMetrics().sweepCount == 1);
  CHECK(ttl->getMetrics().lastSweepAt == std::chrono::duration_cast<std::chrono::milliseconds>(wall).count());
}

TEST_CASE("the duration of a sweep includes its pauses", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 1});
  ttl->registerEntry("a", 30s);
  ttl->registerEntry("b", 30s);
  ttl.world.runFor(35s);
  ttl->start();
  ttl.world.runSteps(1);  // the first of two slices
  CHECK(ttl->getMetrics().expiredEntries == 1);
  CHECK(ttl->getMetrics().sweepCount == 0);
  ttl.world.runFor(0s);
  CHECK(ttl->getMetrics().sweepCount == 1);
  CHECK(ttl->getMetrics().avgSweepDurationMs == 0);  // virtual time stands still meanwhile
}

TEST_CASE("the metrics are written for Prometheus", "[ttl]") {
  TtlWorld ttl;
  ttl->registerEntry("a", 30s);
  const std::string text = lukhas::toPrometheus("ttl", ttl->getMetrics());
  CHECK_THAT(text, Catch::Matchers::Contains("\nlukhas_ttl_total_entries_total 1\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("\nlukhas_ttl_avg_ttl_ms 30000\n"));
  CHECK_THAT(text, Catch::Matchers::Contains("\nlukhas_ttl_active_entries 1\n"));
}

TEST_CASE("the figures of each type are told apart", "[ttl]") {
  TtlWorld ttl({.policies = {{"session", {.defaultTtl = 10min}}}});
  ttl->start();
  ttl->registerEntry("a", 30s, "cache");
  ttl->registerEntry("b", 90s, "cache");
  ttl->registerEntry("c", 1min);
  ttl->registerEntry("c", 1min, "cache");  // changes its type
  ttl.world.runFor(35s);
  std::vector<std::string> lines;
  ttl->forEachType([&](const lukhas::TtlTypeStatistics& type) {
    lines.push_back(fmt::format("{}: {} {} {} {}", type.type, type.totalEntries, type.expiredEntries,
                                type.activeEntries, type.avgTTLMs));
    ttl->unregister("b");  // may be called here
  });
  CHECK(lines == std::vector<std::string>{": 1 0 0 60000", "session: 0 0 0 0", "cache: 3 1 2 60000"});
}

TEST_CASE("a sweep says what it did", "[ttl]") {
  TtlWorld ttl({.maxEntriesPerSlice = 2, .expiringSoonWindow = 10s});
  for (const char* key : {"a", "b", "c"}) ttl->registerEntry(key, 30s);
  ttl->registerEntry("d", 44s);
  ttl.world.runFor(35s);
  const lukhas::SweepReport report = ttl.sweep();
  CHECK(report.expired == 3);
  CHECK(report.warned == 1);
  CHECK(report.slices == 2);
  CHECK(report.duration == 0s);  // virtual time stands still meanwhile
  const lukhas::SweepReport nothing = ttl.sweep();
  CHECK((nothing.expired == 0 && nothing.warned == 0 && nothing.slices == 1));
}
