// HangingDisk: a disk that stops answering for a while.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/wait_list.hpp"
#include "lukhas/journal/disk.hpp"

namespace lukhas::test {

// A disk whose syncs of files wait while it hangs.
class HangingDisk final : public Disk {
 public:
  struct Hang {
    explicit Hang(const Environment& environment) : changed(environment) {}
    bool hangs = false;
    WaitList changed;
  };

  HangingDisk(std::shared_ptr<Disk> inner, const Environment& environment)
      : inner_(std::move(inner)), hang_(std::make_shared<Hang>(environment)) {}

  [[nodiscard]] unsigned opened() const noexcept { return opened_; }  // files, so far
  void hang(bool hangs) {
    hang_->hangs = hangs;
    hang_->changed.resumeAll();
  }

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    ++opened_;
    std::shared_ptr<File> file = co_await inner_->open(std::move(path), mode);
    co_return std::make_shared<HangingFile>(std::move(file), hang_);
  }
  asio::awaitable<std::vector<std::string>> list(std::string directory) override {
    return inner_->list(std::move(directory));
  }
  asio::awaitable<void> createDirectories(std::string directory) override {
    return inner_->createDirectories(std::move(directory));
  }
  asio::awaitable<void> rename(std::string from, std::string to) override {
    return inner_->rename(std::move(from), std::move(to));
  }
  asio::awaitable<void> remove(std::string path) override { return inner_->remove(std::move(path)); }
  asio::awaitable<void> syncDirectory(std::string directory) override {
    return inner_->syncDirectory(std::move(directory));
  }
  asio::awaitable<std::unique_ptr<DirectoryLock>> lock(std::string directory) override {
    return inner_->lock(std::move(directory));
  }

 private:
  class HangingFile final : public File {
   public:
    HangingFile(std::shared_ptr<File> inner, std::shared_ptr<Hang> hang)
        : inner_(std::move(inner)), hang_(std::move(hang)) {}
    asio::awaitable<Bytes> read(std::uint64_t offset, std::size_t size) override {
      return inner_->read(offset, size);
    }
    asio::awaitable<void> write(std::uint64_t offset, Bytes data) override {
      return inner_->write(offset, std::move(data));
    }
    asio::awaitable<void> sync() override {
      Hang* const hang = hang_.get();
      const auto moves = [hang] { return !hang->hangs; };
      while (!moves()) (void)co_await hang_->changed.wait(moves);
      co_await inner_->sync();
    }
    asio::awaitable<std::uint64_t> size() override { return inner_->size(); }
    asio::awaitable<void> truncate(std::uint64_t size) override { return inner_->truncate(size); }
    asio::awaitable<void> preallocate(std::uint64_t size) override { return inner_->preallocate(size); }

   private:
    std::shared_ptr<File> inner_;
    std::shared_ptr<Hang> hang_;
  };

  std::shared_ptr<Disk> inner_;
  std::shared_ptr<Hang> hang_;
  unsigned opened_ = 0;
};

}  // namespace lukhas::test
