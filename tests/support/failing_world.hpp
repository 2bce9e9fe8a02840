// FailingWorld: a world in which alarms and posts run out of memory when the test says so.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/execution.hpp>

#include "lukhas/async/environment.hpp"

namespace lukhas::test {

// How many of the next ones throw std::bad_alloc.
struct Failures {
  int alarms = 0;
  int posts = 0;
};

class FailingExecutor {
 public:
  FailingExecutor(asio::any_io_executor inner, std::shared_ptr<Failures> failures) noexcept
      : inner_(std::move(inner)), failures_(std::move(failures)) {}

  asio::execution_context& query(asio::execution::context_t) const {
    return asio::query(inner_, asio::execution::context);
  }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  [[nodiscard]] FailingExecutor require(asio::execution::blocking_t::never_t) const noexcept { return *this; }

  template <class Function>
  void execute(Function&& function) const {
    if (failures_->posts > 0) {
      --failures_->posts;
      throw std::bad_alloc();
    }
    asio::execution::execute(inner_, std::forward<Function>(function));
  }

  friend bool operator==(const FailingExecutor& a, const FailingExecutor& b) noexcept {
    return a.inner_ == b.inner_;
  }
  friend bool operator!=(const FailingExecutor& a, const FailingExecutor& b) noexcept { return !(a == b); }

 private:
  asio::any_io_executor inner_;
  std::shared_ptr<Failures> failures_;
};

// Passes everything on to the world of another environment, a simulated one for example.
class FailingWorld final : public World {
 public:
  FailingWorld(Environment inner, std::shared_ptr<Failures> failures)
      : inner_(std::move(inner)), failures_(std::move(failures)) {}

  [[nodiscard]] static Environment over(const Environment& inner, const std::shared_ptr<Failures>& failures) {
    return {asio::any_io_executor(FailingExecutor(inner.executor(), failures)),
            std::make_shared<FailingWorld>(inner, failures)};
  }

  TimePoint now() const noexcept override { return inner_.now(); }
  TimePoint bootNow() const noexcept override { return inner_.bootNow(); }
  WallTime wallNow() const noexcept override { return inner_.wallNow(); }
  std::uint64_t random() noexcept override { return inner_.random(); }
  std::unique_ptr<WorldTimer> makeTimer(const asio::any_io_executor& executor) override {
    return std::make_unique<Timer>(inner_.on(executor).makeTimer(), failures_);
  }
  std::unique_ptr<WorldLane> makeLane(const asio::any_io_executor& executor, std::string name) override {
    return inner_.on(executor).makeLane(std::move(name));
  }

 private:
  // An arm() that fails has cancelled the alarm before, as Asio's timers do.
  class Timer final : public WorldTimer {
   public:
    Timer(std::unique_ptr<WorldTimer> inner, std::shared_ptr<Failures> failures)
        : inner_(std::move(inner)), failures_(std::move(failures)) {}
    void arm(TimePoint when, UniqueFunction<void()> callback) override {
      inner_->cancel();
      if (failures_->alarms > 0) {
        --failures_->alarms;
        throw std::bad_alloc();
      }
      inner_->arm(when, std::move(callback));
    }
    void cancel() noexcept override { inner_->cancel(); }

   private:
    std::unique_ptr<WorldTimer> inner_;
    std::shared_ptr<Failures> failures_;
  };

  Environment inner_;
  std::shared_ptr<Failures> failures_;
};

}  // namespace lukhas::test
