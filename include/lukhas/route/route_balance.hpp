// Which of several models of equal priority is asked first.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "lukhas/async/split_mix.hpp"

namespace lukhas {

enum class RouteBalance : std::uint8_t {
  in_order,           // in the order of their registration
  weighted,           // at random, in proportion to their weights
  least_outstanding,  // the fewest requests under way for its weight; equals at random
  latency,            // the better of two at random: by its latency of late times its requests under way
};

// What is known of a candidate when it is ranked.
struct RankedModel {
  std::size_t index = 0;  // into whatever list the caller has
  int priority = 0;
  unsigned weight = 1;
  std::size_t underWay = 0;
  double latency = 0;  // of late, in any unit; 0: unknown, so that it is tried
  bool usable = true;  // it could be asked at this moment
};

// Orders the models of equal priority among each other; `models` come with the highest priority first. The
// latter ones are asked when those before them fail.
//
// weighted: a weighted sample without replacement (Efraimidis and Spirakis, "Weighted random sampling with a
// reservoir", 2006), so that the second is drawn by weight among those that are left. latency: the power of
// two choices (Mitzenmacher, 2001) keeps a model that became the fastest from being asked by everybody at
// once. O(n log n) in the number of models.
inline void orderEquals(std::span<RankedModel> models, RouteBalance balance, SplitMix& chance) {
  if (balance == RouteBalance::in_order) return;
  const auto shuffle = [&chance](std::span<RankedModel> equals) {
    for (std::size_t left = equals.size(); left > 1; --left)
      std::swap(equals[left - 1], equals[chance.below(left)]);
  };
  const auto byWeight = [&chance](std::span<RankedModel> equals) {
    std::vector<std::pair<double, RankedModel>> drawn;
    drawn.reserve(equals.size());
    for (const RankedModel& model : equals) {
      const double uniform = (static_cast<double>(chance.below(std::uint64_t{1} << 53U)) + 1) / 0x1p53;
      drawn.emplace_back(-std::log(uniform) / model.weight, model);
    }
    std::sort(drawn.begin(), drawn.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < equals.size(); ++i) equals[i] = drawn[i].second;
  };
  const auto byLoad = [&shuffle](std::span<RankedModel> equals) {
    shuffle(equals);
    std::stable_sort(equals.begin(), equals.end(), [](const RankedModel& a, const RankedModel& b) {
      return std::uint64_t{a.underWay} * b.weight < std::uint64_t{b.underWay} * a.weight;
    });
  };
  const auto byLatency = [&shuffle](std::span<RankedModel> equals) {
    shuffle(equals);
    std::stable_partition(equals.begin(), equals.end(),
                          [](const RankedModel& model) { return model.usable; });
    const auto cost = [](const RankedModel& model) {
      return model.latency * static_cast<double>(model.underWay + 1);
    };
    if (equals.size() > 1 && equals[1].usable && cost(equals[1]) < cost(equals[0]))
      std::swap(equals[0], equals[1]);
  };
  for (auto first = models.begin(); first != models.end();) {
    const auto last = std::find_if(
        first, models.end(), [first](const RankedModel& model) { return model.priority != first->priority; });
    const std::span<RankedModel> equals(first, last);
    if (balance == RouteBalance::weighted) byWeight(equals);
    if (balance == RouteBalance::least_outstanding) byLoad(equals);
    if (balance == RouteBalance::latency) byLatency(equals);
    first = last;
  }
}

// How long a model takes of late: jumps to each longer time at once and forgets it within some `memory` (the
// "peak EWMA" of Twitter's Finagle, 2014), so that one that became slow is avoided at once.
class LatencyEstimate {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::duration<double> memory = std::chrono::seconds(10);

  void record(std::chrono::nanoseconds took, Time now) noexcept {
    const auto sample = static_cast<double>(took.count());
    const double kept = std::exp(-std::chrono::duration<double>(now - last_) / memory);
    value_ = sample >= value_ ? sample : value_ * kept + sample * (1 - kept);
    last_ = now;
  }
  // In nanoseconds; zero before the first record.
  [[nodiscard]] double value() const noexcept { return value_; }

 private:
  double value_ = 0;
  Time last_{};
};

}  // namespace lukhas
