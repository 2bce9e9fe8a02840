// JumpingWorld: the real world with a clock that the benchmark can set forward, so that entries expire when
// it wants. Everything else costs what it costs.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <asio/basic_waitable_timer.hpp>

#include "lukhas/async/environment.hpp"

namespace lukhas::bench {

struct JumpingClock {
  using duration = std::chrono::steady_clock::duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::steady_clock::time_point;
  static constexpr bool is_steady = true;

  static time_point now() noexcept { return std::chrono::steady_clock::now() + ahead; }
  inline static duration ahead{};
};
using JumpingTimer = asio::basic_waitable_timer<JumpingClock>;

class JumpingWorld final : public World {
 public:
  explicit JumpingWorld(Environment real) : real_(std::move(real)) {}
  [[nodiscard]] static Environment over(const asio::any_io_executor& executor) {
    return {executor, std::make_shared<JumpingWorld>(Environment(executor))};
  }

  TimePoint now() const noexcept override { return JumpingClock::now(); }
  WallTime wallNow() const noexcept override { return real_.wallNow(); }
  std::uint64_t random() noexcept override { return real_.random(); }
  std::unique_ptr<WorldTimer> makeTimer(const asio::any_io_executor& executor) override {
    return std::make_unique<Timer>(executor);
  }
  std::unique_ptr<WorldLane> makeLane(const asio::any_io_executor& executor, std::string name) override {
    return real_.on(executor).makeLane(std::move(name));
  }

 private:
  class Timer final : public WorldTimer {
   public:
    explicit Timer(const asio::any_io_executor& executor) : timer_(executor) {}
    void arm(TimePoint when, UniqueFunction<void()> callback) override {
      timer_.expires_at(when);
      timer_.async_wait([callback = std::move(callback)](std::error_code error) mutable {
        if (!error) callback();
      });
    }
    void cancel() noexcept override { timer_.cancel(); }

   private:
    JumpingTimer timer_;
  };

  Environment real_;
};

}  // namespace lukhas::bench
