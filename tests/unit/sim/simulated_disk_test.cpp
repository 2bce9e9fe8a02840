#include "lukhas/sim/simulated_disk.hpp"

#include <functional>
#include <set>
#include <string>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace lukhas;

namespace {

using Task = std::function<asio::awaitable<void>(SimulatedDisk&)>;

void play(Simulation& world, const Task& task) {
  world.spawn(task(*world.disk()));
  world.run();
}

// What is seen after a crash that follows `task`, over many seeds.
std::set<std::string> outcomes(const Task& task, const std::function<std::string(SimulatedDisk&)>& look) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Simulation world({.seed = seed});
    play(world, task);
    world.crash();
    seen.insert(look(*world.disk()));
  }
  return seen;
}

std::string textOf(SimulatedDisk& disk, const std::string& path) {
  return disk.exists(path) ? std::string(asText(disk.contents(path))) : "none";
}

std::string firstOfEachSector(SimulatedDisk& disk) {
  const Bytes bytes = disk.contents("a");
  std::string firsts;
  for (std::size_t at = 0; at < bytes.size(); at += 512) firsts += static_cast<char>(bytes[at]);
  return firsts;
}

asio::awaitable<std::shared_ptr<File>> durableFile(SimulatedDisk& disk, std::string path, std::string text) {
  std::shared_ptr<File> file = co_await disk.open(std::move(path), OpenMode::create);
  Bytes bytes = toBytes(text);
  co_await file->write(0, std::move(bytes));
  co_await file->sync();
  co_await disk.syncDirectory(".");
  co_return file;
}

std::error_code codeOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return {};
}

}  // namespace

TEST_CASE("what was synced survives every crash", "[sim]") {
  const auto seen = outcomes(
      [](SimulatedDisk& disk) -> asio::awaitable<void> { (void)co_await durableFile(disk, "a", "kept"); },
      [](SimulatedDisk& disk) { return textOf(disk, "a"); });
  CHECK(seen == std::set<std::string>{"kept"});
}

TEST_CASE("sectors that were not synced survive in any subset", "[sim]") {
  const auto seen = outcomes(
      [](SimulatedDisk& disk) -> asio::awaitable<void> {
        const std::string old(1536, 'o');
        const std::shared_ptr<File> file = co_await durableFile(disk, "a", old);
        Bytes changed(1536, std::byte{'n'});
        co_await file->write(0, std::move(changed));
      },
      firstOfEachSector);
  CHECK(seen == std::set<std::string>{"ooo", "oon", "ono", "onn", "noo", "non", "nno", "nnn"});
}

TEST_CASE("a sector that was written twice may survive in its middle state", "[sim]") {
  const auto seen = outcomes(
      [](SimulatedDisk& disk) -> asio::awaitable<void> {
        const std::shared_ptr<File> file = co_await durableFile(disk, "a", "1");
        Bytes second = toBytes("2");
        Bytes third = toBytes("3");
        co_await file->write(0, std::move(second));
        co_await file->write(0, std::move(third));
      },
      [](SimulatedDisk& disk) { return textOf(disk, "a"); });
  CHECK(seen == std::set<std::string>{"1", "2", "3"});
}

TEST_CASE("a size that was not synced may be the old or the new one", "[sim]") {
  const auto seen = outcomes(
      [](SimulatedDisk& disk) -> asio::awaitable<void> {
        const std::shared_ptr<File> file = co_await durableFile(disk, "a", "ab");
        co_await file->truncate(1);
      },
      [](SimulatedDisk& disk) { return std::to_string(disk.contents("a").size()); });
  CHECK(seen == std::set<std::string>{"1", "2"});
}

TEST_CASE("of the names that were not synced the first few survive", "[sim]") {
  const auto seen = outcomes(
      [](SimulatedDisk& disk) -> asio::awaitable<void> {
        (void)co_await durableFile(disk, "a", "");
        (void)co_await disk.open("b", OpenMode::create);
        co_await disk.rename("a", "c");
        co_await disk.remove("b");
      },
      [](SimulatedDisk& disk) {
        std::string names;
        for (const char* name : {"a", "b", "c"}) names += disk.exists(name) ? name : "";
        return names;
      });
  CHECK(seen == std::set<std::string>{"a", "ab", "bc", "c"});
}

TEST_CASE("a rename between directories happens in both or in none", "[sim]") {
  for (const std::string& synced : {std::string(), std::string("in"), std::string(".")}) {
    const auto seen = outcomes(
        [&](SimulatedDisk& disk) -> asio::awaitable<void> {
          co_await disk.createDirectories("in");
          (void)co_await durableFile(disk, "a", "x");
          co_await disk.rename("a", "in/a");
          if (!synced.empty()) co_await disk.syncDirectory(synced);
        },
        [](SimulatedDisk& disk) { return textOf(disk, "a") + " " + textOf(disk, "in/a"); });
    if (synced.empty()) CHECK(seen == std::set<std::string>{"x none", "none x"});
    if (!synced.empty()) CHECK(seen == std::set<std::string>{"none x"});
  }
}

TEST_CASE("what a failed sync left in memory may never reach the disk", "[sim]") {
  const auto seen = outcomes(
      [](SimulatedDisk& disk) -> asio::awaitable<void> {
        const std::shared_ptr<File> file = co_await durableFile(disk, "a", "old");
        Bytes changed = toBytes("new");
        co_await file->write(0, std::move(changed));
        disk.failNextSync();
        try {
          co_await file->sync();
        } catch (const Error&) {
        }
        co_await file->sync();  // succeeds
      },
      [](SimulatedDisk& disk) { return textOf(disk, "a"); });
  CHECK(seen == std::set<std::string>{"new", "old"});
}

