// FailingDisk: a real disk that is full, or read-only, from one moment to another.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "lukhas/journal/journal_error.hpp"
#include "support/forwarding_disk.hpp"

namespace lukhas::test {

class FailingDisk final : public ForwardingDisk {
 public:
  enum class State {
    sound,
    full,       // nothing can be made or made longer; what has space already can be written
    read_only,  // nothing can be written, made, renamed or removed
  };

  explicit FailingDisk(std::shared_ptr<Disk> disk) : ForwardingDisk(std::move(disk)) {}

  void set(State state) noexcept { *state_ = state; }

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    if (mode != OpenMode::read) requireWritable(*state_, path);
    if (mode == OpenMode::create || mode == OpenMode::create_new) requireSpace(*state_, path);
    std::shared_ptr<File> file = co_await disk()->open(path, mode);
    co_return std::make_shared<FailingFile>(std::move(file), state_, path);
  }
  asio::awaitable<void> createDirectories(std::string directory) override {
    return disk()->createDirectories(std::move(directory));
  }
  asio::awaitable<void> rename(std::string from, std::string to) override {
    requireWritable(*state_, from);
    co_await disk()->rename(from, to);
  }
  asio::awaitable<void> remove(std::string path) override {
    requireWritable(*state_, path);
    co_await disk()->remove(path);
  }

 private:
  using Shared = std::shared_ptr<std::atomic<State>>;

  class FailingFile final : public ForwardingFile {
   public:
    FailingFile(std::shared_ptr<File> file, Shared state, std::string path)
        : ForwardingFile(std::move(file)), state_(std::move(state)), path_(std::move(path)) {}

    asio::awaitable<void> write(std::uint64_t offset, Bytes data) override {
      requireWritable(*state_, path_);
      const std::uint64_t held = co_await file()->size();
      if (offset + data.size() > held) requireSpace(*state_, path_);
      co_await file()->write(offset, std::move(data));
    }
    asio::awaitable<void> truncate(std::uint64_t size) override {
      requireWritable(*state_, path_);
      co_await file()->truncate(size);
    }
    asio::awaitable<void> preallocate(std::uint64_t size) override {
      requireWritable(*state_, path_);
      requireSpace(*state_, path_);
      co_await file()->preallocate(size);
    }

   private:
    Shared state_;
    std::string path_;
  };

  static void requireSpace(State state, const std::string& path) {
    if (state == State::full) {
      throw Error(JournalErrc::disk_full, fmt::format("write of '{}' failed: no space left", path),
                  {{"path", path}});
    }
  }
  static void requireWritable(State state, const std::string& path) {
    if (state == State::read_only) {
      throw Error(JournalErrc::not_writable, fmt::format("write of '{}' failed: read-only file system", path),
                  {{"path", path}});
    }
  }

  Shared state_ = std::make_shared<std::atomic<State>>(State::sound);
};

}  // namespace lukhas::test
