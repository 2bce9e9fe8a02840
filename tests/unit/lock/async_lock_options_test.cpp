#include "lukhas/lock/async_lock_options.hpp"

#include <type_traits>

#include "lukhas/core/error.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncLockOptions;

namespace {

bool refused(const AsyncLockOptions& options) {
  try {
    options.check();
    return false;
  } catch (const lukhas::Error& error) {
    return error.code() == lukhas::Errc::invalid_option;
  }
}

}  // namespace

TEST_CASE("lock options are accepted at their limits and refused one past them", "[lock]") {
  CHECK_FALSE(refused({}));
  CHECK_FALSE(refused({.timeout = 0s, .heldWarning = 0s, .maxWaiters = 1, .maxTimeoutPercent = 0}));
  CHECK_FALSE(
      refused({.timeout = 24h, .heldWarning = 24h, .maxWaiters = 10'000'000, .maxTimeoutPercent = 100}));
  CHECK(refused({.timeout = -1ns}));
  CHECK(refused({.timeout = 24h + 1ns}));
  CHECK(refused({.heldWarning = -1ns}));
  CHECK(refused({.heldWarning = 24h + 1ns}));
  CHECK(refused({.maxWaiters = 0}));
  CHECK(refused({.maxWaiters = 10'000'001}));
  CHECK(refused({.maxTimeoutPercent = -0.1}));
  CHECK(refused({.maxTimeoutPercent = 100.1}));
}

TEST_CASE("a refused lock option is named with its value", "[lock]") {
  try {
    AsyncLockOptions{.timeout = -1s}.check();
    FAIL("a negative time-out was accepted");
  } catch (const lukhas::Error& error) {
    CHECK(error.details()["option"] == "timeout");
    CHECK(error.details()["value"] == "-1 s");
  }
}

TEST_CASE("acquire options are safe inside a co_await expression", "[lock]") {
  CHECK(std::is_trivially_copyable_v<lukhas::AcquireOptions>);
}

TEST_CASE("lock metrics have the promised names", "[lock]") {
  const nlohmann::json json = lukhas::LockMetrics().toJson();
  const char* const promised[] = {"activeLocks", "waiting",   "totalAcquired",    "totalTimeouts",
                                  "avgWaitMs",   "maxWaitMs", "deadlocksDetected"};
  for (const char* name : promised) CHECK(json.contains(name));
  CHECK(json.size() >= std::size(promised));
}
