#include "lukhas/preserve/atomic_context_preserver.hpp"

#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/preserver_world.hpp"

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

TEST_CASE("versions count from one and history remembers each decision", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    for (std::uint64_t turn = 1; turn <= 3; ++turn) {
      const json data{{"turn", turn}};
      const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
      CHECK(snapshot.version == turn);
      CHECK(snapshot.data == data);
      CHECK(snapshot.pending.empty());
    }
    const std::vector<lukhas::HistoryEntry> history = preserver.history("session");
    CHECK(history.size() == 3);
    CHECK(history.at(2).version == 3);
    CHECK(preserver.history("nobody").empty());
  });
  CHECK(world.preserver->getMetrics().successfulCommits == 3);
  CHECK(world.world.participant("db")->committedVersion("session") == 3U);
}

TEST_CASE("a context that was never preserved restores as nothing", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("nobody");
    CHECK_FALSE(restored.has_value());
    const bool forgotten = co_await preserver.forget("nobody");
    CHECK_FALSE(forgotten);
  });
}

TEST_CASE("what was forgotten is nowhere and a new context begins at version one", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data{{"secret", 1}};
    ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    const bool forgotten = co_await preserver.forget("session");
    CHECK(forgotten);
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("session");
    CHECK_FALSE(restored.has_value());
    snapshot = co_await preserver.preserveContext("session", data, both);
    CHECK(snapshot.version == 1);
  });
}

TEST_CASE("participants that are named twice count once", "[preserve]") {
  PreserverWorld world;
  world.run([](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    const NameList names("db", "files", "db");
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, names);
    CHECK(snapshot.participants == std::vector<std::string>{"db", "files"});
  });
}

TEST_CASE("an unknown participant is named together with those that are registered", "[preserve]") {
  PreserverWorld world;
  const Error error = failureOf(world, [](AtomicContextPreserver& preserver) {
    return preserver.preserveContext("session", json(1), NameList("db", "redis"));
  });
  CHECK(error.code() == PreserveErrc::unknown_participant);
  CHECK(error.details().at("participant") == "redis");
  CHECK(error.details().at("registered") == json::array({"db", "files"}));
  CHECK_FALSE(world.world.participant("db")->committed("session").has_value());
}

TEST_CASE("a transaction without participants is refused", "[preserve]") {
  PreserverWorld world;
  const Error error = failureOf(world, [](AtomicContextPreserver& preserver) {
    return preserver.preserveContext("session", json(1), NameList());
  });
  CHECK(error.code() == PreserveErrc::no_participants);
}

TEST_CASE("a context id has one to 256 bytes", "[preserve]") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{257}}) {
    PreserverWorld world;
    const Error error = failureOf(world, [size](AtomicContextPreserver& preserver) {
      return preserver.preserveContext(std::string(size, 'k'), json(1), both);
    });
    CHECK(error.code() == PreserveErrc::invalid_context_id);
    CHECK(error.details().at("size") == size);
    CHECK(error.details().at("maximum") == 256);
  }
  PreserverWorld world;
  const Error none = failureOf(world, [](AtomicContextPreserver& preserver) {
    return preserver.preserveContext(std::string(256, 'k'), json(1), both);
  });
  CHECK_FALSE(none.code());
}

TEST_CASE("a context over the size limit is refused before anybody is asked", "[preserve]") {
  lukhas::AtomicContextPreserverOptions options;
  options.maxContextBytes = 10;
  PreserverWorld world(options);
  const Error error = failureOf(world, [](AtomicContextPreserver& preserver) {
    return preserver.preserveContext("session", json(std::string(9, 'x')), both);
  });
  CHECK(error.code() == PreserveErrc::context_too_large);
  CHECK(error.details().at("size") == 11);
  CHECK(error.details().at("maximum") == 10);
  CHECK(world.preserver->getMetrics().totalTransactions == 0);
}

TEST_CASE("calls before the start and after the stop are refused", "[preserve]") {
  lukhas::Simulation world;
  AtomicContextPreserver preserver(world.environment(),
                                   {.journalDirectory = "journal", .disk = world.disk()});
  Error before(std::error_code{}, "");
  world.spawn(failing(before, preserver.restoreContext("session")));
  world.run();
  CHECK(before.code() == PreserveErrc::not_started);
  world.spawn(PreserverWorld::started(world, preserver, {}));
  world.runFor(1s);
  world.spawn(preserver.stop());
  world.run();  // comes to rest: nothing of the preserver is left
  Error after(std::error_code{}, "");
  world.spawn(failing(after, preserver.restoreContext("session")));
  world.run();
  CHECK(after.code() == PreserveErrc::not_started);
}

TEST_CASE("two participants of one name are refused", "[preserve]") {
  PreserverWorld world;
  const std::shared_ptr<lukhas::SimulatedParticipant> again = world.world.participant("db");
  const Error error =
      failureOf(world, [&](AtomicContextPreserver& preserver) { return preserver.addParticipant(again); });
  CHECK(error.code() == PreserveErrc::duplicate_participant);
  CHECK(error.details().at("participant") == "db");
}

