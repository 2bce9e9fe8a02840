// ForwardingDisk and ForwardingFile: pass every call on; for disks of tests that change one of them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/journal/disk.hpp"

namespace lukhas::test {

class ForwardingFile : public File {
 public:
  explicit ForwardingFile(std::shared_ptr<File> file) : file_(std::move(file)) {}

  asio::awaitable<Bytes> read(std::uint64_t offset, std::size_t size) override {
    return file_->read(offset, size);
  }
  asio::awaitable<void> write(std::uint64_t offset, Bytes data) override {
    return file_->write(offset, std::move(data));
  }
  asio::awaitable<void> sync() override { return file_->sync(); }
  asio::awaitable<std::uint64_t> size() override { return file_->size(); }
  asio::awaitable<void> truncate(std::uint64_t size) override { return file_->truncate(size); }
  asio::awaitable<void> preallocate(std::uint64_t size) override { return file_->preallocate(size); }

 protected:
  [[nodiscard]] const std::shared_ptr<File>& file() const noexcept { return file_; }

 private:
  std::shared_ptr<File> file_;
};

class ForwardingDisk : public Disk {
 public:
  explicit ForwardingDisk(std::shared_ptr<Disk> disk) : disk_(std::move(disk)) {}

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    return disk_->open(std::move(path), mode);
  }
  asio::awaitable<std::vector<std::string>> list(std::string directory) override {
    return disk_->list(std::move(directory));
  }
  asio::awaitable<void> createDirectories(std::string directory) override {
    return disk_->createDirectories(std::move(directory));
  }
  asio::awaitable<void> rename(std::string from, std::string to) override {
    return disk_->rename(std::move(from), std::move(to));
  }
  asio::awaitable<void> remove(std::string path) override { return disk_->remove(std::move(path)); }
  asio::awaitable<void> syncDirectory(std::string directory) override {
    return disk_->syncDirectory(std::move(directory));
  }
  asio::awaitable<std::unique_ptr<DirectoryLock>> lock(std::string directory) override {
    return disk_->lock(std::move(directory));
  }

 protected:
  [[nodiscard]] const std::shared_ptr<Disk>& disk() const noexcept { return disk_; }

 private:
  std::shared_ptr<Disk> disk_;
};

}  // namespace lukhas::test
