// WorkingWorld: a simulated world in which work takes time.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <asio/any_io_executor.hpp>

#include "lukhas/async/environment.hpp"

namespace lukhas::test {

// Its clock is ahead of the simulated one by as much as the test says was worked: virtual time alone stands
// still while code runs.
struct WorkingWorld final : World {
  explicit WorkingWorld(Environment simulated) : inner(std::move(simulated)) {}

  TimePoint now() const noexcept override { return inner.now() + worked; }
  WallTime wallNow() const noexcept override { return inner.wallNow(); }
  std::uint64_t random() noexcept override { return inner.random(); }
  std::unique_ptr<WorldTimer> makeTimer(const asio::any_io_executor& executor) override {
    return inner.on(executor).makeTimer();
  }
  std::unique_ptr<WorldLane> makeLane(const asio::any_io_executor& executor, std::string name) override {
    return inner.on(executor).makeLane(std::move(name));
  }

  Environment inner;
  Duration worked{};
};

}  // namespace lukhas::test