TEST_CASE("one refusal aborts and names who refused", "[preserve]") {
  PreserverWorld world;
  std::vector<std::string> events;
  const lukhas::Subscription watching = world.preserver->onRollback.connect(
      [&](const lukhas::TransactionRolledBack& event) { events.push_back(event.contextId); });
  world.world.participant("files")->refuseNextPrepare();
  const Error error = failureOf(world, [](AtomicContextPreserver& preserver) {
    return preserver.preserveContext("session", json(1), both);
  });
  CHECK(error.code() == PreserveErrc::aborted);
  CHECK(error.details().at("participant") == "files");
  CHECK(events == std::vector<std::string>{"session"});
  CHECK(world.world.participant("db")->intents() == 0);
  CHECK(world.preserver->getMetrics().rolledBack == 1);
}

TEST_CASE("a participant that does not answer aborts within the time to prepare", "[preserve]") {
  PreserverWorld world;
  lukhas::Duration took{};
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    ContextSnapshot first = co_await preserver.preserveContext("session", data, both);
    world.world.participant("files")->goDown(30s);
    const lukhas::TimePoint begun = world.world.environment().now();
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.preserveContext("session", data, both));
    CHECK(failure.code() == PreserveErrc::aborted);
    took = world.world.environment().now() - begun;
  });
  CHECK(took <= 5s);
  CHECK(world.world.participant("db")->committedVersion("session") == 1U);
}

TEST_CASE("a participant that is down while the others commit is pending until it is back", "[preserve]") {
  PreserverWorld world;
  world.world.participant("files")->goDownDuringCommit(20s);
  bool pending = false;
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    pending = snapshot.pending == std::vector<std::string>{"files"};
    CHECK(preserver.listInDoubt().size() == 1);
    CHECK_FALSE(preserver.healthCheck().healthy);
    const std::optional<ContextSnapshot> restored = co_await preserver.restoreContext("session");
    CHECK(restored.has_value());
  });
  CHECK(pending);
  CHECK(world.world.participant("files")->committedVersion("session") == 1U);
  CHECK(world.preserver->listInDoubt().empty());
  CHECK(world.preserver->healthCheck().healthy);
}

TEST_CASE("transactions of one context run one after the other", "[preserve]") {
  PreserverWorld world;
  world.run({});
  for (int i = 0; i < 20; ++i) {
    world.world.spawn([](AtomicContextPreserver& preserver, int number) -> asio::awaitable<void> {
      const json data = number;
      const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
      CHECK(snapshot.pending.empty());
    }(*world.preserver, i));
  }
  world.world.runFor(1min);
  CHECK(world.preserver->getMetrics().successfulCommits == 20);
  CHECK(world.world.participant("files")->committedVersion("session") == 20U);
}

TEST_CASE("more transactions than may be under way are refused", "[preserve]") {
  lukhas::AtomicContextPreserverOptions options;
  options.maxConcurrent = 2;
  PreserverWorld world(options);
  world.run({});
  unsigned overloaded = 0;
  for (int i = 0; i < 3; ++i) {
    world.world.spawn([](AtomicContextPreserver& preserver, unsigned& count) -> asio::awaitable<void> {
      Error failure(std::error_code{}, "");
      co_await failing(failure, preserver.preserveContext("session", json(1), both));
      if (failure.code() == PreserveErrc::overloaded) ++count;
    }(*world.preserver, overloaded));
  }
  world.world.runFor(1min);
  CHECK(overloaded == 1);
}

TEST_CASE("destroying the preserver ends the calls that wait in it", "[preserve]") {
  PreserverWorld world;
  world.run({});
  world.world.participant("db")->stallNext();
  Error failure(std::error_code{}, "");
  world.world.spawn(failing(failure, world.preserver->preserveContext("session", json(1), both)));
  world.world.runFor(1s);
  world.preserver.reset();
  world.world.run();
  CHECK(failure.code() == PreserveErrc::aborted);
}

TEST_CASE("preserver options out of range are refused by name", "[preserve]") {
  lukhas::Simulation world;
  const auto refused = [&](auto change) {
    lukhas::AtomicContextPreserverOptions options;
    change(options);
    try {
      AtomicContextPreserver preserver(world.environment(), options);
    } catch (const Error& error) {
      CHECK(error.code() == lukhas::Errc::invalid_option);
      return error.details().at("option").get<std::string>();
    }
    return std::string("none");
  };
  using Options = lukhas::AtomicContextPreserverOptions;
  CHECK(refused([](Options& o) { o.journalDirectory = ""; }) == "journalDirectory");
  CHECK(refused([](Options& o) { o.nameSpace = "a:b"; }) == "nameSpace");
  CHECK(refused([](Options& o) { o.prepareTimeout = 0s; }) == "prepareTimeout");
  CHECK(refused([](Options& o) { o.commitTimeout = -1s; }) == "commitTimeout");
  CHECK(refused([](Options& o) { o.commitAttempts = 0; }) == "commitAttempts");
  CHECK(refused([](Options& o) { o.maxConcurrent = 0; }) == "maxConcurrent");
  CHECK(refused([](Options&) {}) == "none");
}

TEST_CASE("a journal directory that cannot be made is a clear error and start may be tried again",
          "[preserve]") {
  lukhas::Simulation world;
  world.disk()->failNext(lukhas::DiskOperation::create_directories, lukhas::JournalErrc::not_writable);
  AtomicContextPreserver preserver(world.environment(),
                                   {.journalDirectory = "journal", .disk = world.disk()});
  Error failure(std::error_code{}, "");
  world.spawn(failing(failure, preserver.start()));
  world.run();
  CHECK(failure.code() == lukhas::JournalErrc::not_writable);
  CHECK(failure.details().contains("path"));
  world.spawn(preserver.start());
  world.runFor(1s);
  world.spawn(preserver.stop());
  world.run();
}
