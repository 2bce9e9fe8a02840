#include "lukhas/journal/posix_disk.hpp"

#include <filesystem>
#include <fstream>

#include <sys/wait.h>

#include "support/catch.hpp"
#include "unit/journal/journal_place.hpp"

using namespace lukhas;
using test::codeOf;
using test::errorOf;
using test::joined;
using test::PosixPlace;

TEST_CASE("a path that cannot be a directory is not writable and the file in the way is named", "[journal]") {
  PosixPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    const auto error = co_await errorOf(place.disk()->createDirectories("/dev/null/journal"));
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::not_writable);
    CHECK(error->details().at("path") == "/dev/null");
    CHECK(error->details().at("errno") == ENOTDIR);
  };
  place.run(rule());
}

TEST_CASE("a directory that cannot be written is refused by its own name", "[journal]") {
  PosixPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    const auto error = co_await errorOf(place.disk()->lock("/proc/self"));
    REQUIRE(error);
    CHECK(error->details().at("path") == "/proc/self");
    CHECK(error->details().at("operation") == "lock");
  };
  place.run(rule());
}

TEST_CASE("a full device is a full disk", "[journal]") {
  PosixPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    const std::shared_ptr<File> file = co_await place.disk()->open("/dev/full", OpenMode::read_write);
    Bytes text = toBytes("text");
    const auto error = co_await errorOf(file->write(0, std::move(text)));
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::disk_full);
    CHECK(error->details().at("operation") == "write");
  };
  place.run(rule());
}

TEST_CASE("relative paths and the current directory can be used", "[journal]") {
  PosixPlace place;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(place.directory());
  auto rule = [&]() -> asio::awaitable<void> {
    co_await place.disk()->createDirectories("a/b");
    (void)co_await place.disk()->open("file", OpenMode::create);
    co_await place.disk()->syncDirectory("a/b");
    co_await place.disk()->syncDirectory("");
    const std::string names = joined(co_await place.disk()->list("."));
    CHECK(names == "file");
  };
  place.run(rule());
  std::filesystem::current_path(before);
  CHECK(std::filesystem::is_directory(place.directory() + "/a/b"));
}

TEST_CASE("a lock of another process is refused with its number and ends with it", "[journal]") {
  PosixPlace place;
  const std::string directory = place.directory();
  int ready[2];
  int leave[2];
  REQUIRE(::pipe(ready) == 0);
  REQUIRE(::pipe(leave) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const detail::PosixDirectoryLock held(directory);
    char byte = 0;
    (void)!::write(ready[1], &byte, 1);
    (void)!::read(leave[0], &byte, 1);
    ::_exit(0);  // without letting go of it
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  auto rule = [&]() -> asio::awaitable<void> {
    const auto error = co_await errorOf(place.disk()->lock(directory));
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::locked);
    CHECK(error->details().at("holder") == std::to_string(child));
    REQUIRE(::write(leave[1], &byte, 1) == 1);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    const std::error_code afterwards = co_await codeOf(place.disk()->lock(directory));
    CHECK_FALSE(afterwards);
  };
  place.run(rule());
  for (const int descriptor : {ready[0], ready[1], leave[0], leave[1]}) ::close(descriptor);
}

TEST_CASE("what stands in a lock file is shown only when it is a number", "[journal]") {
  PosixPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    const std::unique_ptr<DirectoryLock> held = co_await place.disk()->lock(place.directory());
    std::ofstream(place.directory() + "/lock") << "\xff\n12";
    const auto error = co_await errorOf(place.disk()->lock(place.directory()));
    REQUIRE(error);
    CHECK(error->details().dump().find("\"12\"") != std::string::npos);
  };
  place.run(rule());
}

TEST_CASE("only files are listed", "[journal]") {
  PosixPlace place;
  auto rule = [&]() -> asio::awaitable<void> {
    std::filesystem::create_directory(place.directory() + "/folder");
    std::ofstream(place.directory() + "/file") << "x";
    const std::string names = joined(co_await place.disk()->list(place.directory()));
    CHECK(names == "file");
    const auto error = co_await errorOf(place.disk()->list(place.directory() + "/file"));
    CHECK(error->code() == JournalErrc::not_writable);
  };
  place.run(rule());
}
