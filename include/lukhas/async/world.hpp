// World: what stands behind an Environment. There are two: the real one here in async/, the simulated one in
// sim/.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include <asio/any_io_executor.hpp>

#include "lukhas/async/lane_jobs.hpp"
#include "lukhas/core/unique_function.hpp"

namespace lukhas {

// Time inside the library: monotonic, in nanoseconds. Only durations and comparisons mean anything.
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Time of day, for people and for HTTP dates; nothing is scheduled by it.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// One alarm. Not thread-safe: the owner guards it with its own mutex.
class WorldTimer {
 public:
  virtual ~WorldTimer() = default;
  // Runs `callback` on the environment's executor, at or after `when`; replaces an earlier alarm.
  virtual void arm(TimePoint when, UniqueFunction<void()> callback) = 0;
  // An alarm that has not rung yet never will. One that rang may be on its way: queued on the executor, also
  // in this thread, it still runs after this. So the owner has to know by itself, under its mutex, whether
  // what a callback is about is still wanted.
  virtual void cancel() noexcept = 0;
};

// A place for calls that block: one at a time, in order.
class WorldLane {
 public:
  virtual ~WorldLane() = default;
  // Runs `job` off the executor's threads, unless its place is given up before it begins. Jobs that were not
  // begun when the lane is destroyed are dropped. Throws Errc::overloaded when LaneJobs::maxJobs wait.
  [[nodiscard]] virtual LanePlace submit(UniqueFunction<void()> job) = 0;
};

class World {
 public:
  virtual ~World() = default;
  [[nodiscard]] virtual TimePoint now() const noexcept = 0;
  // The same clock read cheaply: at most 10 ms behind now(), never ahead of it.
  [[nodiscard]] virtual TimePoint coarseNow() const noexcept { return now(); }
  // As now(), but it goes on while the machine is suspended. Its zero is another one: times of the two clocks
  // are never compared. A world that is never suspended has one clock.
  [[nodiscard]] virtual TimePoint bootNow() const noexcept { return now(); }
  [[nodiscard]] virtual WallTime wallNow() const noexcept = 0;
  [[nodiscard]] virtual std::uint64_t random() noexcept = 0;
  [[nodiscard]] virtual std::unique_ptr<WorldTimer> makeTimer(const asio::any_io_executor& executor) = 0;
  [[nodiscard]] virtual std::unique_ptr<WorldLane> makeLane(const asio::any_io_executor& executor,
                                                            std::string name) = 0;
};

}  // namespace lukhas
