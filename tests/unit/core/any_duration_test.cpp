#include "lukhas/core/any_duration.hpp"

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AnyDuration;
using std::chrono::nanoseconds;

namespace {

nanoseconds arrived(AnyDuration given) { return given; }

}  // namespace

static_assert(!std::is_convertible_v<int, AnyDuration>);  // a bare number has no unit

TEST_CASE("a duration that nanoseconds can hold arrives as it is", "[core]") {
  CHECK(arrived(3h) == 3h);
  CHECK(arrived(-1ns) == -1ns);
  CHECK(arrived(std::chrono::duration<double>(0.25)) == 250ms);
  CHECK(arrived(nanoseconds::max()) == nanoseconds::max());
  CHECK(arrived(nanoseconds::max() - 1ns) == nanoseconds::max() - 1ns);
  CHECK(arrived(nanoseconds::min() + 1ns) == nanoseconds::min() + 1ns);
  CHECK(arrived(nanoseconds::min()) == nanoseconds::min());
}

TEST_CASE("a duration that nanoseconds cannot hold arrives as the nearest one", "[core]") {
  using std::chrono::duration;
  CHECK(arrived(std::chrono::hours::max()) == nanoseconds::max());
  CHECK(arrived(std::chrono::hours::min()) == nanoseconds::min());
  CHECK(arrived(std::chrono::seconds(9'223'372'037)) == nanoseconds::max());
  CHECK(arrived(std::chrono::seconds(9'223'372'036)) == 9'223'372'036s);
  CHECK(arrived(duration<double>(std::numeric_limits<double>::infinity())) == nanoseconds::max());
  CHECK(arrived(duration<double>(-1e300)) == nanoseconds::min());
  CHECK(arrived(duration<double>(std::numeric_limits<double>::quiet_NaN())) == nanoseconds::min());
}

TEST_CASE("any duration may stand where an optional one is asked for", "[core]") {
  const auto given = [](std::optional<AnyDuration> duration) -> std::optional<nanoseconds> {
    return duration;
  };
  CHECK(given(1min) == 1min);
  CHECK_FALSE(given(std::nullopt).has_value());
  CHECK(given(std::optional<std::chrono::milliseconds>(5ms)) == 5ms);
}
