// ModelAccount: the figures of one model.
#pragma once

#include <cstdint>
#include <optional>

#include "lukhas/async/world.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/route/model_reply.hpp"
#include "lukhas/route/route_balance.hpp"

namespace lukhas::detail {

// Of a model since its registration. Its owner guards it.
struct ModelAccount {
  std::uint64_t attempts = 0;
  std::uint64_t inputTokens = 0;
  std::uint64_t outputTokens = 0;
  LatencyHistogram latency;     // of whole answers
  LatencyHistogram firstToken;  // of streams, to their first content
  LatencyEstimate estimate;     // of both
  Duration open{};              // how long its circuit was not closed, up to the present opening
  std::optional<TimePoint> openSince;

  void add(const ModelUsage& usage) noexcept {
    inputTokens += usage.inputTokens;
    outputTokens += usage.outputTokens;
  }
  void opened(TimePoint now) noexcept {
    if (!openSince) openSince = now;
  }
  void closed(TimePoint now) noexcept {
    if (openSince) open += now - *openSince;
    openSince.reset();
  }
  [[nodiscard]] Duration openTime(TimePoint now) const noexcept {
    return open + (openSince ? now - *openSince : Duration::zero());
  }
};

}  // namespace lukhas::detail
