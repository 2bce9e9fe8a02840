// SimulatedDisk: the disk of a simulation. It survives crashes as badly as a real one may, and fails when
// told.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/journal/disk.hpp"
#include "lukhas/journal/journal_error.hpp"
#include "lukhas/sim/present.hpp"
#include "lukhas/sim/simulated_file_system.hpp"

namespace lukhas {

namespace detail {

class SimulatedFile final : public File {
 public:
  SimulatedFile(std::shared_ptr<SimulatedFileSystem> disk, std::string path,
                SimulatedFileSystem::FilePtr file, OpenMode mode)
      : disk_(std::move(disk)),
        path_(std::move(path)),
        file_(std::move(file)),
        mode_(mode),
        life_(disk_->life) {}

  asio::awaitable<Bytes> read(std::uint64_t offset, std::size_t size) override {
    const SimulatedFile self = *this;
    co_await self.disk_->travel();
    self.requireAlive(DiskOperation::read);
    self.disk_->begin(DiskOperation::read, self.path_);
    Bytes bytes = self.file_->content.read(offset, size);
    co_await self.disk_->travel();
    co_return bytes;
  }
  asio::awaitable<void> write(std::uint64_t offset, Bytes data) override {
    const SimulatedFile self = *this;
    co_await self.disk_->travel();
    self.requireWritable(DiskOperation::write);
    self.disk_->write(*self.file_, self.path_, offset, data);
    co_await self.disk_->travel();
  }
  asio::awaitable<void> sync() override {
    const SimulatedFile self = *this;
    co_await self.disk_->travel();
    self.requireAlive(DiskOperation::sync);
    self.disk_->sync(*self.file_, self.path_);
    co_await self.disk_->travel();
  }
  asio::awaitable<std::uint64_t> size() override {
    const SimulatedFile self = *this;
    co_await self.disk_->travel();
    self.requireAlive(DiskOperation::size);
    self.disk_->begin(DiskOperation::size, self.path_);
    co_return self.file_->content.size();
  }
  asio::awaitable<void> truncate(std::uint64_t size) override {
    const SimulatedFile self = *this;
    co_await self.disk_->travel();
    self.requireWritable(DiskOperation::truncate);
    self.disk_->begin(DiskOperation::truncate, self.path_);
    self.file_->content.resize(size);
    co_await self.disk_->travel();
  }
  asio::awaitable<void> preallocate(std::uint64_t size) override {
    const SimulatedFile self = *this;
    co_await self.disk_->travel();
    self.requireWritable(DiskOperation::preallocate);
    self.disk_->preallocate(*self.file_, self.path_, size);
    co_await self.disk_->travel();
  }

 private:
  void requireAlive(DiskOperation operation) const {
    if (life_ != disk_->life) SimulatedFileSystem::fail(JournalErrc::io_failed, operation, path_);
  }
  void requireWritable(DiskOperation operation) const {
    requireAlive(operation);
    if (mode_ == OpenMode::read) SimulatedFileSystem::fail(JournalErrc::io_failed, operation, path_);
  }

  std::shared_ptr<SimulatedFileSystem> disk_;
  std::string path_;
  SimulatedFileSystem::FilePtr file_;
  OpenMode mode_;
  std::uint64_t life_;
};

class SimulatedDirectoryLock final : public DirectoryLock {
 public:
  SimulatedDirectoryLock(std::shared_ptr<SimulatedFileSystem> disk, std::string directory,
                         std::uint64_t holder)
      : disk_(std::move(disk)), directory_(std::move(directory)), holder_(holder) {}
  SimulatedDirectoryLock(const SimulatedDirectoryLock&) = delete;
  SimulatedDirectoryLock& operator=(const SimulatedDirectoryLock&) = delete;
  ~SimulatedDirectoryLock() override { disk_->unlock(directory_, holder_); }

