// Participants and logs that fail in ways of their own.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/hanging_disk.hpp"
#include "support/preserver_world.hpp"

namespace preserver_faults_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextSnapshot;
using lukhas::Error;
using lukhas::PreserveErrc;
using lukhas::TransactionRef;
using lukhas::test::both;
using lukhas::test::failing;
using lukhas::test::HangingDisk;
using lukhas::test::PreserverWorld;
using nlohmann::json;

// Passes everything on; what it is told to throw, it throws before there is anything to wait for.
class BluntParticipant final : public lukhas::Participant {
 public:
  explicit BluntParticipant(std::shared_ptr<lukhas::Participant> inner) : inner_(std::move(inner)) {}

  int commitsThatThrow = 0;
  int abortsThatThrow = 0;
  int readsThatThrow = 0;
  int listsThatThrow = 0;

  const std::string& name() const noexcept override { return inner_->name(); }
  asio::awaitable<void> open(lukhas::Environment environment) override { return inner_->open(environment); }
  asio::awaitable<void> prepare(lukhas::StoredContext context) override {
    return inner_->prepare(std::move(context));
  }
  asio::awaitable<void> commit(TransactionRef transaction) override {
    throwOneOf(commitsThatThrow);
    return inner_->commit(std::move(transaction));
  }
  asio::awaitable<void> abort(TransactionRef transaction) override {
    throwOneOf(abortsThatThrow);
    return inner_->abort(std::move(transaction));
  }
  asio::awaitable<std::vector<lukhas::StoredContext>> inDoubt() override {
    throwOneOf(listsThatThrow);
    return inner_->inDoubt();
  }
  asio::awaitable<lukhas::ContextCopies> read(std::string contextId) override {
    throwOneOf(readsThatThrow);
    return inner_->read(std::move(contextId));
  }
  asio::awaitable<void> close() override { return inner_->close(); }

 private:
  static void throwOneOf(int& left) {
    if (left <= 0) return;
    --left;
    throw 42;  // NOLINT: not even an exception of the standard's
  }
  std::shared_ptr<lukhas::Participant> inner_;
};

// A preserver whose second participant is blunt, and whose disk can hang.
struct FaultyWorld {
  explicit FaultyWorld(lukhas::AtomicContextPreserverOptions options = {}) {
    disk = std::make_shared<HangingDisk>(world.disk(), world.environment());
    files = std::make_shared<BluntParticipant>(world.participant("files"));
    options.journalDirectory = "journal";
    options.disk = disk;
    preserver = std::make_unique<AtomicContextPreserver>(world.environment(), options);
    run([this](AtomicContextPreserver& made) -> asio::awaitable<void> {
      const std::shared_ptr<lukhas::Participant> db = world.participant("db");
      co_await made.addParticipant(db);
      co_await made.addParticipant(files);
      co_await made.start();
    });
  }
  void run(lukhas::test::PreserverTask task) {
    auto kept = std::make_shared<lukhas::test::PreserverTask>(std::move(task));  // as long as its coroutine
    world.spawn([](AtomicContextPreserver& running,
                   std::shared_ptr<lukhas::test::PreserverTask> body) -> asio::awaitable<void> {
      co_await (*body)(running);
    }(*preserver, kept));
    world.runFor(1min);
  }

  lukhas::Simulation world;
  std::shared_ptr<HangingDisk> disk;
  std::shared_ptr<BluntParticipant> files;
  std::unique_ptr<AtomicContextPreserver> preserver;
};

}  // namespace preserver_faults_test

TEST_CASE("a commit whose answer was lost counts as done once the context has moved on", "[preserve]") {
  using namespace preserver_faults_test;
  lukhas::AtomicContextPreserverOptions options;
  options.commitAttempts = 1;
  FaultyWorld world(options);
  bool forgotten = false;
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    lukhas::Subscription losing = preserver.onPrepared.connect(
        [&](const lukhas::TransactionPrepared&) { world.world.participant("db")->loseNextAnswer(); });
    lukhas::Subscription again = preserver.onInDoubt.connect(
        [&](const lukhas::InDoubtTransaction&) { world.world.participant("db")->loseNextAnswer(); });
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    losing.disconnect();
    again.disconnect();
    CHECK(snapshot.pending == std::vector<std::string>{"db"});
    forgotten = co_await preserver.forget("session");
  });
  CHECK(forgotten);
  world.world.runFor(1h);
  CHECK(world.preserver->listInDoubt().empty());
  CHECK(world.preserver->healthCheck().healthy);
}

