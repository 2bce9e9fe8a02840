#include "lukhas/core/rfc3339.hpp"

#include "support/catch.hpp"

TEST_CASE("a point of time is written as RFC 3339 has it", "[core]") {
  using namespace std::chrono;
  const sys_time<nanoseconds> time = sys_days(year(2026) / 3 / 1) + 7h + 5min + 9s + 250'999'999ns;
  CHECK(lukhas::toRfc3339(time) == "2026-03-01T07:05:09.250Z");
  CHECK(lukhas::toRfc3339(sys_time<nanoseconds>{}) == "1970-01-01T00:00:00.000Z");
  CHECK(lukhas::toRfc3339(sys_time<nanoseconds>{-1ns}) == "1969-12-31T23:59:59.999Z");
}
