#include "lukhas/sim/simulated_participant.hpp"

#include <chrono>
#include <cstdint>

#include "lukhas/async/child_task.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/conformance.hpp"

using namespace lukhas;
using namespace lukhas::test;
using namespace std::chrono_literals;

namespace {

using ParticipantPtr = std::shared_ptr<SimulatedParticipant>;

struct Outcome {
  std::error_code code;
  bool returned = false;
};

asio::awaitable<void> note(asio::awaitable<void> call, Outcome& outcome) {
  outcome.code = co_await codeOf(std::move(call));
  outcome.returned = true;
}

// Makes one call and runs the world to its end.
Outcome outcomeOf(Simulation& world, asio::awaitable<void> call) {
  Outcome outcome;
  world.spawn(note(std::move(call), outcome));
  world.run();
  return outcome;
}

StoredContext first() { return storedContext("a", 1, transactionIdOf(1)); }

}  // namespace

TEST_CASE("the simulated participant keeps the contract with every seed", "[participants]") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    INFO("seed " << seed);
    Simulation world{{.seed = seed}};
    requireConformance(
        conformanceIn(world, [&world](const std::string& storage) { return world.participant(storage); }));
  }
}

TEST_CASE("a simulated participant that is told to refuses one prepare", "[participants]") {
  Simulation world{{.seed = 1}};
  const ParticipantPtr db = world.participant("db");
  db->refuseNextPrepare();
  CHECK(outcomeOf(world, db->prepare(first())).code == PreserveErrc::refused);
  CHECK(db->intents() == 0);
  CHECK_FALSE(outcomeOf(world, db->prepare(first())).code);
  CHECK(db->intents() == 1);
}

TEST_CASE("a simulated participant that is down does nothing until it is up", "[participants]") {
  Simulation world{{.seed = 1}};
  const ParticipantPtr db = world.participant("db");
  db->goDown(10s);
  CHECK(outcomeOf(world, db->prepare(first())).code == PreserveErrc::participant_unavailable);
  CHECK(db->intents() == 0);
  world.runFor(10s);
  CHECK_FALSE(outcomeOf(world, db->prepare(first())).code);
}

TEST_CASE("an outage of commits begins with the next commit and spares other calls", "[participants]") {
  Simulation world{{.seed = 1}};
  const ParticipantPtr db = world.participant("db");
  CHECK_FALSE(outcomeOf(world, db->prepare(first())).code);
  db->goDownDuringCommit(1min);
  world.runFor(5min);
  const TransactionRef transaction(first());
  CHECK(outcomeOf(world, db->commit(transaction)).code == PreserveErrc::participant_unavailable);
  CHECK_FALSE(outcomeOf(world, db->prepare(storedContext("b", 1, transactionIdOf(2)))).code);
  world.runFor(50s);
  CHECK(outcomeOf(world, db->commit(transaction)).code == PreserveErrc::participant_unavailable);
  CHECK(db->intents() == 2);
  world.runFor(10s);
  CHECK_FALSE(outcomeOf(world, db->commit(transaction)).code);
  CHECK(db->committed("a") == nlohmann::json{{"version", 1}});
  CHECK(db->committedVersion("a") == 1U);
  CHECK_FALSE(db->committed("b"));
}

TEST_CASE("a lost answer is an error of a call that took effect", "[participants]") {
  Simulation world{{.seed = 1}};
  const ParticipantPtr db = world.participant("db");
  db->loseNextAnswer();
  CHECK(outcomeOf(world, db->prepare(first())).code == PreserveErrc::participant_unavailable);
  CHECK(db->intents() == 1);
  CHECK_FALSE(outcomeOf(world, db->prepare(first())).code);
}

TEST_CASE("a stalled call is answered by cancelling it alone", "[participants]") {
  bool tookEffect = false;
  bool hadNone = false;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Simulation world{{.seed = seed}};
    const ParticipantPtr db = world.participant("db");
    db->stallNext();
    CHECK_FALSE(outcomeOf(world, db->prepare(first())).returned);
    CHECK(world.elapsed() < 1s);
    db->stallNext();
    asio::awaitable<void> call = db->prepare(storedContext("b", 1, transactionIdOf(2)));
    call = withTimeLimit(world.environment(), 5s, "prepare", std::move(call));
    CHECK(outcomeOf(world, std::move(call)).code == Errc::deadline_exceeded);
    world.runFor(15s);
    tookEffect = tookEffect || db->intents() > 0;
    hadNone = hadNone || db->intents() == 0;
  }
  CHECK(tookEffect);
  CHECK(hadNone);
}

TEST_CASE("a crash falls before and after the effect of a call", "[participants]") {
  unsigned held = 0;
  unsigned late = 0;
  unsigned lost = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Simulation world{{.seed = seed}};
    const ParticipantPtr db = world.participant("db");
    db->latency(1ms, 10ms);
    Outcome outcome;
    world.spawn(note(db->prepare(first()), outcome));
    world.runFor(5ms);
    world.crash();
    if (outcome.returned) continue;
    world.runFor(10ms);
    const bool inTime = db->intents() == 1;
    world.runFor(15s);
    held += inTime ? 1U : 0U;
    late += !inTime && db->intents() == 1 ? 1U : 0U;
    lost += db->intents() == 0 ? 1U : 0U;
  }
  CHECK(held > 20);
  CHECK(late > 5);
  CHECK(lost > 5);
}

TEST_CASE("a prepare that arrives after the crash and its abort is refused", "[participants]") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    INFO("seed " << seed);
    Simulation world{{.seed = seed}};
    const ParticipantPtr db = world.participant("db");
    Outcome outcome;
    world.spawn(note(db->prepare(first()), outcome));
    world.runFor(1ms);
    world.crash();
    CHECK_FALSE(outcomeOf(world, db->abort(TransactionRef(first()))).code);
    world.runFor(1min);
    CHECK(db->intents() == 0);
  }
}

TEST_CASE("what the simulated participant holds outlives the crash of its caller", "[participants]") {
  Simulation world{{.seed = 3}};
  const ParticipantPtr db = world.participant("db");
  CHECK_FALSE(outcomeOf(world, db->prepare(first())).code);
  world.crash();
  CHECK_FALSE(outcomeOf(world, db->commit(TransactionRef(first()))).code);
  world.crash();
  CHECK(db->committedVersion("a") == 1U);
}
