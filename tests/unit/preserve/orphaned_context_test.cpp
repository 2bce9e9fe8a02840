// Contexts that a participant has lost.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace orphaned_context_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextSnapshot;
using lukhas::OrphanedContext;
using lukhas::RecoveryReport;
using lukhas::test::both;
using lukhas::test::PreserverWorld;
using nlohmann::json;
using Task = asio::awaitable<void>;

Task preserveAll(AtomicContextPreserver& preserver, int count) {
  for (int i = 0; i < count; ++i) {
    const json data = i;
    const std::string context = "session:" + std::to_string(i);
    (void)co_await preserver.preserveContext(context, data, both);
  }
}

TEST_CASE("a context that a participant lost is found, told, and whole again when it is preserved anew",
          "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    co_await preserveAll(preserver, 3);
    RecoveryReport report = co_await preserver.recover();
    CHECK(report.compared == 3);
    CHECK(report.orphaned == 0);

    world.world.participant("files")->lose("session:1");
    report = co_await preserver.recover();
    CHECK(report.orphaned == 1);
    const std::vector<OrphanedContext> orphans = preserver.listOrphans();
    REQUIRE(orphans.size() == 1);
    CHECK(orphans[0].contextId == "session:1");
    CHECK(orphans[0].version == 1);
    CHECK(orphans[0].missing == std::vector<std::string>{"files"});
    CHECK(preserver.getMetrics().orphanedContexts == 1);
    CHECK_FALSE(preserver.healthCheck().healthy);
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("session:1");
    CHECK(restored->data == 1);  // from the other one

    const json anew = "anew";
    (void)co_await preserver.preserveContext("session:1", anew, both);
    CHECK(preserver.listOrphans().empty());
    report = co_await preserver.recover();
    CHECK(report.orphaned == 0);
    CHECK(preserver.healthCheck().healthy);
  });
}

TEST_CASE("orphans are found without being asked for, some contexts at a time", "[preserve]") {
  PreserverWorld world({.recoveryInterval = 10s, .comparedContexts = 2});
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    co_await preserveAll(preserver, 6);
    world.world.participant("db")->lose("session:5");
    CHECK(preserver.getMetrics().orphanedContexts == 0);
    co_await world.world.environment().sleepFor(35s);
    CHECK(preserver.getMetrics().orphanedContexts == 1);
  });
}

TEST_CASE("a copy that came back after a forget is an orphan", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    co_await preserveAll(preserver, 1);
    world.world.participant("db")->lose("session:0");
    const bool forgotten = co_await preserver.forget("session:0");
    CHECK(forgotten);
    const RecoveryReport report = co_await preserver.recover();
    CHECK(report.orphaned == 0);
  });
}

TEST_CASE("what is under way, and a participant that does not answer, make no orphans", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    co_await preserveAll(preserver, 2);
    world.world.participant("db")->goDown(20s);
    RecoveryReport report = co_await preserver.recover();
    CHECK(report.compared == 0);
    CHECK(preserver.getMetrics().orphanedContexts == 0);
    co_await world.world.environment().sleepFor(21s);

    world.world.participant("files")->goDownDuringCommit(15s);
    co_await preserveAll(preserver, 1);
    report = co_await preserver.recover();
    CHECK(report.orphaned == 0);
    CHECK(preserver.listOrphans().empty());
    CHECK(preserver.getMetrics().orphanedContexts == 1);  // half applied, for now
  });
}

}  // namespace orphaned_context_test
