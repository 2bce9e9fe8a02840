#include "lukhas/participants/sqlite_participant.hpp"

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include <sys/resource.h>

#include <asio/io_context.hpp>
#include <sqlite3.h>

#include "support/conformance.hpp"
#include "support/participant_directory.hpp"

namespace sqlite_participant_test {

using namespace lukhas;
using namespace lukhas::test;

namespace {

using ParticipantPtr = std::shared_ptr<Participant>;

struct Outcome {
  std::error_code code;
  nlohmann::json details;
};

asio::awaitable<void> note(asio::awaitable<void> call, Outcome& outcome) {
  try {
    co_await std::move(call);
  } catch (const Error& error) {
    outcome = {error.code(), error.details()};
  }
}
Outcome outcomeOf(Simulation& world, asio::awaitable<void> call) {
  Outcome outcome;
  world.spawn(note(std::move(call), outcome));
  world.run();
  return outcome;
}

asio::awaitable<void> keep(ContextCopies& copies, asio::awaitable<ContextCopies> call) {
  copies = co_await std::move(call);
}

// Somebody else's connection to the same file.
class Other {
 public:
  explicit Other(const std::string& path) { REQUIRE(sqlite3_open(path.c_str(), &database_) == SQLITE_OK); }
  Other(const Other&) = delete;
  Other& operator=(const Other&) = delete;
  ~Other() { sqlite3_close(database_); }

  void run(const char* sql) { REQUIRE(sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK); }

 private:
  sqlite3* database_ = nullptr;
};

// No file of this process can grow beyond: what a full disk is like.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, signal_);
  }

 private:
  rlimit before_{};
  void (*signal_)(int);
};

StoredContext first() { return storedContext("a", 1, transactionIdOf(1)); }
StoredContext second() { return storedContext("a", 2, transactionIdOf(2)); }

asio::awaitable<void> storeTwoVersions(Environment environment, ParticipantPtr participant) {
  co_await participant->open(environment);
  co_await participant->prepare(first());
  co_await participant->commit(TransactionRef(first()));
  co_await participant->prepare(second());
}

}  // namespace

TEST_CASE("the SQLite participant keeps the contract on a real file", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  requireConformance(conformanceIn(world, [&directory](const std::string& storage) {
    return SqliteParticipant::open("sqlite", directory / ("not/there/" + storage + ".db"));
  }));
}

TEST_CASE("the SQLite participant keeps the contract on an io_context", "[participants]") {
  const ParticipantDirectory directory;
  requireConformance(testing::participantConformance([&directory](const std::string& storage) {
    return SqliteParticipant::open("sqlite", directory / (storage + ".db"));
  }));
}

TEST_CASE("a database that another process writes to for long is locked for open", "[participants]") {
  const ParticipantDirectory directory;
  const std::string path = directory / "contexts.db";
  for (const char* lock : {"BEGIN EXCLUSIVE", "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE"}) {
    std::optional<Other> other(path);
    other->run(lock);
    Simulation world{{.seed = 1}};
    const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", path);
    const Outcome refused = outcomeOf(world, sqlite->open(world.environment()));
    CHECK(refused.code == PreserveErrc::participant_locked);
    CHECK(refused.details.value("participant", "") == "sqlite");
    CHECK(refused.details.value("path", "") == path);
    other.reset();
    CHECK_FALSE(outcomeOf(world, sqlite->open(world.environment())).code);
  }
}

TEST_CASE("a lock that another process takes later is an outage that passes", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", directory / "contexts.db");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), sqlite)).code);
  Other other(directory / "contexts.db");
  other.run("BEGIN IMMEDIATE");
  const Outcome refused = outcomeOf(world, sqlite->commit(TransactionRef(second())));
  CHECK(refused.code == PreserveErrc::participant_unavailable);
  CHECK(refused.details.value("cause", "").find("locked") != std::string::npos);
  ContextCopies copies;
  CHECK_FALSE(outcomeOf(world, keep(copies, sqlite->read("a"))).code);
  expectSame("committed state", copies.committed, first());
  expectSame("intent", copies.intent, second());
  other.run("COMMIT");
  CHECK_FALSE(outcomeOf(world, sqlite->commit(TransactionRef(second()))).code);
}

TEST_CASE("two participants on one database see each other's intents", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr one = SqliteParticipant::open("one", directory / "contexts.db");
  const ParticipantPtr two = SqliteParticipant::open("two", directory / "contexts.db");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), one)).code);
  CHECK_FALSE(outcomeOf(world, two->open(world.environment())).code);
  const StoredContext rival = storedContext("a", 2, "space:another:1:1");
  CHECK(outcomeOf(world, two->prepare(rival)).code == PreserveErrc::conflict);
  CHECK_FALSE(outcomeOf(world, one->abort(TransactionRef(second()))).code);
  CHECK(outcomeOf(world, two->prepare(second())).code == PreserveErrc::refused);
  CHECK_FALSE(outcomeOf(world, two->prepare(rival)).code);
}

TEST_CASE("a database that cannot be durable is refused", "[participants]") {
  for (const char* path : {":memory:", ""}) {
    Simulation world{{.seed = 1}};
    const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", path);
    const Outcome refused = outcomeOf(world, sqlite->open(world.environment()));
    CHECK(refused.code == PreserveErrc::participant_unavailable);
    CHECK(refused.details.value("cause", "").find("journal_mode") != std::string::npos);
  }
}