TEST_CASE("what is written again after a failed sync is synced by the next", "[sim]") {
  const auto seen = outcomes(
      [](SimulatedDisk& disk) -> asio::awaitable<void> {
        const std::shared_ptr<File> file = co_await durableFile(disk, "a", "old");
        const Bytes changed = toBytes("new");
        co_await file->write(0, changed);
        disk.failNextSync();
        try {
          co_await file->sync();
        } catch (const Error&) {
        }
        co_await file->write(0, changed);
        co_await file->sync();
      },
      [](SimulatedDisk& disk) { return textOf(disk, "a"); });
  CHECK(seen == std::set<std::string>{"new"});
}

TEST_CASE("a crash releases locks and ends open files", "[sim]") {
  Simulation world;
  std::shared_ptr<File> file;
  std::unique_ptr<DirectoryLock> lock;
  play(world, [&](SimulatedDisk& disk) -> asio::awaitable<void> {
    file = co_await durableFile(disk, "a", "x");
    lock = co_await disk.lock(".");
  });
  world.crash();
  std::unique_ptr<DirectoryLock> next;
  play(world, [&](SimulatedDisk& disk) -> asio::awaitable<void> { next = co_await disk.lock("."); });
  lock.reset();  // of the ended life: it does not release the new one
  const auto lockAgain = [&] {
    play(world, [](SimulatedDisk& disk) -> asio::awaitable<void> { (void)co_await disk.lock("."); });
  };
  const auto readAgain = [&] {
    play(world, [&](SimulatedDisk&) -> asio::awaitable<void> { (void)co_await file->read(0, 1); });
  };
  CHECK(codeOf(lockAgain) == JournalErrc::locked);
  CHECK(codeOf(readAgain) == JournalErrc::io_failed);
}

TEST_CASE("a full disk takes what fits and refuses what does not", "[sim]") {
  Simulation world;
  const auto grow = [&](std::uint64_t size) {
    return codeOf([&] {
      play(world, [&](SimulatedDisk& disk) -> asio::awaitable<void> {
        const std::shared_ptr<File> file = co_await disk.open("a", OpenMode::create);
        co_await file->preallocate(size);
        Bytes whole(static_cast<std::size_t>(size));
        co_await file->write(0, std::move(whole));
      });
    });
  };
  world.disk()->setCapacity(1000);
  CHECK(grow(1000) == std::error_code());
  CHECK(grow(1001) == JournalErrc::disk_full);
  CHECK(world.disk()->usedBytes() <= 1000);
  world.disk()->freeUp();
  CHECK(grow(1001) == std::error_code());
  world.disk()->fillUp();
  CHECK(grow(1001) == std::error_code());
  CHECK(grow(1002) == JournalErrc::disk_full);
}

TEST_CASE("a failure that was asked for happens once and to the call that was named", "[sim]") {
  Simulation world;
  world.disk()->failNext(DiskOperation::read, JournalErrc::io_failed, 1);
  int failures = 0;
  play(world, [&](SimulatedDisk& disk) -> asio::awaitable<void> {
    const std::shared_ptr<File> file = co_await durableFile(disk, "a", "x");
    for (int i = 0; i < 4; ++i) {
      try {
        (void)co_await file->read(0, 1);
      } catch (const Error& error) {
        ++failures;
        CHECK(i == 1);
        CHECK(error.code() == JournalErrc::io_failed);
        CHECK(error.details().at("operation") == "read");
      }
    }
  });
  CHECK(failures == 1);
  CHECK_FALSE(world.disk()->faultPending());
}

TEST_CASE("a flipped bit is damage in memory and on the disk", "[sim]") {
  Simulation world;
  play(world,
       [](SimulatedDisk& disk) -> asio::awaitable<void> { (void)co_await durableFile(disk, "a", "a"); });
  world.disk()->flipBit("a", 0, 1);
  CHECK(textOf(*world.disk(), "a") == "c");
  world.crash();
  CHECK(textOf(*world.disk(), "a") == "c");
  CHECK_THROWS_AS(world.disk()->flipBit("a", 1), Error);
}

TEST_CASE("paths that mean the same are the same", "[sim]") {
  Simulation world;
  play(world, [](SimulatedDisk& disk) -> asio::awaitable<void> {
    co_await disk.createDirectories("./x//y/");
    (void)co_await disk.open("x/./y/../y/a", OpenMode::create);
  });
  CHECK(world.disk()->exists("x/y/a"));
  CHECK(world.disk()->exists("./x/y/a"));
}

TEST_CASE("a crash can fall before and after every effect", "[sim]") {
  std::set<std::string> seen;
  bool more = true;
  for (std::uint64_t steps = 1; more; ++steps) {
    Simulation world;
    bool answered = false;
    auto task = [&]() -> asio::awaitable<void> {
      (void)co_await durableFile(*world.disk(), "a", "x");
      answered = true;
    };
    world.spawn(task());
    more = world.runSteps(steps);
    const bool there = world.disk()->exists("a") && world.disk()->operations() == 4;
    seen.insert(fmt::format("{} {}", there, answered));
    world.crash();
  }
  CHECK(seen == std::set<std::string>{"false false", "true false", "true true"});
}

TEST_CASE("a sparse file reads as zeros and counts with its size", "[sim]") {
  Simulation world;
  play(world, [](SimulatedDisk& disk) -> asio::awaitable<void> {
    const std::shared_ptr<File> file = co_await disk.open("a", OpenMode::create);
    co_await file->preallocate(1U << 20U);
    Bytes text = toBytes("end");
    co_await file->write((1U << 20U) - 3, std::move(text));
  });
  const Bytes bytes = world.disk()->contents("a");
  CHECK(bytes.size() == 1U << 20U);
  CHECK(world.disk()->usedBytes() == 1U << 20U);
  CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) == (1 << 20) - 3);
}
