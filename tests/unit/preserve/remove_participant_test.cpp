#include <memory>
#include <string>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace remove_participant_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextSnapshot;
using lukhas::Error;
using lukhas::NameList;
using lukhas::PreserveErrc;
using lukhas::test::both;
using lukhas::test::failing;
using lukhas::test::failureOf;
using lukhas::test::PreserverWorld;
using nlohmann::json;
using Task = asio::awaitable<void>;

TEST_CASE("a participant that was removed is unknown and may come back", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    (void)co_await preserver.preserveContext("session", data, both);
    co_await preserver.removeParticipant("files");
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.preserveContext("session", data, both));
    CHECK(failure.code() == PreserveErrc::unknown_participant);
    const NameList db("db");
    ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, db);
    CHECK(snapshot.version == 2);
    co_await failing(failure, preserver.removeParticipant("files"));
    CHECK(failure.code() == PreserveErrc::unknown_participant);

    const std::shared_ptr<lukhas::SimulatedParticipant> files = world.world.participant("files");
    co_await preserver.addParticipant(files);
    snapshot = co_await preserver.preserveContext("session", data, both);
    CHECK(snapshot.version == 3);
    CHECK(snapshot.pending.empty());
  });
  CHECK(world.world.participant("files")->committedVersion("session") == 3U);
}

TEST_CASE("a participant that has not applied what was decided is not removed", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    world.world.participant("files")->goDownDuringCommit(20s);
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    CHECK(snapshot.pending == std::vector<std::string>{"files"});
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.removeParticipant("files"));
    CHECK(failure.code() == PreserveErrc::participant_in_use);
    CHECK(failure.details()["transactionId"] == snapshot.transactionId);
    // It is as it was: the background work goes on, and ends it.
    co_await world.world.environment().sleepFor(30s);
    CHECK(preserver.listInDoubt().empty());
    co_await preserver.removeParticipant("files");
  });
  CHECK(world.world.participant("files")->committedVersion("session") == 1U);
}

TEST_CASE("a participant of a transaction that is under way is not removed", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    lukhas::ChildTask<ContextSnapshot> call(world.world.environment(),
                                            preserver.preserveContext("session", data, both));
    while (preserver.getMetrics().totalTransactions == 0) {
      co_await world.world.environment().sleepFor(0s);
    }
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.removeParticipant("files"));
    CHECK(failure.code() == PreserveErrc::participant_in_use);
    const ContextSnapshot snapshot = co_await call.join();
    CHECK(snapshot.pending.empty());
    lukhas::ChildTask<bool> forgetting(world.world.environment(), preserver.forget("session"));
    while (preserver.getMetrics().totalTransactions == 1) {
      co_await world.world.environment().sleepFor(0s);
    }
    co_await failing(failure, preserver.removeParticipant("db"));
    CHECK(failure.code() == PreserveErrc::participant_in_use);
    const bool forgotten = co_await forgetting.join();
    CHECK(forgotten);
  });
}

TEST_CASE("a participant that holds another coordinator's intent is not removed", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    lukhas::StoredContext foreign;
    foreign.transactionId = "other:00000000000000000000000000000000:1:1";
    foreign.contextId = "session";
    foreign.version = 1;
    foreign.participants = NameList("files");
    foreign.payload = "1";
    foreign.payloadHash = lukhas::hash64(lukhas::asBytes(foreign.payload));
    const std::shared_ptr<lukhas::SimulatedParticipant> files = world.world.participant("files");
    co_await files->prepare(foreign);
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.removeParticipant("files"));
    CHECK(failure.code() == PreserveErrc::participant_in_use);
    CHECK(failure.details()["transactionId"] == foreign.transactionId);
  });
}

TEST_CASE("a participant that does not answer is not removed", "[preserve]") {
  PreserverWorld world;
  const Error failure = failureOf(world, [&](AtomicContextPreserver& preserver) {
    world.world.participant("files")->goDown(30s);
    return preserver.removeParticipant("files");
  });
  CHECK(failure.code() == PreserveErrc::participant_unavailable);
}

TEST_CASE("a removal goes on when nobody waits for it any more", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const lukhas::Environment env = world.world.environment();
    const json data = 1;
    const std::shared_ptr<lukhas::SimulatedParticipant> files = world.world.participant("files");
    {
      lukhas::ChildTask<void> call(env, preserver.removeParticipant("files"));
      co_await env.sleepFor(0s);
      call.cancel();
    }
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.preserveContext("session", data, both));
    CHECK((failure.code() == PreserveErrc::participant_in_use ||
           failure.code() == PreserveErrc::unknown_participant));
    co_await env.sleepFor(30s);
    co_await failing(failure, preserver.removeParticipant("files"));
    CHECK(failure.code() == PreserveErrc::unknown_participant);
    co_await preserver.addParticipant(files);
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    CHECK(snapshot.pending.empty());
    co_await preserver.stop();
  });
}

TEST_CASE("a removal does not wait for the pause of the participant's background work", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    const std::shared_ptr<lukhas::SimulatedParticipant> files = world.world.participant("files");
    files->goDownDuringCommit(25s);
    (void)co_await preserver.preserveContext("session", data, both);
    co_await world.world.environment().sleepFor(26s - world.world.elapsed());
    // What is pending is settled by the next transaction, while the background work still waits.
    (void)co_await preserver.preserveContext("session", data, both);
    const lukhas::Duration before = world.world.elapsed();
    co_await preserver.removeParticipant("files");
    CHECK(world.world.elapsed() - before < 1s);
  });
}

TEST_CASE("the preserver stops in order after a participant was removed", "[preserve]") {
  PreserverWorld world;
  bool stopped = false;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    co_await preserver.removeParticipant("files");
    co_await preserver.stop();
    stopped = true;
  });
  CHECK(stopped);
}

}  // namespace remove_participant_test
