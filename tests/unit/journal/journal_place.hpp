// Places to keep a journal: a simulated disk and a real directory, for rules that hold on both.
#pragma once

#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "lukhas/journal/posix_disk.hpp"
#include "lukhas/sim/simulation.hpp"

namespace lukhas::test {

class Place {
 public:
  virtual ~Place() = default;
  [[nodiscard]] virtual Environment environment() = 0;
  [[nodiscard]] virtual std::shared_ptr<Disk> disk() = 0;
  // A directory that exists.
  [[nodiscard]] virtual std::string directory() = 0;
  // Until nothing is left to do; rethrows what the coroutine threw.
  virtual void run(asio::awaitable<void> task) = 0;
};

class SimulatedPlace final : public Place {
 public:
  explicit SimulatedPlace(std::uint64_t seed = 1) : world({.seed = seed}) {
    world.disk()->makeDirectory("base");
  }

  Environment environment() override { return world.environment(); }
  std::shared_ptr<Disk> disk() override { return world.disk(); }
  std::string directory() override { return "base"; }
  void run(asio::awaitable<void> task) override {
    world.spawn(std::move(task));
    world.run();
  }

  Simulation world;
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lukhas-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class PosixPlace final : public Place {
 public:
  Environment environment() override { return Environment(io.get_executor()); }
  std::shared_ptr<Disk> disk() override { return disk_; }
  std::string directory() override { return directory_.path(); }
  void run(asio::awaitable<void> task) override {
    std::exception_ptr failure;
    asio::co_spawn(io, std::move(task), [&failure](std::exception_ptr error) { failure = error; });
    io.restart();
    io.run();
    if (failure) std::rethrow_exception(failure);
  }

  asio::io_context io;

 private:
  TemporaryDirectory directory_;
  std::shared_ptr<Disk> disk_ = std::make_shared<PosixDisk>(Environment(io.get_executor()));
};

// Runs `rule` on a fresh place of each kind.
inline void onEachPlace(const std::function<asio::awaitable<void>(Place&)>& rule) {
  SimulatedPlace simulated;
  simulated.run(rule(simulated));
  PosixPlace real;
  real.run(rule(real));
}

inline std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

// What a call throws; nothing when it succeeds.
template <class T>
[[nodiscard]] asio::awaitable<std::optional<Error>> errorOf(asio::awaitable<T> call) {
  std::optional<Error> thrown;
  try {
    (void)co_await std::move(call);
  } catch (const Error& error) {
    thrown = error;
  }
  co_return thrown;
}
[[nodiscard]] inline asio::awaitable<std::optional<Error>> errorOf(asio::awaitable<void> call) {
  std::optional<Error> thrown;
  try {
    co_await std::move(call);
  } catch (const Error& error) {
    thrown = error;
  }
  co_return thrown;
}

// Its code. (A co_await inside CHECK would run twice: Catch2 also mentions the expression in a branch that is
// never taken, which g++ 12 awaits.)
template <class T>
[[nodiscard]] asio::awaitable<std::error_code> codeOf(asio::awaitable<T> call) {
  const std::optional<Error> error = co_await errorOf(std::move(call));
  co_return error ? error->code() : std::error_code();
}

}  // namespace lukhas::test
