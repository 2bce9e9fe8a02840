// Present: the part of a simulation that its disk, network and participants share: the life that runs now,
// and chance.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/split_mix.hpp"
#include "lukhas/sim/loop.hpp"
#include "lukhas/sim/simulated_clock.hpp"

namespace lukhas::detail {

// A crash ends the present life and begins another one, with an executor and timers of its own; an
// Environment of an earlier life leads nowhere. Time goes on.
class Present {
 public:
  explicit Present(std::uint64_t seed) : chance_(splitMix64(seed ^ 0xFA017U)), seed_(seed) {
    begin(TimePoint(std::chrono::hours(1)));
  }
  Present(const Present&) = delete;
  Present& operator=(const Present&) = delete;
  ~Present() { end(); }

  [[nodiscard]] Environment environment() const { return {asio::any_io_executor(loop_->executor()), clock_}; }
  [[nodiscard]] Loop& loop() noexcept { return *loop_; }
  // For faults and latencies; drawn in the order of execution, so a seed replays them too.
  [[nodiscard]] SplitMix& chance() noexcept { return chance_; }
  [[nodiscard]] ClockShift& clockShift() noexcept { return *shift_; }

  void endLife() {
    const TimePoint now = loop_->now();
    fingerprint_ = splitMix64(fingerprint_ ^ loop_->fingerprint());
    const std::shared_ptr<Loop> ended = std::exchange(loop_, nullptr);
    ++life_;
    begin(now);
    ended->kill();
  }
  // No life after this one. The owner says so, because what runs in the loop may own this object.
  void end() { loop_->kill(); }
  [[nodiscard]] std::uint64_t fingerprint() const noexcept {
    return splitMix64(fingerprint_ ^ loop_->fingerprint());
  }

 private:
  void begin(TimePoint now) {
    loop_ = std::make_shared<Loop>(splitMix64(seed_ + life_), now);
    clock_ = std::make_shared<SimulatedClock>(loop_, splitMix64(seed_ * 31 + life_), shift_);
  }

  SplitMix chance_;
  std::uint64_t seed_;
  std::uint64_t life_ = 0;
  std::uint64_t fingerprint_ = 0;
  std::shared_ptr<ClockShift> shift_ = std::make_shared<ClockShift>();
  std::shared_ptr<Loop> loop_;
  std::shared_ptr<World> clock_;
};

}  // namespace lukhas::detail
