// PosixDisk: the real disk. Every call that blocks runs on one lane, never on the io_context.
#pragma once

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "lukhas/async/blocking_lane.hpp"
#include "lukhas/journal/disk.hpp"
#include "lukhas/journal/journal_error.hpp"

namespace lukhas {

namespace detail {

[[noreturn]] inline void throwDiskError(const std::string& path, const char* operation, int number) {
  JournalErrc code = JournalErrc::io_failed;
  if (number == ENOENT) code = JournalErrc::not_found;
  if (number == ENOSPC || number == EDQUOT) code = JournalErrc::disk_full;
  const bool denied = number == EACCES || number == EPERM || number == EROFS || number == ENOTDIR ||
                      number == EISDIR || number == EEXIST;
  if (denied) code = JournalErrc::not_writable;
  nlohmann::json details{{"path", path}, {"operation", operation}, {"errno", number}};
  const std::string reason = std::generic_category().message(number);
  throw Error(code, fmt::format("{} of '{}' failed: {}", operation, path, reason), std::move(details));
}

// A file descriptor that closes itself. All methods block.
class PosixDescriptor {
 public:
  PosixDescriptor(std::string path, int flags, const char* operation) : path_(std::move(path)) {
    do {
      descriptor_ = ::open(path_.c_str(), flags | O_CLOEXEC, 0644);
    } while (descriptor_ < 0 && errno == EINTR);
    if (descriptor_ < 0) throwDiskError(path_, operation, errno);
  }
  PosixDescriptor(const PosixDescriptor&) = delete;
  PosixDescriptor& operator=(const PosixDescriptor&) = delete;
  ~PosixDescriptor() { ::close(descriptor_); }

  [[nodiscard]] int get() const noexcept { return descriptor_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  Bytes read(std::uint64_t offset, std::size_t size) const {
    Bytes bytes(std::min<std::uint64_t>(size, this->size() > offset ? this->size() - offset : 0));
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got =
          ::pread(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throwDiskError(path_, "read", errno);
      if (got == 0) break;
      done += static_cast<std::size_t>(got);
    }
    bytes.resize(done);
    return bytes;
  }
  void write(std::uint64_t offset, const Bytes& bytes) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t put =
          ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) throwDiskError(path_, "write", errno);
      done += static_cast<std::size_t>(put);
    }
  }
  void syncData() const {
    if (::fdatasync(descriptor_) != 0) throwDiskError(path_, "fdatasync", errno);
  }
  void syncAll() const {
    if (::fsync(descriptor_) != 0) throwDiskError(path_, "fsync", errno);
  }
  [[nodiscard]] std::uint64_t size() const {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) throwDiskError(path_, "stat", errno);
    return static_cast<std::uint64_t>(status.st_size);
  }
  void truncate(std::uint64_t size) const {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) throwDiskError(path_, "truncate", errno);
  }
  void preallocate(std::uint64_t size) const {
    if (this->size() >= size) return;
    int failed = EINTR;
    while (failed == EINTR) failed = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(size));
    if (failed != 0) throwDiskError(path_, "preallocate", failed);
  }

 private:
  std::string path_;
  int descriptor_ = -1;
};

class PosixFile final : public File {
 public:
  PosixFile(std::shared_ptr<BlockingLane> lane, std::shared_ptr<PosixDescriptor> descriptor)
      : lane_(std::move(lane)), descriptor_(std::move(descriptor)) {}

  asio::awaitable<Bytes> read(std::uint64_t offset, std::size_t size) override {
    auto job = [file = descriptor_, offset, size] { return file->read(offset, size); };
    co_return co_await lane_->run(job);
  }
  asio::awaitable<void> write(std::uint64_t offset, Bytes data) override {
    auto job = [file = descriptor_, offset, bytes = std::move(data)] { file->write(offset, bytes); };
    co_await lane_->run(std::move(job));
  }
  asio::awaitable<void> sync() override {
    auto job = [file = descriptor_] { file->syncData(); };
    co_await lane_->run(job);
  }
  // One way to the lane and back instead of two.
  asio::awaitable<void> writeDurably(std::uint64_t offset, Bytes data) override {
    auto job = [file = descriptor_, offset, bytes = std::move(data)] {
      file->write(offset, bytes);
      file->syncData();
    };
    co_await lane_->run(std::move(job));
  }
  asio::awaitable<std::uint64_t> size() override {
    auto job = [file = descriptor_] { return file->size(); };
    co_return co_await lane_->run(job);
  }
  asio::awaitable<void> truncate(std::uint64_t size) override {
    auto job = [file = descriptor_, size] { file->truncate(size); };
    co_await lane_->run(job);
  }
  asio::awaitable<void> preallocate(std::uint64_t size) override {
    auto job = [file = descriptor_, size] { file->preallocate(size); };
    co_await lane_->run(job);
  }

 private:
  std::shared_ptr<BlockingLane> lane_;
  std::shared_ptr<PosixDescriptor> descriptor_;
};

