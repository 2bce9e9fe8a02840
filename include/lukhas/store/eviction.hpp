// Eviction: the option of a store that says by which policy entries go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "lukhas/core/error.hpp"
#include "lukhas/store/adaptive_policy.hpp"
#include "lukhas/store/eviction_policy.hpp"
#include "lukhas/store/lru_policy.hpp"

namespace lukhas {

// A value to choose with:
//
//   options.eviction = lukhas::Eviction::lru();        // the default
//   options.eviction = lukhas::Eviction::adaptive();   // withstands scans and loops: AdaptivePolicy
//   options.eviction = lukhas::Eviction::own(factory); // an EvictionPolicy of yours
//
// A factory is called once for each shard while the store is constructed, with the bytes that the shard may
// take and a random seed, which differs from shard to shard. What it throws, the constructor of the store
// throws.
class Eviction {
 public:
  using Factory =
      std::function<std::unique_ptr<EvictionPolicy>(std::size_t capacityBytes, std::uint64_t seed)>;

  Eviction() noexcept = default;  // lru()
  [[nodiscard]] static Eviction lru() noexcept { return {}; }
  [[nodiscard]] static Eviction adaptive() {
    return Eviction([](std::size_t, std::uint64_t seed) { return std::make_unique<AdaptivePolicy>(seed); });
  }
  // Throws Errc::invalid_argument when there is nothing to call.
  [[nodiscard]] static Eviction own(Factory factory) {
    if (!factory) {
      throw Error(Errc::invalid_argument,
                  "Eviction::own: factory is empty; allowed is what gives an EvictionPolicy",
                  {{"argument", "factory"}});
    }
    return Eviction(std::move(factory));
  }

  // Whether it is LruPolicy: a store has that by value instead of calling make().
  [[nodiscard]] bool isLru() const noexcept { return !factory_; }
  // A policy for a store or a shard of it; never null. Throws Errc::invalid_argument when the factory gave
  // none, and whatever the factory throws.
  [[nodiscard]] std::unique_ptr<EvictionPolicy> make(std::size_t capacityBytes, std::uint64_t seed) const {
    if (!factory_) return std::make_unique<LruPolicy>();
    std::unique_ptr<EvictionPolicy> policy = factory_(capacityBytes, seed);
    if (!policy) {
      throw Error(Errc::invalid_argument, "Eviction::own: factory gave null; allowed is an EvictionPolicy",
                  {{"argument", "factory"}});
    }
    return policy;
  }

 private:
  explicit Eviction(Factory factory) noexcept : factory_(std::move(factory)) {}

  Factory factory_;  // none: LRU
};

}  // namespace lukhas
