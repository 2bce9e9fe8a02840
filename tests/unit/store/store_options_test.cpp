#include "lukhas/store/store_options.hpp"

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStoreOptions;

namespace {

std::string refusedOption(const AsyncMemoryStoreOptions& options) {
  lukhas::Simulation world;
  try {
    const lukhas::AsyncMemoryStore store(world.environment(), options);
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::invalid_option);
    return error.details()["option"];
  }
  return {};
}

}  // namespace

TEST_CASE("the defaults of the store are what its documentation says", "[store]") {
  const AsyncMemoryStoreOptions options;
  CHECK(options.maxBytes == 100u << 20);
  CHECK(options.defaultTtl == 5min);
  CHECK(options.sweepInterval == 60s);
  CHECK(options.sweepSlice == 1000);
  CHECK(options.maxWaiters == 100'000);
}

TEST_CASE("the store takes each option at its bounds and refuses it one past them", "[store]") {
  CHECK(refusedOption({}) == "");
  CHECK(refusedOption({.maxBytes = 64 << 10}) == "");
  CHECK(refusedOption({.maxBytes = (64 << 10) - 1}) == "maxBytes");
  CHECK(refusedOption({.maxBytes = std::size_t{256} << 30}) == "");
  CHECK(refusedOption({.maxBytes = (std::size_t{256} << 30) + 1}) == "maxBytes");
  CHECK(refusedOption({.defaultTtl = 1ms}) == "");
  CHECK(refusedOption({.defaultTtl = 1ms - 1ns}) == "defaultTtl");
  CHECK(refusedOption({.defaultTtl = 24h}) == "");
  CHECK(refusedOption({.defaultTtl = 24h + 1ns}) == "defaultTtl");
  CHECK(refusedOption({.sweepInterval = 1ms}) == "");
  CHECK(refusedOption({.sweepInterval = 0s}) == "sweepInterval");
  CHECK(refusedOption({.sweepInterval = 24h}) == "");
  CHECK(refusedOption({.sweepInterval = 24h + 1ns}) == "sweepInterval");
  CHECK(refusedOption({.sweepSlice = 1}) == "");
  CHECK(refusedOption({.sweepSlice = 0}) == "sweepSlice");
  CHECK(refusedOption({.sweepSlice = 1'000'000}) == "");
  CHECK(refusedOption({.sweepSlice = 1'000'001}) == "sweepSlice");
  CHECK(refusedOption({.maxWaiters = 1}) == "");
  CHECK(refusedOption({.maxWaiters = 0}) == "maxWaiters");
  CHECK(refusedOption({.maxWaiters = 10'000'000}) == "");
  CHECK(refusedOption({.maxWaiters = 10'000'001}) == "maxWaiters");
}

TEST_CASE("the metrics of the store carry their names", "[store]") {
  const nlohmann::json metrics = lukhas::StoreMetrics{}.toJson();
  for (const char* name : {"hits", "misses", "evictions", "expirations", "corruptions", "totalSize",
                           "entryCount", "avgLatencyMs", "p99LatencyMs", "errorRate"}) {
    CHECK(metrics.contains(name));
  }
}
