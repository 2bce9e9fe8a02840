// Taking over what a coordinator left whose log is lost.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace adopt_coordinator_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::AtomicContextPreserverOptions;
using lukhas::ContextSnapshot;
using lukhas::Errc;
using lukhas::Error;
using lukhas::InDoubtTransaction;
using lukhas::RecoveryReport;
using lukhas::test::both;
using lukhas::test::failing;
using lukhas::test::failureOf;
using lukhas::test::PreserverWorld;
using nlohmann::json;
using Task = asio::awaitable<void>;

// A coordinator with a log of its own begins `task`, and is gone for good after that time.
void runLostCoordinator(PreserverWorld& world, lukhas::Duration time, lukhas::test::PreserverTask task) {
  AtomicContextPreserverOptions options = world.options;
  options.journalDirectory = "lost";
  {
    AtomicContextPreserver lost(world.world.environment(), options);
    world.world.spawn(PreserverWorld::started(world.world, lost, std::move(task)));
    world.world.runFor(time);
    world.world.crash();
  }
  world.preserver = std::make_unique<AtomicContextPreserver>(world.world.environment(), world.options);
}

Task preserve(AtomicContextPreserver& preserver, json data) {
  (void)co_await preserver.preserveContext("session", std::move(data), both);
}

std::string coordinatorOf(const std::vector<InDoubtTransaction>& list) {
  REQUIRE_FALSE(list.empty());
  CHECK(list[0].reason == InDoubtTransaction::Reason::foreign);
  return list[0].coordinator;
}

// Both have prepared, and the decision, if there is one, has reached nobody.
void leavePrepared(PreserverWorld& world) {
  runLostCoordinator(world, 50ms, [&](AtomicContextPreserver& lost) {
    for (const char* name : {"db", "files"}) world.world.participant(name)->goDownDuringCommit(1ms);
    return preserve(lost, "lost");
  });
}

TEST_CASE("what nobody has applied is aborted when its coordinator is adopted", "[preserve]") {
  PreserverWorld world;
  runLostCoordinator(world, 1min, [&](AtomicContextPreserver& lost) -> Task {
    co_await preserve(lost, "first");
    for (const char* name : {"db", "files"}) world.world.participant(name)->goDownDuringCommit(10min);
    co_await preserve(lost, "second");
  });
  world.world.runFor(10min);
  REQUIRE(world.world.participant("db")->intents() == 1);
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    (void)co_await preserver.recover();
    const std::string lost = coordinatorOf(preserver.listInDoubt());
    CHECK(world.world.participant("db")->intents() == 1);  // nobody touches what is not its own
    const RecoveryReport report = co_await preserver.adopt(lost);
    CHECK(report.aborted == 2);
    CHECK(report.committed == 0);
    CHECK(preserver.listInDoubt().empty());
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("session");
    CHECK(restored->data == "first");
    const json next = "next";
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", next, both);
    CHECK(snapshot.version == 2);
  });
}

TEST_CASE("what a participant has applied is committed everywhere when its coordinator is adopted",
          "[preserve]") {
  PreserverWorld world;
  runLostCoordinator(world, 1min, [&](AtomicContextPreserver& lost) {
    world.world.participant("files")->goDownDuringCommit(10min);
    return preserve(lost, "decided");
  });
  world.world.runFor(10min);
  REQUIRE(world.world.participant("files")->intents() == 1);
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    (void)co_await preserver.recover();
    const std::string lost = coordinatorOf(preserver.listInDoubt());
    const RecoveryReport report = co_await preserver.adopt(lost);
    CHECK(report.committed == 1);
    CHECK(report.aborted == 0);
  });
  CHECK(world.world.participant("files")->committed("session") == json("decided"));
}

TEST_CASE("a forget that a participant has applied is committed everywhere", "[preserve]") {
  PreserverWorld world;
  runLostCoordinator(world, 1min, [&](AtomicContextPreserver& lost) -> Task {
    co_await preserve(lost, "there");
    world.world.participant("files")->goDownDuringCommit(10min);
    (void)co_await lost.forget("session");
  });
  world.world.runFor(10min);
  REQUIRE_FALSE(world.world.participant("db")->committedVersion("session"));
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    (void)co_await preserver.recover();
    const std::string lost = coordinatorOf(preserver.listInDoubt());
    const RecoveryReport report = co_await preserver.adopt(lost);
    CHECK(report.committed == 1);
  });
  CHECK_FALSE(world.world.participant("files")->committedVersion("session"));
}

TEST_CASE("an adoption waits for a participant that cannot be asked, also in later lives", "[preserve]") {
  PreserverWorld world;
  runLostCoordinator(world, 1min, [&](AtomicContextPreserver& lost) {
    for (const char* name : {"db", "files"}) world.world.participant(name)->goDownDuringCommit(10min);
    return preserve(lost, "lost");
  });
  world.world.runFor(10min);
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    (void)co_await preserver.recover();
    const std::string lost = coordinatorOf(preserver.listInDoubt());
    world.world.participant("files")->goDown(5min);
    const RecoveryReport report = co_await preserver.adopt(lost);
    CHECK(report.aborted == 0);
    CHECK(preserver.listInDoubt().at(0).reason == InDoubtTransaction::Reason::undecided);
  });
  CHECK(world.world.participant("db")->intents() == 1);
  world.world.crash();
  world.world.runFor(5min);
  world.preserver = std::make_unique<AtomicContextPreserver>(world.world.environment(), world.options);
  world.run({});
  for (const char* name : {"db", "files"}) CHECK(world.world.participant(name)->intents() == 0);
  CHECK(world.preserver->listInDoubt().empty());
}

TEST_CASE("an adopted coordinator's intent is no obstacle to a new transaction", "[preserve]") {
  PreserverWorld world;
  leavePrepared(world);
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    (void)co_await preserver.recover();
    const std::vector<InDoubtTransaction> left = preserver.listInDoubt();
    if (left.empty()) co_return;  // it got further, or not so far
    (void)co_await preserver.adopt(left[0].coordinator);
    const json next = "next";
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", next, both);
    CHECK(snapshot.pending.empty());
  });
  CHECK(world.preserver->listInDoubt().empty());
}

TEST_CASE("a coordinator that is none, or is this one itself, is not adopted", "[preserve]") {
  PreserverWorld world;
  Error failure = failureOf(world, [](AtomicContextPreserver& preserver) { return preserver.adopt("a b"); });
  CHECK(failure.code() == Errc::invalid_argument);
  CHECK(failure.details()["value"] == "a b");
  PreserverWorld other;
  other.run([](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    const std::optional<lukhas::TransactionId> id = lukhas::TransactionId::parse(snapshot.transactionId);
    Error refusal(std::error_code{}, "");
    co_await failing(refusal, preserver.adopt(id->coordinator));
    CHECK(refusal.code() == Errc::invalid_argument);
  });
}

}  // namespace adopt_coordinator_test
