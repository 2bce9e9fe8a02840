// SimulatedFileSystem: what a simulated disk holds: files, names, locks, and the faults that wait for a call.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/journal/disk.hpp"
#include "lukhas/journal/journal_error.hpp"
#include "lukhas/sim/present.hpp"
#include "lukhas/sim/simulated_file_content.hpp"

namespace lukhas {

enum class DiskOperation {
  open,
  read,
  write,
  sync,
  size,
  truncate,
  preallocate,
  list,
  create_directories,
  rename,
  remove,
  sync_directory,
  lock,
};

constexpr const char* toString(DiskOperation operation) noexcept {
  switch (operation) {
    case DiskOperation::open: return "open";
    case DiskOperation::read: return "read";
    case DiskOperation::write: return "write";
    case DiskOperation::sync: return "sync";
    case DiskOperation::size: return "size";
    case DiskOperation::truncate: return "truncate";
    case DiskOperation::preallocate: return "preallocate";
    case DiskOperation::list: return "list";
    case DiskOperation::create_directories: return "create directories";
    case DiskOperation::rename: return "rename";
    case DiskOperation::remove: return "remove";
    case DiskOperation::sync_directory: return "sync directory";
    case DiskOperation::lock: return "lock";
  }
  return "unknown";
}

namespace detail {

// Files, names and faults, without time: everything here takes effect at once.
class SimulatedFileSystem {
 public:
  struct File {
    std::uint64_t id = 0;
    SimulatedFileContent content;
  };
  using FilePtr = std::shared_ptr<File>;

  explicit SimulatedFileSystem(std::weak_ptr<Present> present) : present_(std::move(present)) {}

  // One half of the way to the disk or back: a crash may come before an effect, and after it but before its
  // caller hears of it.
  [[nodiscard]] asio::awaitable<void> travel() {
    const std::shared_ptr<Present> present = present_.lock();
    const Duration time(5'000 + static_cast<Duration::rep>(present->chance().below(60'000)));
    return present->environment().sleepFor(time);
  }

  // Counts the operation, and throws when it has to fail.
  void begin(DiskOperation operation, const std::string& path) {
    ++operations;
    for (auto fault = faults.begin(); fault != faults.end(); ++fault) {
      if (fault->operation != operation) continue;
      if (fault->skip-- > 0) continue;
      const JournalErrc code = fault->code;
      faults.erase(fault);
      fail(code, operation, path);
    }
  }
  [[noreturn]] static void fail(JournalErrc code, DiskOperation operation, const std::string& path) {
    nlohmann::json details{{"path", path}, {"operation", toString(operation)}};
    if (code == JournalErrc::locked) details["holder"] = "another part of the simulation";
    throw Error(code, fmt::format("{} of '{}' failed: {}", toString(operation), path, describeError(code)),
                std::move(details));
  }

  [[nodiscard]] FilePtr open(const std::string& path, OpenMode mode) {
    begin(DiskOperation::open, path);
    const Place place = placeOf(path);
    if (directories.contains(normal(path))) fail(JournalErrc::not_writable, DiskOperation::open, path);
    Directory& directory = directoryAt(place.directory, DiskOperation::open, path);
    if (mode != OpenMode::read) requireWritable(directory, DiskOperation::open, path);
    const auto found = directory.names.find(place.name);
    if (found != directory.names.end()) {
      if (mode == OpenMode::create_new) fail(JournalErrc::not_writable, DiskOperation::open, path);
      if (mode == OpenMode::create) found->second->content.resize(0);
      return found->second;
    }
    if (mode == OpenMode::read || mode == OpenMode::read_write)
      fail(JournalErrc::not_found, DiskOperation::open, path);
    auto file = std::make_shared<File>(File{++filesMade_, {}});
    directory.change({"", place.name, file, ++changes_, ""});
    return file;
  }

  [[nodiscard]] std::vector<std::string> list(const std::string& path) {
    begin(DiskOperation::list, path);
    std::vector<std::string> names;
    for (const auto& [name, file] : directoryAt(normal(path), DiskOperation::list, path).names)
      names.push_back(name);
    return names;
  }

  void makeDirectories(const std::string& path) {
    std::string made;
    const std::filesystem::path whole(normal(path));
    for (const auto& part : whole) {
      made = normal((std::filesystem::path(made) / part).string());
      if (directories.contains(made)) continue;
      const Place place = placeOf(made);
      Directory& parent = directoryAt(place.directory, DiskOperation::create_directories, path);
      requireWritable(parent, DiskOperation::create_directories, path);
      if (parent.names.contains(place.name))
        fail(JournalErrc::not_writable, DiskOperation::create_directories, path);
      directories[made];
    }
  }

