#include "lukhas/store/store_ttl.hpp"

#include <limits>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::Duration;
using lukhas::StoreTtl;

TEST_CASE("a TTL is made of any duration or of nothing and saturates", "[store]") {
  const auto of = [](StoreTtl ttl) { return static_cast<std::optional<Duration>>(ttl); };
  CHECK_FALSE(of({}).has_value());
  CHECK_FALSE(of(std::nullopt).has_value());
  CHECK(of(5min) == Duration(5min));
  CHECK(of(std::optional<Duration>(3s)) == Duration(3s));
  CHECK(of(std::chrono::duration<double>(1.5)) == Duration(1500ms));
  CHECK(of(std::chrono::hours::max()) == Duration::max());
  CHECK(of(std::chrono::years(300)) == Duration::max());
  CHECK(of(-std::chrono::years(300)) == Duration::min());
  CHECK(of(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN())) == Duration::min());
}
