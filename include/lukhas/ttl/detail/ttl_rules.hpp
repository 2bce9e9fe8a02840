// TtlRules: the policy of one type with nothing left open, and the checks of the engine's options.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/histogram.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/core/option_check.hpp"
#include "lukhas/ttl/ttl_error.hpp"
#include "lukhas/ttl/ttl_options.hpp"

namespace lukhas::detail {

inline constexpr std::size_t maxTtlKeyBytes = 256;
inline constexpr std::size_t maxTtlTypeBytes = 64;

struct TtlRules {
  Duration defaultTtl;
  Duration minTtl;
  Duration maxTtl;
  OutOfRangeTtl outOfRangeTtl;
  Duration gracePeriod;
  Duration expiringSoonWindow;

  // What an entry gets that asks for `ttl`; throws TtlErrc::ttl_out_of_range when that is to be refused.
  [[nodiscard]] Duration grant(std::string_view key, std::string_view type, Duration ttl) const {
    if (minTtl <= ttl && ttl <= maxTtl) return ttl;
    if (outOfRangeTtl == OutOfRangeTtl::refuse) refuse(key, type, ttl);
    return std::clamp(ttl, minTtl, maxTtl);
  }

 private:
  [[noreturn]] void refuse(std::string_view key, std::string_view type, Duration ttl) const {
    nlohmann::json details;
    details["key"] = cleanText(key);
    details["type"] = cleanText(type);
    details["ttlMs"] = toMilliseconds(ttl);
    details["minimumMs"] = toMilliseconds(minTtl);
    details["maximumMs"] = toMilliseconds(maxTtl);
    throw Error(TtlErrc::ttl_out_of_range,
                fmt::format("the entry {} cannot live for {}; allowed is {} to {}", quotedText(key),
                            optionText(ttl), optionText(minTtl), optionText(maxTtl)),
                std::move(details));
  }
};

[[nodiscard]] inline TtlRules rulesOf(const TTLEnforcementEngineOptions& options,
                                      const TtlPolicy& policy = {}) {
  return {policy.defaultTtl.value_or(options.defaultTtl),
          policy.minTtl.value_or(options.minTtl),
          policy.maxTtl.value_or(options.maxTtl),
          policy.outOfRangeTtl.value_or(options.outOfRangeTtl),
          policy.gracePeriod.value_or(options.gracePeriod),
          policy.expiringSoonWindow.value_or(options.expiringSoonWindow)};
}

inline constexpr const char* ttlEngineName = "TTLEnforcementEngine";

// `prefix` is put before the names of options: where in the policies they stand.
inline void checkTtlRules(const TtlRules& rules, const std::string& prefix = {}) {
  using namespace std::chrono_literals;
  constexpr Duration longest = 366 * 24h;
  requireOption(ttlEngineName, prefix + "maxTtl", rules.maxTtl, 1ms, longest);
  requireOption(ttlEngineName, prefix + "minTtl", rules.minTtl, 1ms, rules.maxTtl);
  requireOption(ttlEngineName, prefix + "defaultTtl", rules.defaultTtl, rules.minTtl, rules.maxTtl);
  requireOption(ttlEngineName, prefix + "gracePeriod", rules.gracePeriod, 0ns, 24h);
  requireOption(ttlEngineName, prefix + "expiringSoonWindow", rules.expiringSoonWindow, 0ns, longest);
}

// Throws Errc::invalid_option.
inline void checkTtlOptions(const TTLEnforcementEngineOptions& options) {
  using namespace std::chrono_literals;
  checkTtlRules(rulesOf(options));
  requireOption(ttlEngineName, "sweepInterval", options.sweepInterval, 10ms, 24h);
  requireOption(ttlEngineName, "maxEntriesPerSlice", options.maxEntriesPerSlice, 1U, 1'000'000U);
  requireOption(ttlEngineName, "maxSliceTime", options.maxSliceTime, 10us, 1s);
  requireOption(ttlEngineName, "maxTypes", options.maxTypes, 0U, 10'000U);
  requireOption(ttlEngineName, "policies", options.policies.size(), 0U, 10'000U);
  requireOption(ttlEngineName, "maxEntries", options.maxEntries, 1U, 100'000'000U);
  for (const auto& [type, policy] : options.policies) {
    requireOptionRule(ttlEngineName, "policies", quotedText(type),
                      !type.empty() && type.size() <= maxTtlTypeBytes, "types of 1 to 64 bytes");
    checkTtlRules(rulesOf(options, policy), "policies[" + quotedText(type) + "].");
  }
}

}  // namespace lukhas::detail
