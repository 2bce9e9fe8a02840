#include "lukhas/journal/journal.hpp"

#include <atomic>
#include <thread>

#include "support/catch.hpp"
#include "unit/journal/journal_place.hpp"

namespace journal_threads_test {

using namespace lukhas;

// A journal on an io_context that four threads run: for the thread sanitizer, and for what only threads can
// break.

namespace {

constexpr JournalOptions small{.segmentBytes = 4096};

void runOnFourThreads(asio::io_context& io) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) threads.emplace_back([&io] { io.run(); });
  for (std::thread& thread : threads) thread.join();
}

struct Shared {
  std::unique_ptr<Journal> journal;
  std::atomic<int> durable = 0;
  std::atomic<int> refused = 0;  // because the journal was closed
  std::atomic<int> wrong = 0;    // for another reason (Catch2 itself is not thread-safe)
};

asio::awaitable<void> appendMany(Shared& shared, int count) {
  for (int i = 0; i < count; ++i) {
    try {
      const Lsn lsn = co_await shared.journal->appendDurable(1, Bytes(100));
      ++shared.durable;
      if (i % 10 == 0) shared.journal->dropBefore(Lsn{lsn.value - lsn.value % 7});
    } catch (const Error& error) {
      ++(error.code() == JournalErrc::closed ? shared.refused : shared.wrong);
    }
  }
}

asio::awaitable<void> look(Shared& shared, Environment environment) {
  for (int i = 0; i < 200; ++i) {
    (void)shared.journal->getMetrics();
    (void)shared.journal->healthCheck();
    (void)shared.journal->nextLsn();
    co_await environment.sleepFor(Duration::zero());
  }
}

}  // namespace

TEST_CASE("writers on many threads all become durable", "[journal]") {
  test::PosixPlace place;
  Shared shared;
  auto opening = [&]() -> asio::awaitable<void> {
    shared.journal = co_await Journal::open(place.environment(), place.disk(), place.directory(), small);
  };
  place.run(opening());
  for (int i = 0; i < 20; ++i) asio::co_spawn(place.io, appendMany(shared, 20), asio::detached);
  for (int i = 0; i < 3; ++i) asio::co_spawn(place.io, look(shared, place.environment()), asio::detached);
  place.io.restart();
  runOnFourThreads(place.io);
  CHECK(shared.durable == 400);
  CHECK(shared.journal->nextLsn() == Lsn{402});
}

TEST_CASE("close beside writers on many threads ends them and releases the directory once", "[journal]") {
  test::PosixPlace place;
  for (int round = 0; round < 20; ++round) {
    Shared shared;
    auto opening = [&]() -> asio::awaitable<void> {
      shared.journal = co_await Journal::open(place.environment(), place.disk(), place.directory(), small);
    };
    place.run(opening());
    for (int i = 0; i < 8; ++i) asio::co_spawn(place.io, appendMany(shared, 10), asio::detached);
    for (int i = 0; i < 2; ++i) {
      auto closing = [](Shared& all, Environment environment) -> asio::awaitable<void> {
        co_await environment.sleepFor(std::chrono::microseconds(300));
        co_await all.journal->close();
      };
      asio::co_spawn(place.io, closing(shared, place.environment()), asio::detached);
    }
    place.io.restart();
    runOnFourThreads(place.io);
    CHECK(shared.durable + shared.refused == 80);
    CHECK(shared.wrong == 0);
  }
}

TEST_CASE("a journal may be destroyed while threads write to it", "[journal]") {
  test::PosixPlace place;
  for (int round = 0; round < 20; ++round) {
    Shared shared;
    auto opening = [&]() -> asio::awaitable<void> {
      shared.journal = co_await Journal::open(place.environment(), place.disk(), place.directory(), small);
    };
    place.run(opening());
    std::vector<asio::awaitable<Lsn>> waiting;
    for (int i = 0; i < 30; ++i) waiting.push_back(shared.journal->appendDurable(1, Bytes(100)));
    std::atomic<int> ended = 0;
    for (asio::awaitable<Lsn>& one : waiting)
      asio::co_spawn(place.io, std::move(one), [&ended](std::exception_ptr, Lsn) { ++ended; });
    auto destroying = [](Shared& all, Environment environment) -> asio::awaitable<void> {
      co_await environment.sleepFor(std::chrono::microseconds(100));
      all.journal.reset();
    };
    asio::co_spawn(place.io, destroying(shared, place.environment()), asio::detached);
    place.io.restart();
    runOnFourThreads(place.io);
    CHECK(ended == 30);
  }
}

TEST_CASE("a context that is stopped and destroyed while the disk works harms nothing", "[journal]") {
  test::TemporaryDirectory directory;
  for (int round = 0; round < 30; ++round) {
    asio::io_context io;
    const Environment environment(io.get_executor());
    auto disk = std::make_shared<PosixDisk>(environment);
    auto task = [](Environment here, std::shared_ptr<Disk> on, std::string path) -> asio::awaitable<void> {
      const std::unique_ptr<Journal> journal = co_await Journal::open(here, on, path, small);
      for (;;) (void)co_await journal->appendDurable(1, Bytes(100));
    };
    asio::co_spawn(io, task(environment, disk, directory.path()), asio::detached);
    io.run_for(std::chrono::milliseconds(1 + round % 5));
  }
}

}  // namespace journal_threads_test
