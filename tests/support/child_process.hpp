// ChildProcess: this test program once more, as a process of its own that can be killed.
#pragma once

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace lukhas::test {

// Runs one test case, which is hidden from other runs by its tag [.child]; `settings` are environment
// variables ("NAME=value"), and what it prints is read here.
class ChildProcess {
 public:
  ChildProcess(const std::string& testCase, std::vector<std::string> settings) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    output_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::vector<std::string> arguments{"child", testCase};
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::vector<char*> variables;
    for (std::string& setting : settings) variables.push_back(setting.data());
    for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
    variables.push_back(nullptr);
    const int failed =
        ::posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, argv.data(), variables.data());
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (failed != 0) {
      ::close(output_);
      throw std::runtime_error("no child process");
    }
  }
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;
  ~ChildProcess() {
    kill();
    (void)wait();
    ::close(output_);
  }

  // Reads until the text so far holds `part`, or the child has ended; gives whether it does.
  bool readUntil(const std::string& part) {
    while (text_.find(part) == std::string::npos) {
      if (!readMore()) return false;
    }
    return true;
  }
  // All that it has printed, once it has ended.
  [[nodiscard]] const std::string& readAll() {
    while (readMore()) {
    }
    return text_;
  }
  void kill() const {
    if (!ended_) ::kill(process_, SIGKILL);
  }
  // Its exit status; -1 when it was killed.
  int wait() {
    if (!ended_) {
      while (::waitpid(process_, &status_, 0) < 0 && errno == EINTR) {
      }
      ended_ = true;
    }
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  bool readMore() {
    char buffer[4096];
    ssize_t got = -1;
    do {
      got = ::read(output_, buffer, sizeof buffer);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) return false;
    text_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }

  pid_t process_ = -1;
  int output_ = -1;
  int status_ = 0;
  bool ended_ = false;
  std::string text_;
};

// What the parent has set; empty when it has not.
[[nodiscard]] inline std::string childSetting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// A line for the parent, whole or not at all.
inline void printLine(std::string line) {
  line += '\n';
  [[maybe_unused]] const ssize_t written = ::write(STDOUT_FILENO, line.data(), line.size());
}

}  // namespace lukhas::test
