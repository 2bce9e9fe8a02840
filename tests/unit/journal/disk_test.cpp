#include "lukhas/journal/disk.hpp"

#include "support/catch.hpp"
#include "unit/journal/journal_place.hpp"

using namespace lukhas;
using test::codeOf;
using test::errorOf;
using test::joined;
using test::onEachPlace;
using test::Place;

// Rules of every Disk.

TEST_CASE("a file reads back what was written to it", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::string path = place.directory() + "/a";
    const std::shared_ptr<File> file = co_await place.disk()->open(path, OpenMode::create_new);
    Bytes text = toBytes("hello world");
    co_await file->write(0, std::move(text));
    Bytes patch = toBytes("W");
    co_await file->write(6, std::move(patch));
    co_await file->sync();
    const Bytes all = co_await file->read(0, 100);
    const Bytes part = co_await file->read(6, 3);
    const Bytes atEnd = co_await file->read(11, 5);
    const Bytes beyond = co_await file->read(100, 5);
    const std::uint64_t size = co_await file->size();
    CHECK(asText(all) == "hello World");
    CHECK(asText(part) == "Wor");
    CHECK(atEnd.empty());
    CHECK(beyond.empty());
    CHECK(size == 11);
  });
}

TEST_CASE("a gap that was never written reads as zeros", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::string path = place.directory() + "/a";
    const std::shared_ptr<File> file = co_await place.disk()->open(path, OpenMode::create_new);
    Bytes text = toBytes("end");
    co_await file->write(2000, std::move(text));
    const Bytes all = co_await file->read(0, 3000);
    CHECK(all.size() == 2003);
    CHECK(Bytes(all.begin(), all.begin() + 2000) == Bytes(2000));
  });
}

TEST_CASE("what was cut off a file reads as zeros when it grows again", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::string path = place.directory() + "/a";
    const std::shared_ptr<File> file = co_await place.disk()->open(path, OpenMode::create_new);
    Bytes ones(3000, std::byte{1});
    co_await file->write(0, std::move(ones));
    co_await file->truncate(700);
    co_await file->preallocate(3000);
    Bytes expected(3000);
    std::fill_n(expected.begin(), 700, std::byte{1});
    co_await file->preallocate(10);  // never smaller
    const Bytes all = co_await file->read(0, 4000);
    CHECK(all == expected);
  });
}

TEST_CASE("a file is opened as its mode says", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::shared_ptr<Disk> disk = place.disk();
    const std::string path = place.directory() + "/a";
    const std::error_code reading = co_await codeOf(disk->open(path, OpenMode::read));
    const std::error_code writing = co_await codeOf(disk->open(path, OpenMode::read_write));
    CHECK(reading == JournalErrc::not_found);
    CHECK(writing == JournalErrc::not_found);
    const std::shared_ptr<File> file = co_await disk->open(path, OpenMode::create_new);
    const std::error_code making = co_await codeOf(disk->open(path, OpenMode::create_new));
    CHECK(making == JournalErrc::not_writable);
    Bytes text = toBytes("text");
    co_await file->write(0, text);
    const std::shared_ptr<File> reader = co_await disk->open(path, OpenMode::read);
    const Bytes read = co_await reader->read(0, 10);
    CHECK(read == text);
    const std::error_code refused = co_await codeOf(reader->write(0, text));
    CHECK(refused == JournalErrc::io_failed);
    const std::shared_ptr<File> emptied = co_await disk->open(path, OpenMode::create);
    const std::uint64_t size = co_await emptied->size();
    CHECK(size == 0);
  });
}

TEST_CASE("errors of a disk name the path and the operation", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::string path = place.directory() + "/missing/file";
    const auto error = co_await errorOf(place.disk()->open(path, OpenMode::create));
    REQUIRE(error);
    CHECK(error->code() == JournalErrc::not_found);
    CHECK(error->details().at("path") == path);
    CHECK(error->details().at("operation") == "open");
    CHECK(std::string(error->what()).find(path) != std::string::npos);
  });
}

