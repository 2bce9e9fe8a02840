// Environment: the only door to time, chance and threads.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/post.hpp>

#include "lukhas/async/real_world.hpp"
#include "lukhas/async/suspension.hpp"
#include "lukhas/async/world.hpp"

namespace lukhas {

// A cheap value that every component takes: an executor, clocks, timers, a source of random numbers, and a
// lane for calls that block.
//
//   asio::io_context io;
//   lukhas::Environment environment{io.get_executor()};      // the real world
//
//   lukhas::Simulation world{{.seed = 7}};
//   lukhas::Environment environment = world.environment();   // virtual time; the same type
//
// Nothing else in the library reads a clock or starts a timer, so everything runs under simulation. Any
// thread may use it. Components and the io_context: destroy the components first, as with Asio's own I/O
// objects.
class Environment {
 public:
  explicit Environment(asio::any_io_executor executor)
      : executor_(std::move(executor)), world_(detail::RealWorld::instance()) {}
  Environment(asio::any_io_executor executor, std::shared_ptr<World> world)
      : executor_(std::move(executor)), world_(std::move(world)) {}

  [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }
  // The same world seen through another executor, a strand for example.
  [[nodiscard]] Environment on(asio::any_io_executor executor) const { return {std::move(executor), world_}; }

  [[nodiscard]] TimePoint now() const noexcept { return world_->now(); }
  // The same clock read in a quarter of the time: at most 10 ms behind now(), never ahead of it.
  [[nodiscard]] TimePoint coarseNow() const noexcept { return world_->coarseNow(); }
  // Goes on while the machine is suspended; not to be compared with now(), and no timer follows it.
  [[nodiscard]] TimePoint bootNow() const noexcept { return world_->bootNow(); }
  [[nodiscard]] WallTime wallNow() const noexcept { return world_->wallNow(); }
  // 64 random bits; not for secrets.
  [[nodiscard]] std::uint64_t random() const noexcept { return world_->random(); }

  // Suspends for at least that long; zero or less only lets others run. Cancellation ends it with
  // operation_aborted.
  [[nodiscard]] asio::awaitable<void> sleepFor(Duration duration) const {
    return sleepUntil(after(duration));
  }
  [[nodiscard]] asio::awaitable<void> sleepUntil(TimePoint when) const {
    const auto sleeper = std::make_shared<Sleeper>(*this);
    Sleeper* const waiting = sleeper.get();
    return sleeper->wait([waiting, when] { waiting->start(when); }, [waiting] { return waiting->stop(); });
  }

  // now() + duration, saturating instead of wrapping round.
  [[nodiscard]] TimePoint after(Duration duration) const noexcept { return saturatingAdd(now(), duration); }

  template <class Function>
  void post(Function&& function) const {
    asio::post(executor_, std::forward<Function>(function));
  }

  [[nodiscard]] std::unique_ptr<WorldTimer> makeTimer() const { return world_->makeTimer(executor_); }
  [[nodiscard]] std::unique_ptr<WorldLane> makeLane(std::string name) const {
    return world_->makeLane(executor_, std::move(name));
  }

  [[nodiscard]] static constexpr TimePoint saturatingAdd(TimePoint time, Duration duration) noexcept {
    if (duration > Duration::zero() && time > TimePoint::max() - duration) return TimePoint::max();
    if (duration < Duration::zero() && time < TimePoint::min() - duration) return TimePoint::min();
    return time + duration;
  }

 private:
  // A coroutine in sleepUntil. Timer and cancellation may race in different threads; `sleeping_` says who was
  // first.
  class Sleeper : public Suspension {
   public:
    explicit Sleeper(const Environment& environment) : timer_(environment.makeTimer()) {}

    void start(TimePoint when) {
      const std::lock_guard lock(mutex_);
      timer_->arm(when, [this, self = shared_from_this()] {
        if (finish()) resume();
      });
    }
    bool stop() {
      if (!finish()) return false;
      const std::lock_guard lock(mutex_);
      timer_->cancel();
      return true;
    }

   private:
    bool finish() {
      const std::lock_guard lock(mutex_);
      return std::exchange(sleeping_, false);
    }

    std::mutex mutex_;
    std::unique_ptr<WorldTimer> timer_;
    bool sleeping_ = true;
  };

  asio::any_io_executor executor_;
  std::shared_ptr<World> world_;
};

}  // namespace lukhas
