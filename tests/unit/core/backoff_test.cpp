#include "lukhas/core/backoff.hpp"

#include <chrono>
#include <cstdint>
#include <limits>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::Backoff;

TEST_CASE("the ceiling doubles with each attempt up to the longest wait", "[core]") {
  const Backoff backoff{100ms, 1s};
  CHECK(backoff.ceiling(0) == 100ms);
  CHECK(backoff.ceiling(1) == 200ms);
  CHECK(backoff.ceiling(3) == 800ms);
  CHECK(backoff.ceiling(4) == 1s);
  CHECK(backoff.ceiling(std::numeric_limits<unsigned>::max()) == 1s);
}

TEST_CASE("a backoff wait is between zero and the ceiling and takes both", "[core]") {
  const Backoff backoff{100ns, 1s};
  CHECK(backoff.wait(0, 0) == 0ns);
  CHECK(backoff.wait(0, 100) == 100ns);
  CHECK(backoff.wait(0, 101) == 0ns);
  for (std::uint64_t random = 0; random < 1000; ++random) CHECK(backoff.wait(2, random * 7919) <= 400ns);
}

TEST_CASE("the longest waits of time do not overflow", "[core]") {
  const Backoff backoff{1ns, std::chrono::nanoseconds::max()};
  CHECK(backoff.ceiling(1000) == std::chrono::nanoseconds::max());
  CHECK(backoff.wait(1000, std::numeric_limits<std::uint64_t>::max()) >= 0ns);
  CHECK(Backoff{0ns, 0ns}.wait(3, 17) == 0ns);
}
