// The real world: the system's clocks, Asio's timers, threads for what blocks, and seeds from the system.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include <asio/steady_timer.hpp>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/async/world.hpp"

namespace lukhas::detail {

class RealTimer final : public WorldTimer {
 public:
  explicit RealTimer(const asio::any_io_executor& executor) : timer_(executor) {}

  void arm(TimePoint when, UniqueFunction<void()> callback) override {
    timer_.expires_at(when);
    timer_.async_wait([callback = std::move(callback)](std::error_code error) mutable {
      if (!error) callback();
    });
  }

  void cancel() noexcept override {
    try {
      timer_.cancel();
    } catch (const std::system_error&) {
      // Asio documents that cancelling a timer may throw; there is nothing left to cancel then.
    }
  }

 private:
  asio::steady_timer timer_;
};

// One thread that runs jobs in order. The thread starts with the first job. The destructor waits for the job
// that is running, so that a job may use what its owner owns; it drops the others.
class RealLane final : public WorldLane {
 public:
  RealLane() = default;
  RealLane(const RealLane&) = delete;
  RealLane& operator=(const RealLane&) = delete;

  ~RealLane() override {
    {
      const std::lock_guard lock(state_->mutex);
      state_->stopping = true;
    }
    state_->wake.notify_one();
    if (!thread_.joinable()) return;
    if (thread_.get_id() == std::this_thread::get_id()) {
      thread_.detach();  // the last owner went away inside a job: the loop ends right after it
    } else {
      thread_.join();
    }
  }

  void submit(UniqueFunction<void()> job) override {
    {
      const std::lock_guard lock(state_->mutex);
      state_->jobs.push_back(std::move(job));
      if (!thread_.joinable()) thread_ = std::thread(&RealLane::runJobs, state_);
    }
    state_->wake.notify_one();
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<UniqueFunction<void()>> jobs;
    bool stopping = false;
  };

  // Holds the state by value: it outlives a lane that is destroyed by its own job.
  static void runJobs(std::shared_ptr<State> state) {
    for (;;) {
      UniqueFunction<void()> job;
      std::deque<UniqueFunction<void()>> dropped;
      {
        std::unique_lock lock(state->mutex);
        state->wake.wait(lock, [&] { return state->stopping || !state->jobs.empty(); });
        if (state->stopping) {
          dropped.swap(state->jobs);
          return;
        }
        job = std::move(state->jobs.front());
        state->jobs.pop_front();
      }
      job();
    }
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::thread thread_;
};

class RealWorld final : public World {
 public:
  TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  WallTime wallNow() const noexcept override { return std::chrono::system_clock::now(); }
  std::uint64_t random() noexcept override {
    return splitMix64(counter_.fetch_add(0x9E3779B97F4A7C15U, std::memory_order_relaxed));
  }
  std::unique_ptr<WorldTimer> makeTimer(const asio::any_io_executor& executor) override {
    return std::make_unique<RealTimer>(executor);
  }
  std::unique_ptr<WorldLane> makeLane(const asio::any_io_executor&, std::string) override {
    return std::make_unique<RealLane>();
  }

  // One for the process: it has no state but the random counter.
  static const std::shared_ptr<World>& instance() {
    static const std::shared_ptr<World> world = std::make_shared<RealWorld>();
    return world;
  }

 private:
  static std::uint64_t systemSeed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32U) | device();
  }

  std::atomic<std::uint64_t> counter_{systemSeed()};
};

}  // namespace lukhas::detail
