// Options and metrics of AsyncMemoryStore.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory_resource>

#include <nlohmann/json.hpp>

#include "lukhas/async/world.hpp"
#include "lukhas/core/json_bytes.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/store/eviction.hpp"

namespace lukhas {

struct AsyncMemoryStoreOptions {
  // What all entries together may take of the allocator: keys, values, and every byte of bookkeeping. 100 MiB
  // holds some thousand conversations and is small beside a model server. 64 KiB to 256 GiB.
  std::size_t maxBytes = std::size_t{100} << 20U;
  // The lifetime of an entry that is set without one: about as long as a user takes for the next turn. 1 ms
  // to 24 h.
  Duration defaultTtl = std::chrono::minutes(5);
  // An expired entry is never returned, and its memory is given back at the next multiple of this since
  // start(). 1 ms to 24 h.
  Duration sweepInterval = std::chrono::seconds(60);
  // How many entries a sweep removes before it lets others run: a thousand take well under a millisecond. 1
  // to 1,000,000.
  std::size_t sweepSlice = 1000;
  // Callers of getOrCompute that may wait for another one's loader at once, over all keys; one more is
  // refused with StoreErrc::overloaded. A waiting caller costs about 1 KiB. 1 to 10,000,000.
  std::size_t maxWaiters = 100'000;
  // Who goes when room is needed.
  Eviction eviction = Eviction::lru();
  // Parts with a mutex and an equal share of maxBytes each, for contexts with several threads. Each keeps an
  // order of its own, so that with more than one the entry that goes is the least recently used of its part,
  // and the largest entry is a part's share. A power of two, 1 to 64; 64 KiB of maxBytes for each.
  std::size_t shards = 1;
  // How many bytes a second are verified in the background, between start() and stop(), so that damage shows
  // in what nobody reads: 1 MiB a second looks at 100 MiB within two minutes. In slices ten times a second,
  // as long as the store is not empty. 0 (not at all) to 1 GiB.
  std::size_t scrubBytesPerSecond = 0;
  // Where the memory comes from: entries, table and heap, and nothing else. Null: std::malloc. Threads use it
  // at once, and it outlives the store and every View. What it really takes for a block it cannot say, so a
  // block counts as what glibc's malloc would take.
  std::pmr::memory_resource* memory = nullptr;
  // How nlohmann::json values are kept: as text, which every program can read, or as CBOR or MessagePack,
  // which also keep binary values and infinities. What is read as JSON has to have been written as JSON.
  JsonFormat jsonFormat = JsonFormat::text;
  // By which share a TTL may be cut at random, so that entries that are set together do not expire together:
  // with 0.1 one of 5 minutes is 4.5 to 5. Never longer than what was asked for. 0 (not at all) to 0.9.
  double ttlJitter = 0;
  // How early getOrCompute loads a value anew before it expires, once and in the background, while all get
  // the old one (probabilistic, see detail/early_refresh.hpp): 1 is, in the mean, as long before the end as
  // the load takes, 2 twice as long. The loader then outlives the call that gave it, so it must own what it
  // uses. 0 (never) to 100.
  double earlyRefresh = 0;

  // Throws Errc::invalid_option.
  void check() const {
    using namespace std::chrono_literals;
    constexpr const char* who = "AsyncMemoryStore";
    requireOption(who, "maxBytes", maxBytes, std::size_t{64} << 10U, std::size_t{256} << 30U);
    requireOption(who, "defaultTtl", defaultTtl, 1ms, 24h);
    requireOption(who, "sweepInterval", sweepInterval, 1ms, 24h);
    requireOption(who, "sweepSlice", sweepSlice, 1U, 1'000'000U);
    requireOption(who, "maxWaiters", maxWaiters, 1U, 10'000'000U);
    requireOption(who, "scrubBytesPerSecond", scrubBytesPerSecond, 0U, std::size_t{1} << 30U);
    requireOption(who, "shards", shards, 1U, 64U);
    if ((shards & (shards - 1)) != 0) {
      throw Error(Errc::invalid_option,
                  fmt::format("{}: shards is {}; allowed are powers of two from 1 to 64", who, shards),
                  {{"option", "shards"}, {"value", shards}});
    }
    requireOption(who, "maxBytes", maxBytes, shards * (std::size_t{64} << 10U), std::size_t{256} << 30U);
    requireOption(who, "ttlJitter", ttlJitter, 0, 0.9);
    requireOption(who, "earlyRefresh", earlyRefresh, 0, 100);
  }
};

struct StoreMetrics {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evictions = 0;
  std::uint64_t expirations = 0;
  std::uint64_t corruptions = 0;
  std::uint64_t earlyRefreshes = 0;
  std::uint64_t failedRefreshes = 0;
  std::uint64_t totalSize = 0;
  std::uint64_t entryCount = 0;
  double avgLatencyMs = 0;
  double p99LatencyMs = 0;
  double errorRate = 0;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    visitor(counter("hits", hits, "reads that found a value"));
    visitor(counter("misses", misses, "reads that found none"));
    visitor(counter("evictions", evictions, "entries that were removed to make room"));
    visitor(counter("expirations", expirations, "entries that were removed because their time was over"));
    visitor(
        counter("corruptions", corruptions, "entries that were removed because their checksum was wrong"));
    visitor(counter("earlyRefreshes", earlyRefreshes, "loads in the background before an entry expired"));
    visitor(counter("failedRefreshes", failedRefreshes, "of these, those that gave nothing in time"));
    visitor(gauge("totalSize", totalSize, "bytes that entries and bookkeeping take"));
    visitor(gauge("entryCount", entryCount, "entries, also those that expired and are not yet removed"));
    visitor(gauge("avgLatencyMs", avgLatencyMs, "mean time of a read or write in milliseconds"));
    visitor(gauge("p99LatencyMs", p99LatencyMs, "99th percentile of a read or write in milliseconds"));
    visitor(gauge("errorRate", errorRate, "share of the calls that met damage or were refused, 0 to 1"));
  }
  [[nodiscard]] nlohmann::json toJson() const { return metricsToJson(*this); }
};

}  // namespace lukhas
