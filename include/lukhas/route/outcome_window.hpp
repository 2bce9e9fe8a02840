// OutcomeWindow: how many of the latest calls failed or were slow, in bounded memory.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace lukhas {

// The idea is the one of a sliding window over outcomes, either the latest `size` of them or those of the
// last `time`.
//
// By number: a ring with an entry for each outcome. By time: a ring of `buckets` sums. An outcome belongs to
// the bucket of its moment, and the window is the present bucket and those before it, `buckets` in all; so it
// reaches back over at least `time` less one bucket (5 %) and never over more than `time`.
//
// All operations are O(1) in the number of outcomes, by time O(buckets) after a pause; memory is allocated
// once, by the constructor. `now` must not go back.
class OutcomeWindow {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t buckets = 20;

  struct Sums {
    std::uint64_t outcomes = 0;
    std::uint64_t failures = 0;
    std::uint64_t slow = 0;  // successes and failures that took too long
    friend bool operator==(const Sums&, const Sums&) = default;
  };

  // `time` zero: by number. Otherwise `size` does not matter.
  OutcomeWindow(std::size_t size, std::chrono::nanoseconds time)
      : bucketWidth_(time / static_cast<std::int64_t>(buckets)),
        ring_(time == std::chrono::nanoseconds::zero() ? size : buckets) {}

  void add(bool failed, bool slow, Time now) {
    const Sums one{1, failed ? 1U : 0U, slow ? 1U : 0U};
    if (byTime()) {
      forget(now);
      enter(ring_[indexOf(present_)], one);
      return;
    }
    leave(ring_[oldest_]);
    enter(ring_[oldest_], one);
    oldest_ = (oldest_ + 1) % ring_.size();
  }

  [[nodiscard]] const Sums& sums(Time now) {
    if (byTime()) forget(now);
    return total_;
  }

  void clear() {
    std::fill(ring_.begin(), ring_.end(), Sums{});
    total_ = {};
    oldest_ = 0;
  }

 private:
  [[nodiscard]] bool byTime() const noexcept { return bucketWidth_ > std::chrono::nanoseconds::zero(); }
  [[nodiscard]] std::size_t indexOf(std::int64_t bucket) const noexcept {
    return static_cast<std::size_t>(bucket) % ring_.size();
  }

  // The buckets between the present one and that of `now` hold what is too old.
  void forget(Time now) {
    const std::int64_t bucket = now.time_since_epoch() / bucketWidth_;
    const std::int64_t passed = std::min<std::int64_t>(bucket - present_, buckets);
    for (std::int64_t i = 0; i < passed; ++i) leave(ring_[indexOf(bucket - i)]);
    present_ = std::max(present_, bucket);
  }
  void enter(Sums& place, const Sums& one) noexcept {
    change(place, one, 1);
    change(total_, one, 1);
  }
  void leave(Sums& place) noexcept {
    change(total_, place, std::uint64_t(-1));
    place = {};
  }
  // `sign` 1 or, modulo 2^64, -1.
  static void change(Sums& sums, const Sums& by, std::uint64_t sign) noexcept {
    sums.outcomes += sign * by.outcomes;
    sums.failures += sign * by.failures;
    sums.slow += sign * by.slow;
  }

  std::chrono::nanoseconds bucketWidth_;  // zero: by number
  std::vector<Sums> ring_;
  std::size_t oldest_ = 0;    // by number: where the next outcome goes
  std::int64_t present_ = 0;  // by time: the bucket of the last moment seen
  Sums total_;
};

}  // namespace lukhas
