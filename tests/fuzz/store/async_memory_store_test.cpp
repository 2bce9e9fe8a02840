#include "lukhas/store/async_memory_store.hpp"

#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"

namespace async_memory_store_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::Duration;
using lukhas::StoreErrc;

namespace {

std::string anyText(lukhas::SplitMix& chance, std::size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(chance.below(3) == 0 ? 0 : chance.next());
  return text;
}
// Often at the edges of what is allowed, and beyond.
std::string anyKey(lukhas::SplitMix& chance) {
  const std::size_t sizes[] = {0, 1, 2, 3, 255, 256, 257, 10'000};
  const std::size_t size = sizes[chance.below(8)];
  return chance.below(2) == 0 ? std::string(size, '\0') : anyText(chance, size);
}
Duration anyTtl(lukhas::SplitMix& chance) {
  const Duration ttls[] = {0ns, -1ns, Duration::min(), 1ns, 1s, Duration::max() - 1ns, Duration::max(), 1h};
  return ttls[chance.below(8)];
}
std::error_code expected(const std::string& key, Duration ttl, std::size_t bytes, std::size_t limit) {
  if (key.empty()) return StoreErrc::empty_key;
  if (key.size() > 256) return StoreErrc::key_too_long;
  if (ttl <= 0s) return StoreErrc::invalid_ttl;
  if (bytes > limit) return StoreErrc::value_too_large;
  return {};
}

}  // namespace

TEST_CASE("whatever keys, values and TTLs come in, each call is taken or refused by name", "[store]") {
  constexpr std::size_t limit = 64 << 10;
  lukhas::SplitMix chance(99);
  lukhas::Simulation world;
  AsyncMemoryStore store(world.environment(), {.maxBytes = limit});
  std::uint64_t taken = 0;
  std::uint64_t refused = 0;
  for (std::uint64_t run = 0; run < test::runs(20'000, 1'000'000); ++run) {
    const std::string key = anyKey(chance);
    const Duration ttl = anyTtl(chance);
    const std::size_t sizes[] = {0, 1, 100, 5000, 50'000, limit, 10 * limit};
    const std::string value = anyText(chance, sizes[chance.below(7)]);
    const lukhas::StoreMetrics before = store.getMetrics();
    std::error_code code;
    try {
      if (chance.below(3) == 0) {
        const std::vector<std::pair<std::string, std::string>> batch{{key, value}};
        store.tryBatchSet(batch, ttl);
      } else {
        store.trySet(key, value, ttl);
      }
    } catch (const lukhas::Error& error) {
      code = error.code();
    }
    REQUIRE(code == expected(key, ttl, value.size(), limit - 1));
    if (code) {
      ++refused;
      REQUIRE(store.getMetrics().entryCount == before.entryCount);
      REQUIRE(store.getMetrics().totalSize == before.totalSize);
      continue;
    }
    ++taken;
    REQUIRE(store.tryGet<std::string>(key) == value);
    REQUIRE(store.tryHas(key));
    REQUIRE(store.getMetrics().totalSize <= limit);
    try {
      (void)store.tryGet<nlohmann::json>(key);
    } catch (const lukhas::Error& error) {
      REQUIRE(error.code() == lukhas::Errc::decode_failed);
    }
    if (chance.below(4) == 0) REQUIRE(store.tryRemove(key));
    if (chance.below(50) == 0) world.runFor(2s);
    if (run % 1000 == 0) REQUIRE(lukhas::detail::StoreAccess::checkInvariants(store));
  }
  CHECK(taken > 1000);
  CHECK(refused > 1000);
}

}  // namespace async_memory_store_test