TEST_CASE("a participant that throws before it awaits is told again like any other", "[preserve]") {
  using namespace preserver_faults_test;
  FaultyWorld world;
  world.files->commitsThatThrow = 8;
  world.files->listsThatThrow = 3;
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, both);
    CHECK(snapshot.pending == std::vector<std::string>{"files"});
    world.files->readsThatThrow = 1;
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.restoreContext("session"));
    CHECK(failure.code() == PreserveErrc::participant_unavailable);
  });
  world.world.runFor(10min);
  CHECK(world.world.participant("files")->committedVersion("session") == 1U);
  CHECK(world.preserver->listInDoubt().empty());
}

TEST_CASE("forgetting a context that never was committed says that there was none", "[preserve]") {
  using namespace preserver_faults_test;
  FaultyWorld world;
  world.world.participant("db")->latency(20ms, 20ms);
  world.world.participant("db")->refuseNextPrepare();
  world.files->abortsThatThrow = 1;  // so that its intent is left
  bool forgot = true;
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    Error failure(std::error_code{}, "");
    co_await failing(failure, preserver.preserveContext("session", data, both));
    CHECK(failure.code() == PreserveErrc::aborted);
    CHECK(world.world.participant("files")->intents() == 1);
    forgot = co_await preserver.forget("session");
  });
  CHECK_FALSE(forgot);
  CHECK(world.world.participant("files")->intents() == 0);
}

TEST_CASE("a context of which somebody unregistered has a copy is not half forgotten", "[preserve]") {
  using namespace preserver_faults_test;
  PreserverWorld world;
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    (void)co_await preserver.preserveContext("session", data, both);
    co_await preserver.stop();
  });
  AtomicContextPreserver alone(world.world.environment(), world.options);
  Error failure(std::error_code{}, "");
  world.world.spawn([](AtomicContextPreserver& preserver, std::shared_ptr<lukhas::Participant> db,
                       Error& failed) -> asio::awaitable<void> {
    co_await preserver.addParticipant(db);
    co_await preserver.start();
    co_await failing(failed, preserver.forget("session"));
  }(alone, world.world.participant("db"), failure));
  world.world.runFor(1min);
  CHECK(failure.code() == PreserveErrc::aborted);
  CHECK(failure.details().at("participant") == "files");
  CHECK(world.world.participant("db")->committedVersion("session") == 1U);
}

TEST_CASE("a log that hangs ends the call and is finished when it goes on", "[preserve]") {
  using namespace preserver_faults_test;
  FaultyWorld world;
  Error failure(std::error_code{}, "");
  lukhas::Duration took{};
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    world.disk->hang(true);
    const lukhas::TimePoint begun = world.world.environment().now();
    co_await failing(failure, preserver.preserveContext("session", data, both));
    took = world.world.environment().now() - begun;
  });
  CHECK(failure.code() == PreserveErrc::outcome_unknown);
  CHECK(took < 11s);
  CHECK(world.preserver->healthCheck().toJson().dump().find("log_stalled") != std::string::npos);
  world.world.runFor(5min);  // recovery must not touch what the log may still take
  CHECK(world.world.participant("db")->intents() == 1);
  CHECK(world.world.participant("files")->intents() == 1);

  world.disk->hang(false);
  world.world.runFor(1min);
  CHECK(world.world.participant("db")->committedVersion("session") == 1U);
  CHECK(world.world.participant("files")->committedVersion("session") == 1U);
  CHECK(world.preserver->listInDoubt().empty());
  CHECK(world.preserver->healthCheck().healthy);
}

TEST_CASE("stop ends although the log hangs", "[preserve]") {
  using namespace preserver_faults_test;
  FaultyWorld world;
  Error failure(std::error_code{}, "");
  Error stopping(std::error_code{}, "");
  world.run([&](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    const json data = 1;
    world.disk->hang(true);
    co_await failing(failure, preserver.preserveContext("session", data, both));
    co_await failing(stopping, preserver.stop());
  });
  world.world.runFor(10min);
  CHECK(failure.code() == PreserveErrc::outcome_unknown);
  CHECK(stopping.code() == lukhas::Errc::deadline_exceeded);
  world.disk->hang(false);  // what waits in it holds itself
  world.world.run();
}