TEST_CASE("a file that is no database is damage and a directory is unavailable", "[participants]") {
  const ParticipantDirectory directory;
  std::ofstream(directory / "contexts.db") << std::string(4096, 'x');
  std::filesystem::create_directory(directory / "directory.db");
  Simulation world{{.seed = 1}};
  const ParticipantPtr text = SqliteParticipant::open("text", directory / "contexts.db");
  CHECK(outcomeOf(world, text->open(world.environment())).code == PreserveErrc::corrupt_snapshot);
  const ParticipantPtr folder = SqliteParticipant::open("folder", directory / "directory.db");
  CHECK(outcomeOf(world, folder->open(world.environment())).code == PreserveErrc::participant_unavailable);
  const ParticipantPtr below = SqliteParticipant::open("below", directory / "contexts.db/contexts.db");
  CHECK(outcomeOf(world, below->open(world.environment())).code == PreserveErrc::participant_unavailable);
}

TEST_CASE("tables of a newer format are refused by their number", "[participants]") {
  const ParticipantDirectory directory;
  Other(directory / "contexts.db")
      .run("CREATE TABLE lukhas_format(version); INSERT INTO lukhas_format VALUES(9)");
  Simulation world{{.seed = 1}};
  const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", directory / "contexts.db");
  const Outcome refused = outcomeOf(world, sqlite->open(world.environment()));
  CHECK(refused.code == PreserveErrc::participant_unavailable);
  CHECK(refused.details.value("cause", "").find("format 9") != std::string::npos);
}

TEST_CASE("damaged facts of a row are an error and not an absence", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", directory / "contexts.db");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), sqlite)).code);
  Other(directory / "contexts.db").run("UPDATE lukhas_contexts SET facts=substr(facts, 2) WHERE state=1");
  ContextCopies copies;
  CHECK(outcomeOf(world, keep(copies, sqlite->read("a"))).code == PreserveErrc::corrupt_snapshot);
  CHECK_FALSE(outcomeOf(world, sqlite->abort(TransactionRef(second()))).code);
  const StoredContext third = storedContext("a", 3, transactionIdOf(3));
  CHECK(outcomeOf(world, sqlite->prepare(third)).code == PreserveErrc::corrupt_snapshot);
}

TEST_CASE("a damaged payload of a row is seen by its hash", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", directory / "contexts.db");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), sqlite)).code);
  Other(directory / "contexts.db").run("UPDATE lukhas_contexts SET payload=x'7b7d'");
  ContextCopies copies;
  CHECK_FALSE(outcomeOf(world, keep(copies, sqlite->read("a"))).code);
  REQUIRE(copies.committed);
  CHECK(copies.committed->version == 1);
  CHECK(copies.committed->payloadHash != hash64(asBytes(copies.committed->payload)));
}

TEST_CASE("a full database refuses a prepare and leaves nothing of it", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", directory / "contexts.db");
  CHECK_FALSE(outcomeOf(world, storeTwoVersions(world.environment(), sqlite)).code);
  StoredContext big = storedContext("b", 1, transactionIdOf(3));
  big.payload.assign(1U << 20U, 'x');
  std::optional<Outcome> refused;
  {
    const FileSizeLimit limit(600'000);
    refused = outcomeOf(world, sqlite->prepare(big));
    CHECK_FALSE(outcomeOf(world, sqlite->commit(TransactionRef(second()))).code);
  }
  CHECK(refused->code == PreserveErrc::participant_unavailable);
  ContextCopies copies;
  CHECK_FALSE(outcomeOf(world, keep(copies, sqlite->read("b"))).code);
  CHECK_FALSE(copies.intent);
  CHECK_FALSE(outcomeOf(world, sqlite->prepare(big)).code);
}

TEST_CASE("a SQLite participant that is not open is unavailable", "[participants]") {
  const ParticipantDirectory directory;
  Simulation world{{.seed = 1}};
  const ParticipantPtr sqlite = SqliteParticipant::open("sqlite", directory / "contexts.db");
  CHECK(outcomeOf(world, sqlite->prepare(first())).code == PreserveErrc::participant_unavailable);
  CHECK_FALSE(outcomeOf(world, sqlite->close()).code);
  CHECK_FALSE(outcomeOf(world, sqlite->open(world.environment())).code);
  CHECK_FALSE(outcomeOf(world, sqlite->close()).code);
  CHECK(outcomeOf(world, sqlite->prepare(first())).code == PreserveErrc::participant_unavailable);
}

TEST_CASE("destroying the participant and the io_context with calls under way is safe", "[participants]") {
  const ParticipantDirectory directory;
  Outcome opened;
  Outcome outcome;
  {
    asio::io_context io;
    std::shared_ptr<SqliteParticipant> sqlite = SqliteParticipant::open("sqlite", directory / "contexts.db");
    asio::co_spawn(io, note(sqlite->open(Environment{io.get_executor()}), opened), asio::detached);
    io.run();
    io.restart();
    for (std::uint64_t i = 0; i < 100; ++i)
      asio::co_spawn(io,
                     note(sqlite->prepare(storedContext(std::to_string(i), 1, transactionIdOf(i))), outcome),
                     asio::detached);
    for (int i = 0; i < 50; ++i) io.poll_one();
    sqlite.reset();
  }
  CHECK_FALSE(opened.code);
}

}  // namespace sqlite_participant_test
