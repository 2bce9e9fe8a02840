#include "lukhas/route/retry_after.hpp"

#include <clocale>
#include <string>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::parseHttpDate;
using lukhas::parseRetryAfter;
using lukhas::parseRetryAfterMs;

namespace {

using Wait = std::optional<std::chrono::nanoseconds>;

// 6 November 1994, 08:49:37, the date of the examples of RFC 9110.
const std::chrono::system_clock::time_point example =
    std::chrono::sys_days(std::chrono::year(1994) / 11 / 6) + 8h + 49min + 37s;

}  // namespace

TEST_CASE("Retry-After in seconds may be fractional and zero", "[route]") {
  CHECK(parseRetryAfter("120", example) == Wait(120s));
  CHECK(parseRetryAfter("1.5", example) == Wait(1500ms));
  CHECK(parseRetryAfter("0", example) == Wait(0s));
  CHECK(parseRetryAfter(" \t2 ", example) == Wait(2s));
  CHECK(parseRetryAfter("1e1", example) == Wait(10s));
}

TEST_CASE("retry-after-ms is a fractional number of milliseconds and may be zero", "[route]") {
  CHECK(parseRetryAfterMs("250") == Wait(250ms));
  CHECK(parseRetryAfterMs("0.5") == Wait(500us));
  CHECK(parseRetryAfterMs("0") == Wait(0s));
  CHECK(parseRetryAfterMs("0.0") == Wait(0s));
}

TEST_CASE("waits that cannot be used are not used", "[route]") {
  for (const char* text : {"", " ", "-1", "-0.001", "nan", "NaN", "inf", "-inf", "Infinity", "1e999", "12 s",
                           "1,5", "0x10", "soon", "1 2", "--1", "+"}) {
    INFO(text);
    CHECK(parseRetryAfter(text, example) == std::nullopt);
    CHECK(parseRetryAfterMs(text) == std::nullopt);
  }
}

TEST_CASE("a wait of more than a day is a day", "[route]") {
  CHECK(parseRetryAfter("86400", example) == Wait(24h));
  CHECK(parseRetryAfter("86400.5", example) == Wait(24h));
  CHECK(parseRetryAfter("1e300", example) == Wait(24h));
  CHECK(parseRetryAfter("Fri, 31 Dec 9999 23:59:59 GMT", example) == Wait(24h));
  CHECK(parseRetryAfter("Mon, 07 Nov 1994 08:49:37 GMT", example) == Wait(24h));
  CHECK(parseRetryAfter("Mon, 07 Nov 1994 08:49:36 GMT", example) == Wait(24h - 1s));
}

TEST_CASE("the three forms of HTTP dates mean the same time", "[route]") {
  for (const char* text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    INFO(text);
    REQUIRE(parseHttpDate(text, example));
    CHECK(*parseHttpDate(text, example) == example);
    CHECK(parseRetryAfter(text, example) == Wait(0s));
    CHECK(parseRetryAfter(text, example - 90s) == Wait(90s));
    CHECK(parseRetryAfter(text, example - 1ms) == Wait(1ms));
  }
}

TEST_CASE("a date that has passed is not used", "[route]") {
  CHECK(parseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", example + 1ns) == std::nullopt);
  CHECK(parseRetryAfter("Sun, 06 Nov 1994 08:49:37 GMT", example + 24h) == std::nullopt);
  CHECK(parseRetryAfter("Mon, 01 Jan 0001 00:00:00 GMT", example) == std::nullopt);
}

TEST_CASE("a two-digit year more than fifty years ahead is of the past century", "[route]") {
  const auto year = [](const char* text, int now) {
    const auto date = parseHttpDate(text, std::chrono::sys_days(std::chrono::year(now) / 6 / 1));
    return static_cast<int>(
        std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(date.value())).year());
  };
  CHECK(year("Sunday, 06-Nov-94 08:49:37 GMT", 2024) == 1994);
  CHECK(year("Sunday, 06-Nov-74 08:49:37 GMT", 2024) == 2074);
  CHECK(year("Sunday, 06-Nov-75 08:49:37 GMT", 2024) == 1975);
  CHECK(year("Sunday, 06-Nov-24 08:49:37 GMT", 2024) == 2024);
}

TEST_CASE("what is nearly a date is none", "[route]") {
  for (const char* text :
       {"Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT", "sun, 06 nov 1994 08:49:37 gmt", "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT x", "Son, 06 Nov 1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
        "Sunday, 06-Nov-1994 08:49:37 GMT", "1994-11-06T08:49:37Z"}) {
    INFO(text);
    CHECK_FALSE(parseHttpDate(text, example));
  }
  CHECK(parseHttpDate("Sat, 31 Dec 2016 23:59:60 GMT", example));  // a leap second
}

TEST_CASE("numbers are read the same in a locale with decimal commas", "[route]") {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"}) {
    if (std::setlocale(LC_ALL, name) != nullptr) break;
  }
  CHECK(parseRetryAfterMs("1.5") == Wait(1500us));
  CHECK(parseRetryAfterMs("1,5") == std::nullopt);
  std::setlocale(LC_ALL, before.c_str());
}

TEST_CASE("every beginning of a date is refused without reading past its end", "[route]") {
  for (const std::string whole :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"}) {
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const std::string part(whole.data(), length);
      INFO(part);
      CHECK_FALSE(parseHttpDate(part, example));
    }
  }
}
