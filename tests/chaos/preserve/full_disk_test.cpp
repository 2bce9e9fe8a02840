// Disks that fill up or become read-only under a preserver: a fault layer above the real disk, and a small
// file system of its own, where this user may mount one.
#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fmt/format.h>

#include "lukhas/journal/journal_scan.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/failing_disk.hpp"
#include "support/local_stores.hpp"
#include "support/participant_directory.hpp"

namespace full_disk_test {

using namespace lukhas;
using lukhas::test::ChildProcess;
using lukhas::test::FailingDisk;
using lukhas::test::LocalStores;
using nlohmann::json;

namespace {

constexpr int cannotMount = 77;
constexpr const char* fillsUp = "child: a small file system fills up";
constexpr const char* readOnly = "child: a file system is mounted read-only";

// What was acknowledged, by context.
using Kept = std::map<std::string, json>;

// Preserves contexts until the first error, or `limit` of them; gives the error.
asio::awaitable<std::optional<Error>> fill(LocalStores& stores, Kept& kept, int limit,
                                           std::size_t contextBytes = 6000) {
  for (int i = 0; i < limit; ++i) {
    const std::string context = fmt::format("context-{}", kept.size());
    const json data{{"number", kept.size()}, {"text", std::string(contextBytes, 'x')}};
    try {
      (void)co_await stores.preserver->preserveContext(context, data, LocalStores::names());
    } catch (const Error& error) {
      co_return error;
    }
    kept[context] = data;
  }
  co_return std::nullopt;
}

// Every context that was acknowledged is there, in both, and nothing else.
asio::awaitable<void> checkKept(LocalStores& stores, const Kept& kept) {
  for (int i = 0; i < 500 && !stores.preserver->listInDoubt().empty(); ++i) {
    co_await stores.environment().sleepFor(std::chrono::milliseconds(10));
  }
  CHECK(stores.preserver->listInDoubt().empty());
  CHECK(stores.stagedFiles() == 0);
  for (const auto& [context, data] : kept) {
    INFO(context);
    const std::optional<ContextSnapshot> found = co_await stores.preserver->restoreContext(context);
    REQUIRE(found);
    CHECK((found->data == data));
    const ContextCopies first = co_await stores.sqlite->read(context);
    const ContextCopies second = co_await stores.files->read(context);
    CHECK((first.committed && second.committed && first.committed->payload == second.committed->payload));
  }
}

asio::awaitable<void> checkRestart(LocalStores& stores, Kept& kept) {
  co_await stores.start();
  (void)co_await stores.preserver->recover();
  co_await checkKept(stores, kept);
  const std::optional<Error> failure = co_await fill(stores, kept, 3);
  CHECK_FALSE(failure);
  co_await stores.preserver->stop();
}

void checkRestarted(const std::string& folder, Kept& kept) {
  LocalStores stores(folder);
  stores.run(checkRestart(stores, kept));
}

// The text of a refusal, which has to name a cause.
void checkRefusal(const std::optional<Error>& failure, const std::string& cause) {
  REQUIRE(failure);
  INFO(failure->what());
  CHECK(failure->code() == PreserveErrc::aborted);
  CHECK(std::string(failure->what()).find(cause) != std::string::npos);
}

asio::awaitable<void> fillUpLayer(LocalStores& stores, FailingDisk& disk, Kept& kept) {
  co_await stores.start();
  std::optional<Error> failure = co_await fill(stores, kept, 10);
  CHECK_FALSE(failure);
  disk.set(FailingDisk::State::full);
  for (int i = 0; i < 5; ++i) {
    failure = co_await fill(stores, kept, 1);
    checkRefusal(failure, "no space left");
  }
  co_await checkKept(stores, kept);
  disk.set(FailingDisk::State::sound);
  failure = co_await fill(stores, kept, 10);
  CHECK_FALSE(failure);
  co_await checkKept(stores, kept);
  co_await stores.preserver->stop();
}

asio::awaitable<void> becomeReadOnly(LocalStores& stores, FailingDisk& disk, Kept& kept) {
  co_await stores.start();
  std::optional<Error> failure = co_await fill(stores, kept, 10);
  CHECK_FALSE(failure);
  disk.set(FailingDisk::State::read_only);
  failure = co_await fill(stores, kept, 1);
  checkRefusal(failure, "read-only file system");
  co_await checkKept(stores, kept);  // reads go on
  disk.set(FailingDisk::State::sound);
  failure = co_await fill(stores, kept, 3);
  CHECK_FALSE(failure);
  co_await stores.preserver->stop();
}

// The disk of the log alone: a decision cannot be written when all have said yes.
asio::awaitable<void> loseTheLog(LocalStores& stores, FailingDisk& disk, Kept& kept, bool& unknown) {
  co_await stores.start();
  std::optional<Error> failure = co_await fill(stores, kept, 5);
  CHECK_FALSE(failure);
  disk.set(FailingDisk::State::read_only);
  failure = co_await fill(stores, kept, 1);
  REQUIRE(failure);
  unknown = failure->code() == PreserveErrc::outcome_unknown;
  failure = co_await fill(stores, kept, 1);
  REQUIRE(failure);
  CHECK(failure->code() == PreserveErrc::aborted);
  CHECK_FALSE(stores.preserver->healthCheck().healthy);
}

// A file system of two megabytes that only this process sees. False where that cannot be had.
bool mountSmall(const std::string& folder) {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("lukhas-test", folder.c_str(), "tmpfs", 0, "size=2m") == 0;
}
bool remount(const std::string& folder, unsigned long flags) {
  return ::mount("lukhas-test", folder.c_str(), "tmpfs", MS_REMOUNT | flags, "size=2m") == 0;
}

void checkInChild(const char* testCase) {
  const lukhas::test::ParticipantDirectory directory;
  ChildProcess child(testCase, {"LUKHAS_CHAOS_FOLDER=" + (directory / "")});
  const std::string said = child.readAll();
  const int status = child.wait();
  if (status == cannotMount) {
    WARN("skipped: a file system of its own takes the right to mount (root, or CAP_SYS_ADMIN)");
    return;
  }
  INFO(said);
  CHECK(status == 0);
}

asio::awaitable<void> fillUpForReal(LocalStores& stores, const std::string& ballast, Kept& kept) {
  co_await stores.start();
  std::optional<Error> failure = co_await fill(stores, kept, 10'000);
  REQUIRE(failure);
  for (int i = 0; i < 10; ++i) {
    INFO(failure->what());
    CHECK(failure->code() == PreserveErrc::aborted);
    failure = co_await fill(stores, kept, 1);
    if (!failure) break;  // something small still fitted
  }
  CHECK(kept.size() > 10);
  (void)::unlink(ballast.c_str());
  failure = co_await fill(stores, kept, 3);
  INFO((failure ? failure->what() : "no failure"));
  CHECK_FALSE(failure);
  co_await checkKept(stores, kept);
  co_await stores.preserver->stop();
}

asio::awaitable<void> startReadOnly(LocalStores& stores) {
  std::optional<Error> failure;
  try {
    co_await stores.start();
  } catch (const Error& error) {
    failure = error;
  }
  REQUIRE(failure);
  INFO(failure->what());
  CHECK(failure->code() == PreserveErrc::participant_unavailable);
  try {
    co_await stores.preserver->start();  // the log alone
    failure.reset();
  } catch (const Error& error) {
    failure = error;
  }
  REQUIRE(failure);
  INFO(failure->what());
  CHECK(failure->code() == JournalErrc::not_writable);
}

// Makes the real disk with faults, and gives it to the test too.
LocalStores::DiskFactory failingDisk(std::shared_ptr<FailingDisk>& disk) {
  return [&disk](const Environment& environment) {
    disk = std::make_shared<FailingDisk>(std::make_shared<PosixDisk>(environment));
    return disk;
  };
}

asio::awaitable<void> scanReadOnly(LocalStores& stores, std::string journal) {
  const auto disk = std::make_shared<PosixDisk>(stores.environment());
  const JournalScan scan = co_await scanJournal(disk, std::move(journal), [](const ParsedRecord&) {});
  CHECK_FALSE(scan.damage);
  CHECK(scan.records > 5);
}

}  // namespace

TEST_CASE("a disk that fills up refuses with its reason, loses nothing, and serves again", "[preserve]") {
  const lukhas::test::ParticipantDirectory directory;
  Kept kept;
  {
    std::shared_ptr<FailingDisk> disk;
    LocalStores stores(directory / "data", {}, failingDisk(disk));
    stores.run(fillUpLayer(stores, *disk, kept));
  }
  checkRestarted(directory / "data", kept);
}

TEST_CASE("a directory that becomes read-only refuses with its reason, loses nothing, and serves again",
          "[preserve]") {
  const lukhas::test::ParticipantDirectory directory;
  Kept kept;
  {
    std::shared_ptr<FailingDisk> disk;
    LocalStores stores(directory / "data", {}, failingDisk(disk));
    stores.run(becomeReadOnly(stores, *disk, kept));
  }
  checkRestarted(directory / "data", kept);
}

TEST_CASE("a log that becomes read-only ends in an unknown outcome that the next start decides",
          "[preserve]") {
  const lukhas::test::ParticipantDirectory directory;
  Kept kept;
  bool unknown = false;
  {
    std::shared_ptr<FailingDisk> disk;
    // What rests in memory goes with the next decision, so that it is this that meets the disk's failure.
    LocalStores stores(directory / "data", failingDisk(disk), {}, std::chrono::minutes(1));
    stores.run(loseTheLog(stores, *disk, kept, unknown));
    CHECK(unknown);
  }
  checkRestarted(directory / "data", kept);
}

TEST_CASE("child: a small file system fills up", "[.child]") {
  const std::string folder = lukhas::test::childSetting("LUKHAS_CHAOS_FOLDER");
  if (!mountSmall(folder)) std::exit(cannotMount);
  const std::string ballast = folder + "/ballast";
  std::ofstream(ballast) << std::string(600'000, 'x');
  Kept kept;
  {
    LocalStores stores(folder + "/data");
    stores.run(fillUpForReal(stores, ballast, kept));
  }
  checkRestarted(folder + "/data", kept);
}

TEST_CASE("a file system that fills up under SQLite, directory and log loses nothing", "[preserve]") {
  checkInChild(fillsUp);
}

TEST_CASE("child: a file system is mounted read-only", "[.child]") {
  const std::string folder = lukhas::test::childSetting("LUKHAS_CHAOS_FOLDER");
  if (!mountSmall(folder)) std::exit(cannotMount);
  Kept kept;
  {
    LocalStores stores(folder + "/data");
    auto life = [](LocalStores& in, Kept& filled) -> asio::awaitable<void> {
      co_await in.start();
      const std::optional<Error> failure = co_await fill(in, filled, 5);
      CHECK_FALSE(failure);
      co_await in.preserver->stop();
    };
    stores.run(life(stores, kept));
  }
  REQUIRE(remount(folder, MS_RDONLY));
  {
    LocalStores stores(folder + "/data");
    stores.run(startReadOnly(stores));
    stores.run(scanReadOnly(stores, folder + "/data/journal"));
  }
  REQUIRE(remount(folder, 0));
  checkRestarted(folder + "/data", kept);
}

TEST_CASE("a file system that is mounted read-only is said at the start and serves again afterwards",
          "[preserve]") {
  checkInChild(readOnly);
}

}  // namespace full_disk_test
