// What a cache that knows the future hits: the bound for all others.
#pragma once

#include <cstddef>
#include <iterator>
#include <limits>
#include <set>
#include <utility>
#include <vector>

#include "store/hit_ratio/trace.hpp"

namespace hit_ratio {

// Belady 1966; a key that is needed later than all that is there is not brought in. O(n log n).
[[nodiscard]] inline std::size_t beladyHits(const Trace& trace, std::size_t capacity) {
  constexpr std::size_t never = std::numeric_limits<std::size_t>::max();
  const std::size_t accesses = trace.keys.size();
  std::vector<std::size_t> next(accesses);
  std::vector<std::size_t> nextOf(trace.distinct, never);
  for (std::size_t i = accesses; i-- > 0;) next[i] = std::exchange(nextOf[trace.keys[i]], i);

  std::set<std::pair<std::size_t, Key>> held;  // by next use
  std::size_t hits = 0;
  for (std::size_t i = 0; i < accesses; ++i) {
    const Key key = trace.keys[i];
    if (held.erase({i, key}) == 1) {
      ++hits;
    } else if (held.size() == capacity) {
      const auto last = std::prev(held.end());
      if (last->first <= next[i]) continue;
      held.erase(last);
    }
    held.emplace(next[i], key);
  }
  return hits;
}

}  // namespace hit_ratio