 private:
  std::shared_ptr<SimulatedFileSystem> disk_;
  std::string directory_;
  std::uint64_t holder_;
};

}  // namespace detail

// Every operation takes a little virtual time before it takes effect and a little more before its caller
// hears of it, so that a crash can fall between any two of them. What a crash leaves is drawn from the seed:
//   - of each file, what was synced; of every 512-byte sector that was changed since, and of the size, any
//     state that it had since then: the durable one, the newest, or one in between;
//   - of each directory's names, those at its last syncDirectory(), and of the changes since (files made,
//     renamed, removed) the first few; a rename between two directories happens in both or in none;
//   - no locks. Open files of the ended life fail with JournalErrc::io_failed.
// Directories themselves are durable at once. "." and "/" exist; paths that mean the same are the same.
//
//   world.disk()->failNextSync();                       // one call fails, with JournalErrc::io_failed
//   world.disk()->failNext(DiskOperation::read);
//   world.disk()->fillUp();                             // no file can grow: JournalErrc::disk_full
//   world.disk()->flipBit("journal/segment-0000000001.log", 100);
//
// One thread, as the simulation itself.
class SimulatedDisk final : public Disk {
 public:
  explicit SimulatedDisk(const std::shared_ptr<detail::Present>& present)
      : state_(std::make_shared<detail::SimulatedFileSystem>(present)) {}

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    const std::shared_ptr<detail::SimulatedFileSystem> state = state_;
    co_await state->travel();
    auto file = std::make_shared<detail::SimulatedFile>(state, path, state->open(path, mode), mode);
    co_await state->travel();
    co_return file;
  }
  asio::awaitable<std::vector<std::string>> list(std::string directory) override {
    const std::shared_ptr<detail::SimulatedFileSystem> state = state_;
    co_await state->travel();
    co_return state->list(directory);
  }
  asio::awaitable<void> createDirectories(std::string directory) override {
    const std::shared_ptr<detail::SimulatedFileSystem> state = state_;
    co_await state->travel();
    state->begin(DiskOperation::create_directories, directory);
    state->makeDirectories(directory);
    co_await state->travel();
  }
  asio::awaitable<void> rename(std::string from, std::string to) override {
    const std::shared_ptr<detail::SimulatedFileSystem> state = state_;
    co_await state->travel();
    state->rename(from, to);
    co_await state->travel();
  }
  asio::awaitable<void> remove(std::string path) override {
    const std::shared_ptr<detail::SimulatedFileSystem> state = state_;
    co_await state->travel();
    state->remove(path);
    co_await state->travel();
  }
  asio::awaitable<void> syncDirectory(std::string directory) override {
    const std::shared_ptr<detail::SimulatedFileSystem> state = state_;
    co_await state->travel();
    state->syncDirectory(directory);
    co_await state->travel();
  }
  asio::awaitable<std::unique_ptr<DirectoryLock>> lock(std::string directory) override {
    const std::shared_ptr<detail::SimulatedFileSystem> state = state_;
    co_await state->travel();
    const std::uint64_t holder = state->lock(directory);
    const std::string path = detail::SimulatedFileSystem::normal(directory);
    auto held = std::make_unique<detail::SimulatedDirectoryLock>(state, path, holder);
    co_await state->travel();
    co_return held;
  }

  // A power cut, as above; faults that wait for an operation are forgotten. The Simulation calls it.
  void crash() { state_->crash(); }

  // The next call of that kind, after `skip` that go well, fails and does nothing. Of a failed sync, part may
  // be on the disk; what is not may never be, also when a later sync succeeds.
  void failNext(DiskOperation operation, JournalErrc code = JournalErrc::io_failed, std::uint64_t skip = 0) {
    state_->faults.push_back({operation, code, skip});
  }
  void failNextSync() { failNext(DiskOperation::sync); }
  void forgetFaults() noexcept { state_->faults.clear(); }
  // Bytes that all files together can have.
  void setCapacity(std::uint64_t bytes) { state_->capacity = bytes; }
  void fillUp() { setCapacity(state_->used()); }
  void freeUp() { setCapacity(std::numeric_limits<std::uint64_t>::max()); }
  // Nothing in the directory can be made, changed, renamed, removed or locked: JournalErrc::not_writable.
  void setWritable(const std::string& directory, bool writable) {
    state_->makeDirectories(directory);
    state_->directories.at(detail::SimulatedFileSystem::normal(directory)).writable = writable;
  }
  // Durable at once, with parents.
  void makeDirectory(const std::string& directory) { state_->makeDirectories(directory); }
  // Damage that no sync repairs. The file must exist, and be that long.
  void flipBit(const std::string& path, std::uint64_t offset, unsigned bit = 0) {
    const detail::SimulatedFileSystem::FilePtr file = state_->find(path);
    if (!file || offset >= file->content.size())
      detail::SimulatedFileSystem::fail(JournalErrc::not_found, DiskOperation::write, path);
    file->content.flipBit(offset, bit);
  }

  // What a process would see now, for tests to look at.
  [[nodiscard]] bool exists(const std::string& path) const { return state_->find(path) != nullptr; }
  [[nodiscard]] Bytes contents(const std::string& path) const {
    const detail::SimulatedFileSystem::FilePtr file = state_->find(path);
    if (!file) detail::SimulatedFileSystem::fail(JournalErrc::not_found, DiskOperation::read, path);
    return file->content.read(0, static_cast<std::size_t>(file->content.size()));
  }
  // Whether a failure that was asked for has not happened yet.
  [[nodiscard]] bool faultPending() const noexcept { return !state_->faults.empty(); }
  [[nodiscard]] std::uint64_t usedBytes() const { return state_->used(); }
  // How many operations have taken effect or failed so far.
  [[nodiscard]] std::uint64_t operations() const noexcept { return state_->operations; }

 private:
  std::shared_ptr<detail::SimulatedFileSystem> state_;
};

}  // namespace lukhas
