// TickWatch: a coroutine that asks for a turn each millisecond, and how late it got one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "lukhas/async/environment.hpp"

namespace lukhas::test {

struct TickWatch {
  Duration worst{};  // from when a tick was due to when it came
  std::size_t ticks = 0;
  bool done = false;

  static asio::awaitable<void> run(Environment environment, TickWatch& watch) {
    while (!watch.done) {
      const TimePoint due = environment.after(std::chrono::milliseconds(1));
      co_await environment.sleepUntil(due);
      watch.worst = std::max(watch.worst, environment.now() - due);
      ++watch.ticks;
    }
  }
};

}  // namespace lukhas::test
