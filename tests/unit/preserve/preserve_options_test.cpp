#include "lukhas/preserve/preserve_options.hpp"

#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace preserve_options_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextSnapshot;
using lukhas::Error;
using lukhas::PreserveErrc;
using lukhas::PreserveOptions;
using lukhas::PreserveUntil;
using lukhas::test::both;
using lukhas::test::failing;
using lukhas::test::failureOf;
using lukhas::test::PreserverWorld;
using nlohmann::json;
using Task = asio::awaitable<void>;

static_assert(std::is_trivially_copyable_v<PreserveOptions>);  // safe as a temporary with g++ 12

TEST_CASE("the expected version lets exactly one of two writers through", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> Task {
    const json first = 1;
    const json second = 2;
    ContextSnapshot snapshot =
        co_await preserver.preserveContext("session", first, both, {.expectedVersion = 0});
    CHECK(snapshot.version == 1);
    snapshot = co_await preserver.preserveContext("session", second, both, {.expectedVersion = 1});
    CHECK(snapshot.version == 2);
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.preserveContext("session", first, both, {.expectedVersion = 1}));
    CHECK(failure.code() == PreserveErrc::version_conflict);
    CHECK(failure.details()["expectedVersion"] == 1);
    CHECK(failure.details()["version"] == 2);
    CHECK(failure.what() ==
          std::string("context \"session\": version 1 was expected, and there is version 2"));
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("session");
    CHECK(restored->data == second);
  });
  CHECK(world.preserver->getMetrics().rolledBack == 1);
  CHECK(world.world.participant("db")->committedVersion("session") == 2U);
  CHECK(world.preserver->listInDoubt().empty());
}

TEST_CASE("a conflict is found before any participant is asked to prepare", "[preserve]") {
  PreserverWorld world;
  const Error failure = failureOf(world, [](AtomicContextPreserver& preserver) {
    return preserver.preserveContext("session", json(1), both, {.expectedVersion = 7});
  });
  CHECK(failure.code() == PreserveErrc::version_conflict);
  CHECK(failure.what() ==
        std::string("context \"session\": version 7 was expected, and there is no such context"));
  CHECK_FALSE(world.world.participant("db")->committedVersion("session"));
}

TEST_CASE("a forgotten context does not exist for who expects a version", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    (void)co_await preserver.preserveContext("session", data, both);
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.forget("session", {.expectedVersion = 2}));
    CHECK(failure.code() == PreserveErrc::version_conflict);
    const bool forgotten = co_await preserver.forget("session", {.expectedVersion = 1});
    CHECK(forgotten);
    co_await failing(failure, preserver.preserveContext("session", data, both, {.expectedVersion = 1}));
    CHECK(failure.details()["version"] == 0);
    const ContextSnapshot snapshot =
        co_await preserver.preserveContext("session", data, both, {.expectedVersion = 0});
    CHECK(snapshot.version == 1);
  });
}

TEST_CASE("a version that is decided and not applied yet is the present one", "[preserve]") {
  PreserverWorld world({.historyEntries = 0});
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    (void)co_await preserver.preserveContext("session", data, both);
    for (const char* name : {"db", "files"}) world.world.participant(name)->goDownDuringCommit(20s);
    const lukhas::Duration begun = world.world.elapsed();
    ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    CHECK(snapshot.pending.size() == 2);
    co_await world.world.environment().sleepFor(begun + 20s + 50ms - world.world.elapsed());
    CHECK(preserver.listInDoubt().size() == 1);
    snapshot = co_await preserver.preserveContext("session", data, both, {.expectedVersion = 2});
    CHECK(snapshot.version == 3);
  });
}

TEST_CASE("a call that waits for the decision alone returns before it is applied", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    const ContextSnapshot snapshot =
        co_await preserver.preserveContext("session", data, both, {.until = PreserveUntil::decided});
    CHECK(snapshot.version == 1);
    CHECK(snapshot.pending == std::vector<std::string>{"db", "files"});
    CHECK_FALSE(world.world.participant("db")->committedVersion("session"));
    // The next one of the context waits until it is applied, and a read sees the decision at once.
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("session");
    CHECK(restored->version == 1);
    const ContextSnapshot next = co_await preserver.preserveContext("session", data, both);
    CHECK(next.version == 2);
    CHECK(next.pending.empty());
  });
  CHECK(world.preserver->listInDoubt().empty());
  CHECK(world.preserver->getMetrics().successfulCommits == 2);
}

TEST_CASE("stop waits until what was decided has been told", "[preserve]") {
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> Task {
    const json data = 1;
    (void)co_await preserver.preserveContext("session", data, both, {.until = PreserveUntil::decided});
    co_await preserver.stop();
  });
  CHECK(world.world.participant("db")->committedVersion("session") == 1U);
  CHECK(world.world.participant("files")->committedVersion("session") == 1U);
}

}  // namespace preserve_options_test
