// A point of time as people and logs write it.
#pragma once

#include <chrono>
#include <string>

#include <fmt/format.h>

namespace lukhas {

// "2026-03-01T07:05:09.250Z": UTC with milliseconds, which are cut, not rounded (RFC 3339, section 5.6).
[[nodiscard]] inline std::string toRfc3339(std::chrono::sys_time<std::chrono::nanoseconds> time) {
  using namespace std::chrono;
  const sys_days day = floor<days>(time);
  const year_month_day date(day);
  const hh_mm_ss clock(floor<milliseconds>(time - day));
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

}  // namespace lukhas
