// Simulation: virtual time, a seed, faults and crashes, for testing code that uses the library.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include <asio/co_spawn.hpp>
#include <fmt/format.h>

#include "lukhas/core/option_check.hpp"
#include "lukhas/sim/present.hpp"
#include "lukhas/sim/simulated_disk.hpp"
#include "lukhas/sim/simulated_network.hpp"
#include "lukhas/sim/simulated_participant.hpp"

namespace lukhas {

struct SimulationOptions {
  // Which of the legal orders of the same program to run. Equal seeds give equal runs, step by step.
  std::uint64_t seed = 1;
  // A run that does not come to rest within so many steps is stopped with an error. Range: 1 to 10^12.
  std::uint64_t maxSteps = 50'000'000;
};

// A world in which seconds of waiting take no time and nothing runs but what the test started.
//
//   lukhas::Simulation world{{.seed = 7}};
//   lukhas::AsyncLock locks{world.environment()};
//   world.spawn(worker(world.environment(), locks));
//   world.run();                              // until nothing is left to do; rethrows what a coroutine threw
//   CHECK(world.elapsed() == 1s);
//
// Coroutines run on plain Asio awaitables. Of all that is ready, the seed chooses what runs next; when
// nothing is ready, the clock jumps to the next timer. One thread; nothing here is thread-safe.
//
// crash() is what kill -9 and a power cut do: coroutines and timers of this life are gone without running on,
// and environment() then gives a new life. Destructors of what the coroutines held do run; they must only
// touch memory. Construct the world before, and destroy it after, all components that use it.
class Simulation {
 public:
  using Options = SimulationOptions;

  explicit Simulation(SimulationOptions options = {})
      : options_(options),
        present_(std::make_shared<detail::Present>(options.seed)),
        start_(present_->loop().now()),
        disk_(std::make_shared<SimulatedDisk>(present_)),
        network_(std::make_shared<SimulatedNetwork>(present_)) {
    requireOption("Simulation", "maxSteps", options.maxSteps, 1, 1'000'000'000'000);
  }
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  ~Simulation() { present_->end(); }

  [[nodiscard]] Environment environment() const { return present_->environment(); }

  // Starts a coroutine. What it throws is rethrown by the run that it ends in.
  void spawn(asio::awaitable<void> task) {
    asio::co_spawn(environment().executor(), std::move(task), [failure = failure_](std::exception_ptr error) {
      if (error && !*failure) *failure = error;
    });
  }

  // Until nothing is left to do.
  void run() { runUntil(TimePoint::max()); }
  // For that much virtual time; the clock then stands exactly there.
  void runFor(Duration duration) {
    const TimePoint end = Environment::saturatingAdd(present_->loop().now(), duration);
    runUntil(end);
    present_->loop().advanceTo(end);
  }
  // At most so many steps, for a crash at any of them. Returns whether anything is left to do.
  bool runSteps(std::uint64_t steps) {
    for (std::uint64_t i = 0; i < steps; ++i) {
      if (!step(TimePoint::max())) return false;
    }
    return !present_->loop().idle();
  }

  // The machine sleeps for so long: nothing runs, and the environment's now() and its timers stand still;
  // bootNow() and the time of day go on. Zero or more.
  void suspendFor(Duration duration) noexcept { present_->clockShift().suspended += duration; }
  // Somebody sets the time of day, forwards or backwards. Nothing else changes.
  void shiftWallClock(Duration by) noexcept { present_->clockShift().wall += by; }

  // The disk of this machine: crash() leaves of it what a power cut leaves.
  [[nodiscard]] const std::shared_ptr<SimulatedDisk>& disk() const noexcept { return disk_; }
  // The storage system of that name, on a machine of its own: made when it is first asked for; crash() does
  // not touch it.
  [[nodiscard]] std::shared_ptr<SimulatedParticipant> participant(const std::string& name) {
    std::shared_ptr<SimulatedParticipant>& found = participants_[name];
    if (!found) found = std::make_shared<SimulatedParticipant>(present_, name);
    return found;
  }

  // The network, and the models that answer in it: a router's transport.
  [[nodiscard]] std::shared_ptr<Transport> transport() const noexcept { return network_; }
  SimulatedModel& addModel(std::string url) { return network_->addModel(std::move(url)); }
  [[nodiscard]] SimulatedModel& model(const std::string& url) const { return network_->model(url); }
  // Connections with a request under way.
  [[nodiscard]] std::size_t openConnections() const noexcept { return network_->openConnections(); }

  // Not from inside a coroutine of this world.
  void crash() {
    present_->endLife();
    disk_->crash();
    network_->crash();
    *failure_ = nullptr;
  }

  // Virtual time since construction, over all lives.
  [[nodiscard]] Duration elapsed() const { return present_->loop().now() - start_; }
  // A hash of every choice so far: equal for equal seeds.
  [[nodiscard]] std::uint64_t fingerprint() const { return present_->fingerprint(); }
  [[nodiscard]] std::uint64_t seed() const noexcept { return options_.seed; }
  [[nodiscard]] std::uint64_t steps() const noexcept { return steps_; }

 private:
  bool step(TimePoint limit) {
    if (!present_->loop().step(limit)) return false;
    ++steps_;
    if (*failure_) std::rethrow_exception(std::exchange(*failure_, nullptr));
    return true;
  }

  void runUntil(TimePoint limit) {
    for (std::uint64_t i = 0; step(limit); ++i) {
      if (i < options_.maxSteps) continue;
      nlohmann::json details{{"seed", options_.seed}, {"maxSteps", options_.maxSteps}};
      throw Error(Errc::deadline_exceeded,
                  fmt::format("the simulation with seed {} did not come to rest within {} steps",
                              options_.seed, options_.maxSteps),
                  std::move(details));
    }
  }

  SimulationOptions options_;
  std::shared_ptr<detail::Present> present_;
  TimePoint start_;
  std::shared_ptr<SimulatedDisk> disk_;
  std::shared_ptr<SimulatedNetwork> network_;
  std::map<std::string, std::shared_ptr<SimulatedParticipant>> participants_;
  std::shared_ptr<std::exception_ptr> failure_ = std::make_shared<std::exception_ptr>();
  std::uint64_t steps_ = 0;
};

}  // namespace lukhas
