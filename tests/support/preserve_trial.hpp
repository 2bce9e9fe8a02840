// PreserveTrial: lives of one coordinator and its participants, crashed where a test says, and what must hold
// in the end.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/participants/directory_participant.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/coordinator_mistakes.hpp"
#include "support/preserve_ledger.hpp"

namespace lukhas::test {

struct TrialShape {
  std::uint64_t seed = 1;
  unsigned participants = 2;   // 1 to 3
  bool hasDirectory = false;   // the last of them is a directory on the coordinator's disk; it crashes too
  std::size_t history = 10'000;
  CoordinatorMistake mistake = CoordinatorMistake::none;
};

// Each participant holds an intent of another coordinator all the time, which must never be touched.
class PreserveTrial {
 public:
  using Preserver = std::unique_ptr<AtomicContextPreserver>;
  using Participants = std::vector<std::shared_ptr<Participant>>;

  explicit PreserveTrial(TrialShape given)
      : world{{.seed = given.seed}}, ledger(namesOf(given)), shape_(given) {
    world.spawn(prepareForeign(ownParticipants()));
    world.runFor(std::chrono::seconds(10));
    world.crash();
  }

  // A coordinator for the world's present life, and its participants.
  [[nodiscard]] Preserver begin() {
    AtomicContextPreserverOptions options;
    options.journalDirectory = "journal";
    options.disk = world.disk();
    if (shape_.mistake != CoordinatorMistake::none) {
      options.disk = std::make_shared<MistakenDisk>(world.disk(), world.environment(), shape_.mistake);
    }
    options.journalSegmentBytes = 4096;
    // A decision that is forgotten too early is mostly lost in memory together with that.
    if (shape_.mistake == CoordinatorMistake::forgets_early) options.journalRestTime = Duration::zero();
    options.historyEntries = shape_.history;
    participants_ = ownParticipants();
    if (shape_.mistake == CoordinatorMistake::recovers_the_live) {
      world.spawn(recoverTheLive(world.environment(), world.disk(), participants_, "lukhas"));
    }
    if (shape_.mistake != CoordinatorMistake::none) {
      for (std::shared_ptr<Participant>& participant : participants_) {
        participant = std::make_shared<MistakenLink>(participant, shape_.mistake);
      }
    }
    return std::make_unique<AtomicContextPreserver>(world.environment(), std::move(options));
  }

  // Until it is started: what is down, or fails, is tried again.
  [[nodiscard]] asio::awaitable<void> start(AtomicContextPreserver& preserver) {
    const Environment environment = world.environment();
    const Participants participants = participants_;
    for (const std::shared_ptr<Participant>& participant : participants) {
      for (;;) {
        const bool added = co_await succeeds(preserver.addParticipant(participant));
        if (added) break;
        co_await environment.sleepFor(std::chrono::milliseconds(300));
      }
    }
    for (;;) {
      const bool started = co_await succeeds(preserver.start());
      if (started) co_return;
      co_await environment.sleepFor(std::chrono::milliseconds(300));
    }
  }

  // What was under way when the last fault ended may arrive 10 s later; the next periodic comparison, at most
  // 30 s after it, ends it.
  static constexpr Duration timeToSettle = std::chrono::seconds(41);

  // Lives in which nothing goes wrong. After the first everything must be settled; the second finds nothing
  // to do.
  void settle() {
    for (int life = 0; life < 2; ++life) {
      const Preserver preserver = begin();
      world.spawn(start(*preserver));
      world.runFor(timeToSettle);
      world.spawn(ledger.checkAllOrNothing(participants_, 1));
      world.spawn(readAll(*preserver));
      world.runFor(std::chrono::seconds(5));
      checkQuiet(*preserver, life);
      world.crash();
    }
  }

  [[nodiscard]] const std::string& violations() const noexcept { return ledger.violations(); }

  Simulation world;
  ::test::PreserveLedger ledger;
  std::vector<std::string> contexts;  // that are read in the end

 private:
  [[nodiscard]] static std::vector<std::string> namesOf(const TrialShape& shape) {
    const std::vector<std::string> names{"a", "b", "c"};
    return {names.begin(), names.begin() + shape.participants};
  }
  [[nodiscard]] Participants ownParticipants() {
    Participants all;
    const std::vector<std::string> names = namesOf(shape_);
    for (const std::string& name : names) {
      if (shape_.hasDirectory && name == names.back()) {
        all.push_back(DirectoryParticipant::open(name, "files", world.disk()));
      } else {
        all.push_back(world.participant(name));
      }
    }
    return all;
  }
  [[nodiscard]] static asio::awaitable<bool> succeeds(asio::awaitable<void> call) {
    try {
      co_await std::move(call);
    } catch (const Error& error) {
      if (error.code() == asio::error::operation_aborted) throw;
      co_return false;
    }
    co_return true;
  }
  [[nodiscard]] asio::awaitable<void> prepareForeign(Participants participants) {
    StoredContext foreign;
    foreign.transactionId = "lukhas:another-coordinator:1:1";
    foreign.contextId = "foreign";
    foreign.version = 1;
    foreign.participants = ledger.names();
    foreign.payload = "{}";
    foreign.payloadHash = hash64(asBytes(foreign.payload));
    for (const std::shared_ptr<Participant>& participant : participants) {
      co_await participant->open(world.environment());
      co_await participant->prepare(foreign);
      co_await participant->close();
    }
  }
  [[nodiscard]] asio::awaitable<void> readAll(AtomicContextPreserver& preserver) {
    for (const std::string& context : contexts) {
      const bool known = co_await ledger.read(preserver, context);
      ledger.require(known, context + ": cannot be read in the end");
    }
  }

  void checkQuiet(const AtomicContextPreserver& preserver, int life) {
    ledger.checkHistory(preserver);
    for (const InDoubtTransaction& left : preserver.listInDoubt()) {
      ledger.require(left.reason == InDoubtTransaction::Reason::foreign,
                     "left in doubt: " + left.toJson().dump());
    }
    for (const HealthIssue& issue : preserver.healthCheck().issues) {
      ledger.require(issue.code == "foreign_intents", "not healthy in the end: " + issue.message);
    }
    const std::uint64_t recovered = preserver.getMetrics().recovered;
    ledger.require(life == 0 || recovered == 0, "a second recovery still found something to do");
    const std::uint64_t bytes = world.disk()->usedBytes();
    ledger.require(bytes <= std::uint64_t{8} * 4096, fmt::format("log and files have {} bytes", bytes));
  }

  TrialShape shape_;
  Participants participants_;
};

}  // namespace lukhas::test
