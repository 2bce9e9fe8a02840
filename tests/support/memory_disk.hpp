// MemoryDisk: files in memory, at once and without faults, for tests that open very many of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/journal/disk.hpp"
#include "lukhas/journal/journal_error.hpp"

namespace lukhas::test {

class MemoryDisk final : public Disk {
 public:
  using Files = std::map<std::string, Bytes>;  // by path

  explicit MemoryDisk(Files files = {}) : state_(std::make_shared<State>()) {
    for (auto& [path, bytes] : files) state_->files[path] = std::make_shared<Bytes>(std::move(bytes));
  }

  [[nodiscard]] Files files() const {
    Files all;
    for (const auto& [path, bytes] : state_->files) all[path] = *bytes;
    return all;
  }
  // Calls that change something, or would keep others from doing so.
  [[nodiscard]] std::uint64_t changes() const noexcept { return state_->changes; }

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    const auto found = state_->files.find(path);
    const bool mustExist = mode == OpenMode::read || mode == OpenMode::read_write;
    if (mode != OpenMode::read) ++state_->changes;
    if (mustExist && found == state_->files.end()) fail(JournalErrc::not_found, path);
    if (mode == OpenMode::create_new && found != state_->files.end()) fail(JournalErrc::not_writable, path);
    std::shared_ptr<Bytes>& bytes = state_->files[path];
    if (!bytes) bytes = std::make_shared<Bytes>();
    if (mode == OpenMode::create) bytes->clear();
    co_return std::make_shared<MemoryFile>(state_, bytes);
  }
  asio::awaitable<std::vector<std::string>> list(std::string directory) override {
    std::vector<std::string> names;
    for (const auto& [path, bytes] : state_->files) {
      if (path.starts_with(directory + '/')) names.push_back(path.substr(directory.size() + 1));
    }
    co_return names;
  }
  asio::awaitable<void> createDirectories(std::string) override { return change(state_); }
  asio::awaitable<void> rename(std::string from, std::string to) override {
    ++state_->changes;
    auto moved = state_->files.extract(from);
    if (moved.empty()) fail(JournalErrc::not_found, from);
    moved.key() = to;
    state_->files.erase(to);
    state_->files.insert(std::move(moved));
    co_return;
  }
  asio::awaitable<void> remove(std::string path) override {
    state_->files.erase(path);
    return change(state_);
  }
  asio::awaitable<void> syncDirectory(std::string) override { return change(state_); }
  asio::awaitable<std::unique_ptr<DirectoryLock>> lock(std::string) override {
    ++state_->changes;
    co_return std::make_unique<DirectoryLock>();
  }

 private:
  struct State {
    std::map<std::string, std::shared_ptr<Bytes>> files;
    std::uint64_t changes = 0;
  };
  using StatePtr = std::shared_ptr<State>;

  class MemoryFile final : public File {
   public:
    MemoryFile(StatePtr state, std::shared_ptr<Bytes> bytes)
        : state_(std::move(state)), bytes_(std::move(bytes)) {}

    asio::awaitable<Bytes> read(std::uint64_t offset, std::size_t size) override {
      const std::size_t begin = std::min<std::size_t>(offset, bytes_->size());
      const std::size_t end = begin + std::min(size, bytes_->size() - begin);
      const auto at = [this](std::size_t place) {
        return bytes_->begin() + static_cast<std::ptrdiff_t>(place);
      };
      co_return Bytes(at(begin), at(end));
    }
    asio::awaitable<void> write(std::uint64_t offset, Bytes data) override {
      bytes_->resize(std::max<std::size_t>(bytes_->size(), offset + data.size()));
      std::copy(data.begin(), data.end(), bytes_->begin() + static_cast<std::ptrdiff_t>(offset));
      return change(state_);
    }
    asio::awaitable<void> sync() override { return change(state_); }
    asio::awaitable<std::uint64_t> size() override { co_return bytes_->size(); }
    asio::awaitable<void> truncate(std::uint64_t size) override {
      bytes_->resize(size);
      return change(state_);
    }
    asio::awaitable<void> preallocate(std::uint64_t size) override {
      bytes_->resize(std::max<std::size_t>(bytes_->size(), size));
      return change(state_);
    }

   private:
    StatePtr state_;
    std::shared_ptr<Bytes> bytes_;
  };

  static asio::awaitable<void> change(StatePtr state) {
    ++state->changes;
    co_return;
  }
  [[noreturn]] static void fail(JournalErrc code, const std::string& path) {
    throw Error(code, fmt::format("'{}': {}", path, describeError(code)), {{"path", path}});
  }

  StatePtr state_;
};

}  // namespace lukhas::test