// flock() on a file of its own; the kernel releases it when the process ends, however it ends. The file names
// the holder where it can.
class PosixDirectoryLock final : public DirectoryLock {
 public:
  explicit PosixDirectoryLock(const std::string& directory) : file_(openIn(directory)) {
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK) throwDiskError(directory, "lock", errno);
      refuse(directory);
    }
    try {
      file_.truncate(0);
      file_.write(0, toBytes(fmt::format("{}", ::getpid())));
    } catch (const Error&) {
      // The name is for people; a full disk must not keep a journal from opening.
    }
  }

 private:
  [[nodiscard]] static PosixDescriptor openIn(const std::string& directory) {
    try {
      return PosixDescriptor(directory + "/lock", O_RDWR | O_CREAT, "lock");
    } catch (const Error& error) {  // what cannot be used is the directory
      throwDiskError(directory, "lock", error.details().at("errno").get<int>());
    }
  }
  [[noreturn]] void refuse(const std::string& directory) const {
    const Bytes text = file_.read(0, 20);
    std::string holder;
    for (const char c : asText(text)) {
      if (c >= '0' && c <= '9') holder += c;
    }
    nlohmann::json details{{"path", directory}, {"holder", holder}};
    throw Error(JournalErrc::locked, fmt::format("directory '{}' is in use by process {}", directory, holder),
                std::move(details));
  }

  PosixDescriptor file_;
};

}  // namespace detail

// Files of the operating system.
//
//   auto disk = std::make_shared<lukhas::PosixDisk>(environment);
//
// fdatasync and everything else that can block runs on one dedicated thread, in order. An error is reported
// as it is and never retried: after a failed sync the kernel may have dropped what was to be written. Locks
// are flock()s: they hold on one machine, and go with the process. Any thread may call.
class PosixDisk final : public Disk {
 public:
  explicit PosixDisk(const Environment& environment)
      : lane_(std::make_shared<BlockingLane>(environment, "disk")) {}

  asio::awaitable<std::shared_ptr<File>> open(std::string path, OpenMode mode) override {
    auto job = [path = std::move(path), mode] {
      int flags = O_RDONLY;
      if (mode == OpenMode::read_write) flags = O_RDWR;
      if (mode == OpenMode::create_new) flags = O_RDWR | O_CREAT | O_EXCL;
      if (mode == OpenMode::create) flags = O_RDWR | O_CREAT | O_TRUNC;
      return std::make_shared<detail::PosixDescriptor>(path, flags, "open");
    };
    std::shared_ptr<detail::PosixDescriptor> descriptor = co_await lane_->run(std::move(job));
    co_return std::make_shared<detail::PosixFile>(lane_, std::move(descriptor));
  }

  asio::awaitable<std::vector<std::string>> list(std::string directory) override {
    auto job = [directory = std::move(directory)] {
      std::error_code failed;
      std::vector<std::string> names;
      std::filesystem::directory_iterator entry(directory, failed);
      while (!failed && entry != std::filesystem::directory_iterator()) {
        std::error_code vanished;
        if (entry->is_regular_file(vanished)) names.push_back(entry->path().filename().string());
        entry.increment(failed);
      }
      if (failed) detail::throwDiskError(directory, "list", failed.value());
      std::sort(names.begin(), names.end());
      return names;
    };
    co_return co_await lane_->run(std::move(job));
  }

  asio::awaitable<void> createDirectories(std::string directory) override {
    auto job = [directory = std::move(directory)] { makeDurable(std::filesystem::path(directory)); };
    co_await lane_->run(std::move(job));
  }

  asio::awaitable<void> rename(std::string from, std::string to) override {
    auto job = [from = std::move(from), to = std::move(to)] {
      if (::rename(from.c_str(), to.c_str()) != 0) detail::throwDiskError(from, "rename", errno);
    };
    co_await lane_->run(std::move(job));
  }

  asio::awaitable<void> remove(std::string path) override {
    auto job = [path = std::move(path)] {
      if (::unlink(path.c_str()) != 0 && errno != ENOENT) detail::throwDiskError(path, "remove", errno);
    };
    co_await lane_->run(std::move(job));
  }

  asio::awaitable<void> syncDirectory(std::string directory) override {
    auto job = [directory = std::move(directory)] { syncNow(directory); };
    co_await lane_->run(std::move(job));
  }

  asio::awaitable<std::unique_ptr<DirectoryLock>> lock(std::string directory) override {
    auto job = [directory = std::move(directory)]() -> std::unique_ptr<DirectoryLock> {
      return std::make_unique<detail::PosixDirectoryLock>(directory);
    };
    co_return co_await lane_->run(std::move(job));
  }

 private:
  static void syncNow(const std::string& directory) {
    const detail::PosixDescriptor descriptor(directory.empty() ? "." : directory, O_RDONLY | O_DIRECTORY,
                                             "open");
    descriptor.syncAll();
  }
  static void makeDurable(const std::filesystem::path& path) {
    std::error_code failed;
    if (std::filesystem::is_directory(path, failed)) {
      // An earlier process may have ended between making the directory and the sync. Where the parent may not
      // be opened, somebody else has made it.
      try {
        syncNow(path.parent_path().string());
      } catch (const Error&) {
      }
      return;
    }
    if (path.has_parent_path() && path.parent_path() != path) makeDurable(path.parent_path());
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
      detail::throwDiskError(path.string(), "make directory", errno);
    if (!std::filesystem::is_directory(path, failed))
      detail::throwDiskError(path.string(), "make directory", ENOTDIR);
    syncNow(path.parent_path().string());
  }

  std::shared_ptr<BlockingLane> lane_;
};

}  // namespace lukhas
