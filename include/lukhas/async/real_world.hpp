// The real world: the system's clocks, Asio's timers, threads for what blocks, and seeds from the system.
#pragma once

#include <atomic>
#include <condition_variable>
#include <ctime>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/execution.hpp>
#include <asio/execution_context.hpp>
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

// One thread that runs jobs in order. It starts with the first job.
class LaneThread {
 public:
  LaneThread() = default;
  LaneThread(const LaneThread&) = delete;
  LaneThread& operator=(const LaneThread&) = delete;

  static LanePlace submit(const std::shared_ptr<LaneThread>& self, UniqueFunction<void()> job) {
    LanePlace place;
    {
      const std::lock_guard lock(self->mutex_);
      if (self->stopping_) return {};  // the job is dropped
      if (!self->thread_.joinable()) self->thread_ = std::thread(&LaneThread::runJobs, self);
      place = LanePlace(self->jobs_, self->jobs_->add(std::move(job)));
    }
    self->wake_.notify_one();
    return place;
  }

  // Waits for the job that is running, so that a job may use what its owner owns; drops the others.
  void stop() {
    std::thread ending;
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      ending = std::exchange(thread_, {});
    }
    wake_.notify_one();
    if (!ending.joinable()) return;
    if (ending.get_id() == std::this_thread::get_id()) {
      ending.detach();  // the last owner went away inside a job: the loop ends right after it
    } else {
      ending.join();
    }
  }

 private:
  // Holds itself: it outlives an owner that is destroyed by its own job.
  static void runJobs(std::shared_ptr<LaneThread> self) {
    for (;;) {
      bool stopping = false;
      {
        std::unique_lock lock(self->mutex_);
        self->wake_.wait(lock, [&] { return self->stopping_ || self->jobs_->size() > 0; });
        stopping = self->stopping_;
      }
      if (stopping) return self->jobs_->dropAll();
      if (UniqueFunction<void()> job = self->jobs_->takeFirst()) job();  // none: it was dropped just now
    }
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  const std::shared_ptr<LaneJobs> jobs_ = std::make_shared<LaneJobs>();
  std::thread thread_;
  bool stopping_ = false;
};

// Stops the lanes of an execution context before the context is destroyed. A job that is running then answers
// a coroutine of the context; were it not waited for, it would post to a context that is gone.
class LaneService final : public asio::execution_context::service {
 public:
  using key_type = LaneService;
  inline static asio::execution_context::id id;

  explicit LaneService(asio::execution_context& context) : service(context) {}

  void add(const std::shared_ptr<LaneThread>& lane) {
    const std::lock_guard lock(mutex_);
    std::erase_if(lanes_, [](const std::weak_ptr<LaneThread>& known) { return known.expired(); });
    lanes_.push_back(lane);
  }

 private:
  void shutdown() override {
    std::vector<std::weak_ptr<LaneThread>> lanes;
    {
      const std::lock_guard lock(mutex_);
      lanes.swap(lanes_);
    }
    for (const std::weak_ptr<LaneThread>& known : lanes) {
      if (const std::shared_ptr<LaneThread> lane = known.lock()) lane->stop();
    }
  }

  std::mutex mutex_;
  std::vector<std::weak_ptr<LaneThread>> lanes_;
};

class RealLane final : public WorldLane {
 public:
  explicit RealLane(asio::execution_context& context) {
    asio::use_service<LaneService>(context).add(thread_);
  }
  RealLane(const RealLane&) = delete;
  RealLane& operator=(const RealLane&) = delete;
  ~RealLane() override { thread_->stop(); }

  LanePlace submit(UniqueFunction<void()> job) override {
    return LaneThread::submit(thread_, std::move(job));
  }

 private:
  std::shared_ptr<LaneThread> thread_ = std::make_shared<LaneThread>();
};

class RealWorld final : public World {
 public:
  TimePoint now() const noexcept override { return std::chrono::steady_clock::now(); }
  // steady_clock is CLOCK_MONOTONIC where there is this one, which is its value at the kernel's latest tick.
  TimePoint coarseNow() const noexcept override {
#ifdef CLOCK_MONOTONIC_COARSE
    return read(CLOCK_MONOTONIC_COARSE);
#else
    return now();
#endif
  }
  TimePoint bootNow() const noexcept override {
#ifdef CLOCK_BOOTTIME
    return read(CLOCK_BOOTTIME);
#else
    return now();
#endif
  }
  WallTime wallNow() const noexcept override { return std::chrono::system_clock::now(); }
  std::uint64_t random() noexcept override {
    return splitMix64(counter_.fetch_add(0x9E3779B97F4A7C15U, std::memory_order_relaxed));
  }
  std::unique_ptr<WorldTimer> makeTimer(const asio::any_io_executor& executor) override {
    return std::make_unique<RealTimer>(executor);
  }
  std::unique_ptr<WorldLane> makeLane(const asio::any_io_executor& executor, std::string) override {
    return std::make_unique<RealLane>(asio::query(executor, asio::execution::context));
  }

  // One for the process: it has no state but the random counter.
  static const std::shared_ptr<World>& instance() {
    static const std::shared_ptr<World> world = std::make_shared<RealWorld>();
    return world;
  }

 private:
#if defined(CLOCK_MONOTONIC_COARSE) || defined(CLOCK_BOOTTIME)
  TimePoint read(clockid_t clock) const noexcept {
    timespec time{};
    if (clock_gettime(clock, &time) != 0) return now();
    return TimePoint(std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec));
  }
#endif
  static std::uint64_t systemSeed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32U) | device();
  }

  std::atomic<std::uint64_t> counter_{systemSeed()};
};

}  // namespace lukhas::detail
