// LocalStores: a preserver in real time with SQLite, a directory and a journal below one folder.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include "lukhas/participants/directory_participant.hpp"
#include "lukhas/participants/sqlite_participant.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"

namespace lukhas::test {

class LocalStores {
 public:
  using DiskFactory = std::function<std::shared_ptr<Disk>(const Environment&)>;

  // The disks of journal and directory; left out: the system's.
  explicit LocalStores(std::string folder, const DiskFactory& ofJournal = {}, const DiskFactory& ofFiles = {},
                       Duration journalRestTime = std::chrono::milliseconds(10))
      : folder_(std::move(folder)),
        sqlite(SqliteParticipant::open("sqlite", folder_ + "/contexts.db")),
        files(DirectoryParticipant::open("files", folder_ + "/files",
                                         ofFiles ? ofFiles(environment()) : nullptr)) {
    AtomicContextPreserverOptions options;
    options.journalDirectory = folder_ + "/journal";
    if (ofJournal) options.disk = ofJournal(environment());
    options.journalSegmentBytes = std::uint64_t{64} << 10U;
    options.journalRestTime = journalRestTime;
    options.recoveryInterval = std::chrono::milliseconds(50);
    preserver = std::make_unique<AtomicContextPreserver>(Environment(io.get_executor()), std::move(options));
  }

  [[nodiscard]] static NameList names() { return NameList("files", "sqlite"); }
  [[nodiscard]] Environment environment() { return Environment(io.get_executor()); }

  [[nodiscard]] asio::awaitable<void> start() {
    co_await preserver->addParticipant(sqlite);
    co_await preserver->addParticipant(files);
    co_await preserver->start();
  }
  // Runs until `task` has ended, not until nothing is left to do; rethrows what it throws.
  void run(asio::awaitable<void> task) {
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(task), [this, &failure](std::exception_ptr error) {
      failure = std::move(error);
      io.stop();
    });
    io.restart();
    io.run();
    if (failure) std::rethrow_exception(failure);
  }
  // Files of transactions that are not finished.
  [[nodiscard]] std::size_t stagedFiles() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/files/staging")) {
      if (entry.path().filename() != "aborted") ++count;  // the fence against late prepares stays
    }
    return count;
  }

  asio::io_context io;

 private:
  std::string folder_;

 public:
  const std::shared_ptr<SqliteParticipant> sqlite;
  const std::shared_ptr<DirectoryParticipant> files;
  std::unique_ptr<AtomicContextPreserver> preserver;
};

}  // namespace lukhas::test
