#include "lukhas/core/option_check.hpp"

#include <chrono>
#include <cstddef>
#include <limits>
#include <string>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::Errc;
using lukhas::Error;
using lukhas::requireOption;
using lukhas::requireOptionRule;

namespace {

template <class Check>
Error refusalOf(Check&& check) {
  try {
    check();
  } catch (const Error& error) {
    return error;
  }
  FAIL("the option was accepted");
  throw std::logic_error("unreachable");
}

}  // namespace

TEST_CASE("an option is accepted at both ends of its range and refused one past them", "[core]") {
  CHECK_NOTHROW(requireOption("C", "limit", 1, 1, 5));
  CHECK_NOTHROW(requireOption("C", "limit", 5, 1, 5));
  CHECK_THROWS_AS(requireOption("C", "limit", 0, 1, 5), Error);
  CHECK_THROWS_AS(requireOption("C", "limit", 6, 1, 5), Error);
  CHECK_NOTHROW(requireOption("C", "wait", std::chrono::nanoseconds(1ms), 1ms, 24h));
  CHECK_THROWS_AS(requireOption("C", "wait", std::chrono::nanoseconds(1ms) - 1ns, 1ms, 24h), Error);
}

TEST_CASE("a refused option is named with its value and its range", "[core]") {
  const Error error =
      refusalOf([] { requireOption("AsyncLock", "timeout", std::chrono::nanoseconds(-1s), 1ms, 24h); });
  CHECK(error.code() == Errc::invalid_option);
  CHECK(std::string(error.what()) == "AsyncLock: option timeout is -1 s; allowed is 1 ms to 86400 s");
  CHECK(error.details()["component"] == "AsyncLock");
  CHECK(error.details()["option"] == "timeout");
  CHECK(error.details()["value"] == "-1 s");
  CHECK(error.details()["minimum"] == "1 ms");
  CHECK(error.details()["maximum"] == "86400 s");
}

TEST_CASE("a number is refused with its figures", "[core]") {
  const Error error = refusalOf([] { requireOption("Store", "maxBytes", std::size_t{7}, 64, 1024); });
  CHECK(std::string(error.what()) == "Store: option maxBytes is 7; allowed is 64 to 1024");
}

TEST_CASE("what is not a number is out of every range", "[core]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(requireOption("C", "share", nan, 0.0, 1.0), Error);
}

TEST_CASE("a duration that nanoseconds cannot hold is still named", "[core]") {
  const Error error = refusalOf([] { requireOption("C", "wait", std::chrono::hours::max(), 1h, 24h); });
  CHECK_THAT(std::string(error.what()), Catch::Matchers::EndsWith(" s; allowed is 3600 s to 86400 s"));
  CHECK_THROWS_AS(requireOption("C", "wait", std::chrono::seconds::min(), 1s, 2s), Error);
  const auto longest = std::chrono::nanoseconds::max();
  CHECK_THROWS_AS(requireOption("C", "wait", longest, 1s, 2s), Error);
}

TEST_CASE("a broken rule is told with the option's value", "[core]") {
  CHECK_NOTHROW(requireOptionRule("C", "ttl", 5, true, "odd"));
  const Error error =
      refusalOf([] { requireOptionRule("Ttl", "maxTtl", 10s, false, "not below minTtl, which is 30 s"); });
  CHECK(error.code() == Errc::invalid_option);
  CHECK(std::string(error.what()) ==
        "Ttl: option maxTtl is 10 s; allowed is not below minTtl, which is 30 s");
  CHECK(error.details()["allowed"] == "not below minTtl, which is 30 s");
}