TEST_CASE("files are listed by name and in order", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::shared_ptr<Disk> disk = place.disk();
    const std::string base = place.directory();
    co_await disk->createDirectories(base + "/folder/below");
    (void)co_await disk->open(base + "/c", OpenMode::create);
    (void)co_await disk->open(base + "/a", OpenMode::create);
    (void)co_await disk->open(base + "/b", OpenMode::create);
    const std::string names = joined(co_await disk->list(base));
    const std::string none = joined(co_await disk->list(base + "/folder"));
    const std::error_code nowhere = co_await codeOf(disk->list(base + "/nowhere"));
    CHECK(names == "a b c");
    CHECK(none.empty());
    CHECK(nowhere == JournalErrc::not_found);
  });
}

TEST_CASE("a rename replaces and a removed file is gone", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::shared_ptr<Disk> disk = place.disk();
    const std::string base = place.directory();
    const std::shared_ptr<File> file = co_await disk->open(base + "/new", OpenMode::create);
    Bytes text = toBytes("new");
    co_await file->write(0, std::move(text));
    (void)co_await disk->open(base + "/old", OpenMode::create);
    co_await disk->rename(base + "/new", base + "/old");
    co_await disk->syncDirectory(base);
    const std::string renamed = joined(co_await disk->list(base));
    const std::shared_ptr<File> reader = co_await disk->open(base + "/old", OpenMode::read);
    const Bytes read = co_await reader->read(0, 10);
    const std::error_code again = co_await codeOf(disk->rename(base + "/new", base + "/x"));
    CHECK(renamed == "old");
    CHECK(asText(read) == "new");
    CHECK(again == JournalErrc::not_found);
    co_await disk->remove(base + "/old");
    co_await disk->remove(base + "/old");  // not an error
    co_await disk->remove(base + "/nowhere/old");
    const std::string left = joined(co_await disk->list(base));
    CHECK(left.empty());
  });
}

TEST_CASE("a file that was renamed to another directory is only there", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::shared_ptr<Disk> disk = place.disk();
    const std::string base = place.directory();
    co_await disk->createDirectories(base + "/in");
    (void)co_await disk->open(base + "/a", OpenMode::create);
    co_await disk->rename(base + "/a", base + "/in/b");
    const std::string here = joined(co_await disk->list(base));
    const std::string there = joined(co_await disk->list(base + "/in"));
    CHECK(here.empty());
    CHECK(there == "b");
  });
}

TEST_CASE("an open file stays usable after it was removed", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::string path = place.directory() + "/a";
    const std::shared_ptr<File> file = co_await place.disk()->open(path, OpenMode::create);
    co_await place.disk()->remove(path);
    Bytes text = toBytes("still");
    co_await file->write(0, std::move(text));
    const Bytes read = co_await file->read(0, 10);
    CHECK(asText(read) == "still");
  });
}

TEST_CASE("directories are made with their parents and twice without harm", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::shared_ptr<Disk> disk = place.disk();
    const std::string path = place.directory() + "/a/b/c/";
    co_await disk->createDirectories(path);
    co_await disk->createDirectories(path);
    (void)co_await disk->open(path + "file", OpenMode::create);
    const std::string names = joined(co_await disk->list(place.directory() + "/a/b/c"));
    const std::error_code inFile = co_await codeOf(disk->createDirectories(path + "file/below"));
    CHECK(names == "file");
    CHECK(inFile == JournalErrc::not_writable);
  });
}

TEST_CASE("a directory is locked by one holder at a time", "[journal]") {
  onEachPlace([](Place& place) -> asio::awaitable<void> {
    const std::shared_ptr<Disk> disk = place.disk();
    const std::string path = place.directory();
    std::unique_ptr<DirectoryLock> first = co_await disk->lock(path);
    const auto refused = co_await errorOf(disk->lock(path));
    REQUIRE(refused);
    CHECK(refused->code() == JournalErrc::locked);
    CHECK(refused->details().at("path") == path);
    CHECK(refused->details().contains("holder"));
    first.reset();
    first = co_await disk->lock(path);
    const std::error_code nowhere = co_await codeOf(disk->lock(path + "/nowhere"));
    CHECK(nowhere == JournalErrc::not_found);
  });
}
