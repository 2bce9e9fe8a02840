// SimulatedClock: the World behind a simulation's Environment. Virtual time, timers in the loop, chance from
// the seed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/async/world.hpp"
#include "lukhas/sim/loop.hpp"

namespace lukhas::detail {

class SimulatedTimer final : public WorldTimer {
 public:
  explicit SimulatedTimer(std::shared_ptr<Loop> loop) : loop_(std::move(loop)) {}
  ~SimulatedTimer() override { cancel(); }

  // The callback becomes a ready item of the loop; the executor that the timer was made for, a strand for
  // example, is not asked: the world has one thread.
  void arm(TimePoint when, UniqueFunction<void()> callback) override {
    cancel();
    key_ = loop_->addTimer(when, std::move(callback));
  }
  void cancel() noexcept override {
    if (key_) loop_->removeTimer(*std::exchange(key_, std::nullopt));
  }

 private:
  std::shared_ptr<Loop> loop_;
  std::optional<Loop::TimerKey> key_;
};

// Jobs run one at a time, each as an item of the loop: between other coroutines' steps, never inside the
// submitting call.
class SimulatedLane final : public WorldLane {
 public:
  explicit SimulatedLane(std::shared_ptr<Loop> loop)
      : state_(std::make_shared<State>(State{std::move(loop)})) {}
  ~SimulatedLane() override { state_->jobs->dropAll(); }

  LanePlace submit(UniqueFunction<void()> job) override {
    LanePlace place(state_->jobs, state_->jobs->add(std::move(job)));
    schedule(state_);
    return place;
  }

 private:
  struct State {
    std::shared_ptr<Loop> loop;
    std::shared_ptr<LaneJobs> jobs = std::make_shared<LaneJobs>();
    bool scheduled = false;
  };

  static void schedule(const std::shared_ptr<State>& state) {
    if (state->scheduled || state->jobs->size() == 0) return;
    state->scheduled = true;
    state->loop->push(Step(state));
  }

  // One that is dropped was in a life that ended, and its jobs end with it: when they own the lane, by way of
  // their callers, nobody else would drop them.
  class Step {
   public:
    explicit Step(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
    Step(Step&&) noexcept = default;
    Step& operator=(Step&&) = delete;
    ~Step() {
      if (state_) state_->jobs->dropAll();
    }
    void operator()() {
      const std::shared_ptr<State> state = std::exchange(state_, {});
      state->scheduled = false;
      if (UniqueFunction<void()> job = state->jobs->takeFirst()) job();
      schedule(state);
    }

   private:
    std::shared_ptr<State> state_;
  };

  std::shared_ptr<State> state_;
};

// By how much the machine's other clocks have left the loop's, over all lives.
struct ClockShift {
  Duration suspended{};  // while the machine was: the loop's clock stood still
  Duration wall{};       // by which somebody has set the time of day
};

class SimulatedClock final : public World {
 public:
  SimulatedClock(std::shared_ptr<Loop> loop, std::uint64_t seed, std::shared_ptr<const ClockShift> shift)
      : loop_(std::move(loop)), chance_(seed), shift_(std::move(shift)) {}

  TimePoint now() const noexcept override { return loop_->now(); }
  TimePoint bootNow() const noexcept override { return loop_->now() + shift_->suspended; }
  WallTime wallNow() const noexcept override {
    return WallTime(std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}) + bootNow().time_since_epoch() +
           shift_->wall;
  }
  std::uint64_t random() noexcept override { return chance_.next(); }
  std::unique_ptr<WorldTimer> makeTimer(const asio::any_io_executor&) override {
    return std::make_unique<SimulatedTimer>(loop_);
  }
  std::unique_ptr<WorldLane> makeLane(const asio::any_io_executor&, std::string) override {
    return std::make_unique<SimulatedLane>(loop_);
  }

 private:
  std::shared_ptr<Loop> loop_;
  SplitMix chance_;
  std::shared_ptr<const ClockShift> shift_;
};

}  // namespace lukhas::detail
