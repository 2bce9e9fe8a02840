// Durable records a second: the journal's group commit, and what it is up against: each record written and
// synced by itself, in a file with reserved space, on one thread too.
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <benchmark/benchmark.h>
#include <unistd.h>

#include "lukhas/journal/journal.hpp"
#include "lukhas/journal/posix_disk.hpp"

namespace {

constexpr std::size_t payloadBytes = 200;
constexpr int recordsOfEach = 16;  // that a waiter appends, one after the other, in one iteration

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path = (std::filesystem::temp_directory_path() / "lukhas-bench-XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary directory");
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

void finish(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * state.range(0) * recordsOfEach);
  state.SetLabel(std::to_string(state.range(0)) + " waiters");
}

void groupCommit(benchmark::State& state) {
  const TemporaryDirectory directory;
  asio::io_context io;
  const lukhas::Environment environment(io.get_executor());
  const auto disk = std::make_shared<lukhas::PosixDisk>(environment);
  std::unique_ptr<lukhas::Journal> journal;
  auto opening = [&]() -> asio::awaitable<void> {
    journal = co_await lukhas::Journal::open(environment, disk, directory.path);
  };
  asio::co_spawn(io, opening(), asio::detached);
  io.run();

  auto waiter = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < recordsOfEach; ++i)
      (void)co_await journal->appendDurable(1, lukhas::Bytes(payloadBytes));
    journal->dropBefore(journal->nextLsn());
  };
  for ([[maybe_unused]] auto _ : state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) asio::co_spawn(io, waiter(), asio::detached);
    io.restart();
    io.run();
  }
  finish(state);
  const lukhas::JournalMetrics metrics = journal->getMetrics();
  state.counters["recordsAGroup"] =
      static_cast<double>(metrics.appends) / static_cast<double>(std::max<std::uint64_t>(metrics.groups, 1));
}

// The same number of waiters, records and bytes; each record has a write and an fdatasync of its own.
void writeAndSyncEach(benchmark::State& state) {
  const TemporaryDirectory directory;
  asio::io_context io;
  const lukhas::Environment environment(io.get_executor());
  const auto disk = std::make_shared<lukhas::PosixDisk>(environment);
  constexpr std::uint64_t fileBytes = std::uint64_t{8} << 20U;
  std::shared_ptr<lukhas::File> file;
  auto opening = [&]() -> asio::awaitable<void> {
    const std::string path = directory.path + "/log";
    file = co_await disk->open(path, lukhas::OpenMode::create);
    co_await file->preallocate(fileBytes);
    co_await file->sync();
  };
  asio::co_spawn(io, opening(), asio::detached);
  io.run();

  constexpr std::size_t recordBytes = lukhas::Record::encodedSize(payloadBytes);
  std::uint64_t offset = 0;
  auto waiter = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < recordsOfEach; ++i) {
      const std::uint64_t mine = offset;
      offset = (offset + recordBytes) % (fileBytes - recordBytes);
      co_await file->write(mine, lukhas::Bytes(recordBytes));
      co_await file->sync();
    }
  };
  for ([[maybe_unused]] auto _ : state) {
    for (std::int64_t i = 0; i < state.range(0); ++i) asio::co_spawn(io, waiter(), asio::detached);
    io.restart();
    io.run();
  }
  finish(state);
}

BENCHMARK(groupCommit)->Arg(1)->Arg(32)->Arg(128)->UseRealTime();
BENCHMARK(writeAndSyncEach)->Arg(1)->Arg(32)->Arg(128)->UseRealTime();

}  // namespace
