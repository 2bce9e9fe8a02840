#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace preserve_many_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextChange;
using lukhas::ContextSnapshot;
using lukhas::Errc;
using lukhas::Error;
using lukhas::NameList;
using lukhas::PreserveErrc;
using lukhas::PreserveUntil;
using lukhas::test::both;
using lukhas::test::failing;
using lukhas::test::failureOf;
using lukhas::test::PreserverWorld;
using nlohmann::json;
using Task = asio::awaitable<void>;

std::vector<ContextChange> changes(const NameList& contexts, const json& data) {
  std::vector<ContextChange> all;
  for (const std::string& context : contexts) all.emplace_back(context, data, both);
  return all;
}

TEST_CASE("several contexts are preserved by one decision", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> Task {
    const json first = 1;
    (void)co_await preserver.preserveContext("b", first, both);
    std::vector<ContextChange> wanted;
    wanted.emplace_back("a", json{{"turn", 1}}, both, 0);
    wanted.emplace_back("b", json{{"turn", 2}}, NameList("db"), 1);
    const std::vector<ContextSnapshot> snapshots = co_await preserver.preserveMany(wanted);
    REQUIRE(snapshots.size() == 2);
    CHECK(snapshots[0].contextId == "a");
    CHECK(snapshots[0].version == 1);
    CHECK(snapshots[1].version == 2);
    CHECK(snapshots[1].participants == std::vector<std::string>{"db"});
    CHECK(snapshots[1].data == json{{"turn", 2}});
    CHECK(snapshots[1].pending.empty());

    const std::vector<lukhas::HistoryEntry> ofA = preserver.history("a");
    const std::vector<lukhas::HistoryEntry> ofB = preserver.history("b");
    REQUIRE(ofA.size() == 1);
    REQUIRE(ofB.size() == 2);
    CHECK(ofA[0].decisionId == snapshots[0].transactionId);
    CHECK(ofB[1].decisionId == ofA[0].decisionId);
    CHECK(ofB[0].decisionId == ofB[0].transactionId);
  });
  CHECK(world.world.participant("db")->committed("b") == json{{"turn", 2}});
  CHECK(world.world.participant("files")->committed("b") == json(1));
  CHECK(world.world.participant("files")->committed("a") == json{{"turn", 1}});
  CHECK(world.preserver->getMetrics().successfulCommits == 3);
  CHECK(world.preserver->listInDoubt().empty());
}

TEST_CASE("one refusal refuses all contexts of a call", "[preserve]") {
  PreserverWorld world;
  Error failure(std::error_code{}, "");
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json before = "before";
    (void)co_await preserver.preserveContext("a", before, both);
    world.world.participant("files")->refuseNextPrepare();
    co_await failing(failure, preserver.preserveMany(changes(NameList("a", "b", "c"), "after")));
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("a");
    CHECK(restored->data == before);
    const std::optional<ContextSnapshot> none = co_await preserver.restoreContext("b");
    CHECK_FALSE(none);
  });
  CHECK(failure.code() == PreserveErrc::aborted);
  CHECK(failure.details()["participant"] == "files");
  for (const char* name : {"db", "files"}) CHECK(world.world.participant(name)->intents() == 0);
  CHECK(world.preserver->getMetrics().rolledBack == 3);
}

TEST_CASE("a version conflict of one context is named and refuses all", "[preserve]") {
  PreserverWorld world;
  Error failure(std::error_code{}, "");
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    std::vector<ContextChange> wanted = changes(NameList("a"), 1);
    wanted.emplace_back("b", json(1), both, 7);
    co_await failing(failure, preserver.preserveMany(wanted));
  });
  CHECK(failure.code() == PreserveErrc::version_conflict);
  CHECK(failure.details()["contextId"] == "b");
  CHECK(failure.details()["expectedVersion"] == 7);
  CHECK_FALSE(world.world.participant("db")->committedVersion("a"));
}

TEST_CASE("calls that name the same contexts in other orders do not wait for each other in a circle",
          "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const lukhas::Environment environment = world.world.environment();
    lukhas::ChildTask<std::vector<ContextSnapshot>> first(
        environment, preserver.preserveMany(changes(NameList("a", "b"), 1)));
    lukhas::ChildTask<std::vector<ContextSnapshot>> second(
        environment, preserver.preserveMany(changes(NameList("b", "a"), 2)));
    const std::vector<ContextSnapshot> one = co_await first.join();
    const std::vector<ContextSnapshot> two = co_await second.join();
    CHECK(one[0].version + two[1].version == 3);
    CHECK(one[0].version == one[1].version);
    CHECK(two[0].version == two[1].version);
  });
}

TEST_CASE("what preserveMany cannot do is refused before anybody is asked", "[preserve]") {
  PreserverWorld world({.maxContextBytes = 100, .maxConcurrent = 3, .maxQueuedBytes = 150});
  const auto failureFor = [&](std::vector<ContextChange> wanted) {
    return failureOf(world,
                     [wanted](AtomicContextPreserver& preserver) { return preserver.preserveMany(wanted); });
  };
  Error failure = failureFor(changes(NameList("a", "b", "a"), 1));
  CHECK(failure.code() == Errc::invalid_argument);
  CHECK(failure.details()["contextId"] == "a");
  PreserverWorld small({.maxConcurrent = 3});
  failure = failureOf(small, [](AtomicContextPreserver& preserver) {
    return preserver.preserveMany(changes(NameList("a", "b", "c", "d"), 1));
  });
  CHECK(failure.code() == Errc::invalid_argument);
  CHECK(failure.what() == std::string("preserveMany: 4 contexts; allowed is up to 3"));
  PreserverWorld narrow({.maxContextBytes = 100, .maxQueuedBytes = 150});
  failure = failureOf(narrow, [](AtomicContextPreserver& preserver) {
    return preserver.preserveMany(changes(NameList("a", "b"), std::string(90, 'x')));
  });
  CHECK(failure.code() == PreserveErrc::context_too_large);
  CHECK(narrow.preserver->getMetrics().totalTransactions == 0);
}

TEST_CASE("no changes are no transaction", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> Task {
    const std::vector<ContextSnapshot> none = co_await preserver.preserveMany({});
    CHECK(none.empty());
  });
  CHECK(world.preserver->getMetrics().totalTransactions == 0);
}

TEST_CASE("preserveMany may return at the decision, and all places are kept until it is applied",
          "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> Task {
    const std::vector<ContextSnapshot> snapshots =
        co_await preserver.preserveMany(changes(NameList("a", "b"), 1), PreserveUntil::decided);
    CHECK(snapshots[1].pending == std::vector<std::string>{"db", "files"});
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("b");
    CHECK(restored->version == 1);
    const json data = 2;
    const ContextSnapshot next = co_await preserver.preserveContext("b", data, both);
    CHECK(next.version == 2);
  });
  CHECK(world.preserver->listInDoubt().empty());
}

}  // namespace preserve_many_test
