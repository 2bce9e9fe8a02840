// Schedules of faults by seed: several at once, of participants, disk, clocks and the coordinator itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/split_mix.hpp"
#include "support/preserve_trial.hpp"

namespace lukhas::test {

struct ScheduleOutcome {
  std::string violations;
  std::uint64_t acknowledged = 0;
  std::uint64_t aborted = 0;
  std::uint64_t fingerprint = 0;
};

class FaultSchedule {
 public:
  explicit FaultSchedule(std::uint64_t seed, CoordinatorMistake mistake = CoordinatorMistake::none)
      : chance_(splitMix64(seed)), trial_(drawShape(seed, mistake)) {
    trial_.contexts = {"one", "two"};
  }

  [[nodiscard]] ScheduleOutcome play() {
    const std::uint64_t lives = 1 + chance_.below(3);
    for (std::uint64_t life = 0; life < lives; ++life) {
      const PreserveTrial::Preserver preserver = trial_.begin();
      world().spawn(serve(*preserver, life));
      world().spawn(disturb());
      if (chance_.below(2) == 0) {
        world().runFor(std::chrono::milliseconds(chance_.below(6000)));
      } else {
        (void)world().runSteps(chance_.below(1500));
      }
      world().crash();
      calm();
    }
    trial_.settle();
    return {trial_.violations(), trial_.ledger.acknowledged(), trial_.ledger.aborted(),
            world().fingerprint()};
  }

 private:
  [[nodiscard]] TrialShape drawShape(std::uint64_t seed, CoordinatorMistake mistake) {
    TrialShape shape;
    shape.seed = seed;
    shape.participants = 1 + static_cast<unsigned>(chance_.below(3));
    shape.hasDirectory = chance_.below(3) == 0;
    if (mistake == CoordinatorMistake::forgets_early) shape.history = 0;
    shape.mistake = mistake;
    remote_ = {"a", "b", "c"};
    remote_.resize(shape.participants - (shape.hasDirectory ? 1 : 0));
    return shape;
  }
  [[nodiscard]] Simulation& world() noexcept { return trial_.world; }
  [[nodiscard]] static std::chrono::milliseconds drawMs(const Environment& environment, std::uint64_t limit) {
    return std::chrono::milliseconds(environment.random() % limit);
  }

  [[nodiscard]] asio::awaitable<void> serve(AtomicContextPreserver& preserver, std::uint64_t life) {
    co_await trial_.start(preserver);
    const std::vector<std::string> contexts = trial_.contexts;
    for (const std::string& context : contexts) world().spawn(write(preserver, context, life));
    world().spawn(read(preserver));
  }
  [[nodiscard]] asio::awaitable<void> write(AtomicContextPreserver& preserver, std::string context,
                                            std::uint64_t life) {
    const Environment environment = world().environment();
    for (bool settled = false; !settled;) {
      settled = co_await trial_.ledger.settle(preserver, context);
      if (!settled) co_await environment.sleepFor(std::chrono::milliseconds(100));
    }
    for (int turn = 0; turn < 8; ++turn) {
      ::test::PreserveLedger::State next;
      if (environment.random() % 5 != 0) next = nlohmann::json{{"life", life}, {"turn", turn}};
      const bool decided = environment.random() % 3 == 0;
      const PreserveOptions options{.until = decided ? PreserveUntil::decided : PreserveUntil::applied};
      const bool known = co_await trial_.ledger.change(preserver, context, next, options);
      if (!known) co_return;
      co_await environment.sleepFor(drawMs(environment, 150));
    }
  }
  [[nodiscard]] asio::awaitable<void> read(AtomicContextPreserver& preserver) {
    const Environment environment = world().environment();
    const std::vector<std::string> contexts = trial_.contexts;
    for (;;) {
      (void)co_await trial_.ledger.read(preserver, contexts[environment.random() % contexts.size()]);
      co_await environment.sleepFor(std::chrono::milliseconds(1) + drawMs(environment, 300));
    }
  }

  // Something goes wrong, every now and then.
  [[nodiscard]] asio::awaitable<void> disturb() {
    const Environment environment = world().environment();
    for (;;) {
      co_await environment.sleepFor(drawMs(environment, 700));
      if (environment.random() % 3 == 0) {
        disturbMachine(environment);
      } else if (!remote_.empty()) {
        disturbParticipant(environment);
      }
    }
  }
  void disturbParticipant(const Environment& environment) {
    const auto victim = world().participant(remote_[environment.random() % remote_.size()]);
    switch (environment.random() % 5) {
      case 0: victim->refuseNextPrepare(); break;
      case 1: victim->goDown(drawMs(environment, 6000)); break;
      case 2: victim->goDownDuringCommit(drawMs(environment, 15'000)); break;
      case 3: victim->loseNextAnswer(); break;
      default: victim->stallNext(); break;
    }
  }
  void disturbMachine(const Environment& environment) {
    constexpr DiskOperation operations[] = {
        DiskOperation::open,        DiskOperation::read,   DiskOperation::write,
        DiskOperation::sync,        DiskOperation::rename, DiskOperation::remove,
        DiskOperation::preallocate, DiskOperation::sync_directory};
    switch (environment.random() % 6) {
      case 0:
      case 1: world().disk()->failNextSync(); break;
      case 2: {
        const DiskOperation operation = operations[environment.random() % std::size(operations)];
        world().disk()->failNext(operation, JournalErrc::io_failed, environment.random() % 4);
        break;
      }
      case 3: world().disk()->fillUp(); break;
      case 4: world().disk()->freeUp(); break;
      default:
        world().shiftWallClock(drawMs(environment, 7'200'000) - std::chrono::hours(1));
        world().suspendFor(drawMs(environment, 100'000));
        break;
    }
  }

  // Faults that wait for a call are taken by one that nobody waits for.
  void calm() {
    world().disk()->forgetFaults();
    world().disk()->freeUp();
    for (const std::string& name : remote_) {
      const std::shared_ptr<SimulatedParticipant> participant = world().participant(name);
      participant->goDown(Duration::zero());
      participant->goDownDuringCommit(Duration::zero());
      world().spawn(ask(participant));
    }
    world().runFor(std::chrono::milliseconds(100));
    world().crash();
  }
  [[nodiscard]] static asio::awaitable<void> ask(std::shared_ptr<SimulatedParticipant> participant) {
    try {
      (void)co_await participant->inDoubt();
    } catch (const Error&) {
      // that was the fault
    }
  }

  SplitMix chance_;
  std::vector<std::string> remote_;  // participants that are simulated machines
  PreserveTrial trial_;
};

}  // namespace lukhas::test