  void rename(const std::string& from, const std::string& to) {
    begin(DiskOperation::rename, from);
    const Place source = placeOf(from);
    const Place target = placeOf(to);
    Directory& out = directoryAt(source.directory, DiskOperation::rename, from);
    Directory& in = directoryAt(target.directory, DiskOperation::rename, to);
    requireWritable(out, DiskOperation::rename, from);
    requireWritable(in, DiskOperation::rename, to);
    const auto found = out.names.find(source.name);
    if (found == out.names.end()) fail(JournalErrc::not_found, DiskOperation::rename, from);
    const FilePtr file = found->second;
    if (&out == &in && source.name == target.name) return;
    if (&out == &in) return out.change({source.name, target.name, file, ++changes_, ""});
    ++changes_;
    in.change({"", target.name, file, changes_, source.directory});
    out.change({source.name, "", nullptr, changes_, target.directory});
  }

  void remove(const std::string& path) {
    begin(DiskOperation::remove, path);
    const Place place = placeOf(path);
    if (!directories.contains(place.directory)) return;
    Directory& directory = directoryAt(place.directory, DiskOperation::remove, path);
    requireWritable(directory, DiskOperation::remove, path);
    if (directory.names.contains(place.name)) directory.change({place.name, "", nullptr, ++changes_, ""});
  }

  void syncDirectory(const std::string& path) {
    begin(DiskOperation::sync_directory, path);
    Directory& directory = directoryAt(normal(path), DiskOperation::sync_directory, path);
    Prefixes durable;
    durable[normal(path)] = directory.log.size();
    settleNames(std::move(durable));
  }

  [[nodiscard]] std::uint64_t lock(const std::string& path) {
    begin(DiskOperation::lock, path);
    Directory& directory = directoryAt(normal(path), DiskOperation::lock, path);
    requireWritable(directory, DiskOperation::lock, path);
    if (directory.lockedBy != 0) fail(JournalErrc::locked, DiskOperation::lock, path);
    if (!directory.names.contains("lock")) {
      auto file = std::make_shared<File>(File{++filesMade_, {}});
      directory.change({"", "lock", std::move(file), ++changes_, ""});
    }
    directory.lockedBy = ++locksMade_;
    return directory.lockedBy;
  }
  void unlock(const std::string& path, std::uint64_t holder) noexcept {
    const auto found = directories.find(path);
    if (found != directories.end() && found->second.lockedBy == holder) found->second.lockedBy = 0;
  }

  void write(File& file, const std::string& path, std::uint64_t offset, const Bytes& data) {
    begin(DiskOperation::write, path);
    const std::uint64_t end = offset + data.size();
    const std::uint64_t room = capacity - std::min(capacity, used());
    if (end > file.content.size() && end - file.content.size() > room) {
      const std::uint64_t fits = std::min<std::uint64_t>(data.size(), room);
      const ByteView part = ByteView(data).first(static_cast<std::size_t>(chance().below(fits + 1)));
      if (offset <= file.content.size() && !part.empty()) file.content.write(offset, part);
      fail(JournalErrc::disk_full, DiskOperation::write, path);
    }
    file.content.write(offset, data);
  }
  void sync(File& file, const std::string& path) {
    try {
      begin(DiskOperation::sync, path);
    } catch (const Error&) {
      file.content.failSync(chance());
      throw;
    }
    file.content.sync();
  }
  void preallocate(File& file, const std::string& path, std::uint64_t size) {
    begin(DiskOperation::preallocate, path);
    if (size <= file.content.size()) return;
    const std::uint64_t room = capacity - std::min(capacity, used());
    const std::uint64_t grown = size - file.content.size();
    if (grown > room) {
      file.content.resize(file.content.size() + chance().below(room + 1));
      fail(JournalErrc::disk_full, DiskOperation::preallocate, path);
    }
    file.content.resize(size);
  }

  void crash() {
    ++life;
    faults.clear();
    Prefixes survived;
    for (auto& [path, directory] : directories) {
      survived[path] = static_cast<std::size_t>(chance().below(directory.log.size() + 1));
      directory.lockedBy = 0;
    }
    settleNames(std::move(survived));
    std::map<std::uint64_t, FilePtr> files;
    for (auto& [path, directory] : directories) {
      directory.log.clear();
      directory.names = directory.durableNames;
      for (const auto& [name, file] : directory.names) files[file->id] = file;
    }
    for (const auto& [id, file] : files) file->content.crash(chance());
  }

