// Disk and File: the narrow door to durable storage. PosixDisk is the real one, sim/SimulatedDisk the one
// that crashes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/core/bytes.hpp"

namespace lukhas {

// What survives a crash is exactly: the content of a file at its last completed sync(), and the names in a
// directory at its last completed syncDirectory(). Everything since may survive in whole, in part (any subset
// of 512-byte sectors, in any state that they had since; of the changes of names the first few), or not at
// all.
//
// Every call may fail with lukhas::Error and a JournalErrc: not_found, not_writable, disk_full, io_failed;
// details() name path, operation and the system's error number. Calls on one File are made one at a time by
// their owner; calls on different files may overlap. A call that was cancelled may still take effect, and one
// that failed may have taken effect in part.
class File {
 public:
  virtual ~File() = default;

  // Up to `size` bytes from `offset`; fewer only at the end of the file.
  [[nodiscard]] virtual asio::awaitable<Bytes> read(std::uint64_t offset, std::size_t size) = 0;
  // All of `data` at `offset`; a file grows as needed.
  [[nodiscard]] virtual asio::awaitable<void> write(std::uint64_t offset, Bytes data) = 0;
  // Content and size are durable when it returns. After a failure nothing is known of what was written since
  // the last success, and a second try may wrongly succeed (the kernel forgets the error): never retry.
  [[nodiscard]] virtual asio::awaitable<void> sync() = 0;
  // write() and then sync(). For disks that do both faster than one after the other; a crash in between
  // leaves the same.
  [[nodiscard]] virtual asio::awaitable<void> writeDurably(std::uint64_t offset, Bytes data) {
    co_await write(offset, std::move(data));
    co_await sync();
  }
  [[nodiscard]] virtual asio::awaitable<std::uint64_t> size() = 0;
  [[nodiscard]] virtual asio::awaitable<void> truncate(std::uint64_t size) = 0;
  // Reserves space up to `size` and fills new space with zeros, so that later writes need no metadata and
  // cannot run out of space. JournalErrc::disk_full when there is none.
  [[nodiscard]] virtual asio::awaitable<void> preallocate(std::uint64_t size) = 0;
};

enum class OpenMode {
  read,        // must exist
  read_write,  // must exist
  create_new,  // must not exist
  create,      // made or emptied
};

// Held while the object lives: no other process, and no other holder in this one, can lock the same
// directory.
class DirectoryLock {
 public:
  virtual ~DirectoryLock() = default;
};

class Disk {
 public:
  virtual ~Disk() = default;

  [[nodiscard]] virtual asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) = 0;
  // Names of the files directly in `directory`, sorted; JournalErrc::not_found when there is no such
  // directory.
  [[nodiscard]] virtual asio::awaitable<std::vector<std::string>> list(std::string directory) = 0;
  // With parents; durable when it returns. No error when it exists.
  [[nodiscard]] virtual asio::awaitable<void> createDirectories(std::string directory) = 0;
  // Replaces `to` in one step. Durable after syncDirectory() of both directories.
  [[nodiscard]] virtual asio::awaitable<void> rename(std::string from, std::string to) = 0;
  // No error when it does not exist. Durable after syncDirectory().
  [[nodiscard]] virtual asio::awaitable<void> remove(std::string path) = 0;
  [[nodiscard]] virtual asio::awaitable<void> syncDirectory(std::string directory) = 0;
  // JournalErrc::locked when somebody else holds it; details name the holder where it is known.
  [[nodiscard]] virtual asio::awaitable<std::unique_ptr<DirectoryLock>> lock(std::string directory) = 0;
};

}  // namespace lukhas