  [[nodiscard]] FilePtr find(const std::string& path) const {
    const Place place = placeOf(path);
    const auto directory = directories.find(place.directory);
    if (directory == directories.end()) return nullptr;
    const auto found = directory->second.names.find(place.name);
    return found == directory->second.names.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::uint64_t used() const {
    std::map<std::uint64_t, std::uint64_t> sizes;
    for (const auto& [path, directory] : directories) {
      for (const auto& [name, file] : directory.names) sizes[file->id] = file->content.size();
    }
    std::uint64_t sum = 0;
    for (const auto& [id, size] : sizes) sum += size;
    return sum;
  }
  [[nodiscard]] static std::string normal(const std::string& path) {
    std::string text = std::filesystem::path(path).lexically_normal().string();
    if (text.size() > 1 && text.back() == '/') text.pop_back();
    return text.empty() ? "." : text;
  }
  [[nodiscard]] SplitMix& chance() { return present_.lock()->chance(); }

  struct NameChange {
    std::string removed;  // either may be empty
    std::string added;
    FilePtr file;
    std::uint64_t number = 0;
    std::string twin;  // directory in which the other half of a rename is
  };
  struct Directory {
    std::map<std::string, FilePtr> names;
    std::map<std::string, FilePtr> durableNames;
    std::vector<NameChange> log;  // since the last sync
    bool writable = true;
    std::uint64_t lockedBy = 0;

    void change(NameChange change) {
      apply(change, names);
      log.push_back(std::move(change));
    }
    static void apply(const NameChange& change, std::map<std::string, FilePtr>& to) {
      if (!change.removed.empty()) to.erase(change.removed);
      if (!change.added.empty()) to[change.added] = change.file;
    }
  };
  struct Fault {
    DiskOperation operation = DiskOperation::open;
    JournalErrc code = JournalErrc::io_failed;
    std::uint64_t skip = 0;
  };

  std::map<std::string, Directory> directories{{".", {}}, {"/", {}}};
  std::vector<Fault> faults;
  std::uint64_t capacity = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t operations = 0;
  std::uint64_t life = 0;

 private:
  struct Place {
    std::string directory;
    std::string name;
  };
  using Prefixes = std::map<std::string, std::size_t>;  // how many of a directory's changes

  [[nodiscard]] static Place placeOf(const std::string& path) {
    const std::filesystem::path whole(normal(path));
    return {normal(whole.parent_path().string()), whole.filename().string()};
  }
  [[nodiscard]] Directory& directoryAt(const std::string& directory, DiskOperation operation,
                                       const std::string& path) {
    const auto found = directories.find(directory);
    if (found == directories.end()) fail(JournalErrc::not_found, operation, path);
    return found->second;
  }
  static void requireWritable(const Directory& directory, DiskOperation operation, const std::string& path) {
    if (!directory.writable) fail(JournalErrc::not_writable, operation, path);
  }

  // Makes the first changes of each log durable. A rename from one directory to another takes both sides or
  // none, as on every file system with a journal.
  void settleNames(Prefixes durable) {
    for (bool grown = true; std::exchange(grown, false);) {
      for (const auto& [path, directory] : directories) {
        for (std::size_t i = 0; i < durable[path]; ++i) {
          const NameChange& change = directory.log[i];
          if (change.twin.empty()) continue;
          const std::vector<NameChange>& log = directories.at(change.twin).log;
          const auto other =
              std::find_if(log.begin(), log.end(), [&](const auto& c) { return c.number == change.number; });
          const auto needed = static_cast<std::size_t>(other - log.begin()) + (other != log.end() ? 1U : 0U);
          if (other == log.end() || durable[change.twin] >= needed) continue;
          durable[change.twin] = needed;
          grown = true;
        }
      }
    }
    for (auto& [path, directory] : directories) {
      const auto end = directory.log.begin() + static_cast<std::ptrdiff_t>(durable[path]);
      for (auto change = directory.log.begin(); change != end; ++change)
        Directory::apply(*change, directory.durableNames);
      directory.log.erase(directory.log.begin(), end);
    }
  }

  std::weak_ptr<Present> present_;  // what waits in the world may hold files: they must not hold the world
  std::uint64_t filesMade_ = 0;
  std::uint64_t changes_ = 0;
  std::uint64_t locksMade_ = 0;
};

}  // namespace detail

}  // namespace lukhas
