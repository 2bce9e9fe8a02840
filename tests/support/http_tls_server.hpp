// HttpTlsServer: a TLS server with a certificate of its own that nobody knows, run by a command: openssl for
// HTTP/1, nghttpd for HTTP/2.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio.hpp>
#include <fmt/format.h>

namespace lukhas::test {

// Listens on a free port of loopback and answers every GET with a page (over HTTP/1, about its connection).
// The certificate is for the address 127.0.0.1, and for no name but `name`.
class HttpTlsServer {
 public:
  enum class Speaks { http1, http2 };

  explicit HttpTlsServer(const std::string& name = {}, Speaks speaks = Speaks::http1) {
    std::string pattern = (std::filesystem::temp_directory_path() / "lukhas-tls-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary directory");
    directory_ = pattern;
    run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=lukhas test", "-addext",
         "subjectAltName=IP:127.0.0.1" + (name.empty() ? std::string() : ",DNS:" + name), "-keyout",
         path("key.pem"), "-out", certificate()});
    if (speaks == Speaks::http2) {
      startHttp2();
      return;
    }
    process_ = start({"openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate(), "-key",
                      path("key.pem")});
    readPort();
  }
  HttpTlsServer(const HttpTlsServer&) = delete;
  HttpTlsServer& operator=(const HttpTlsServer&) = delete;
  ~HttpTlsServer() {
    stop();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  [[nodiscard]] std::string certificate() const { return path("certificate.pem"); }
  [[nodiscard]] std::string url(std::string_view host = "127.0.0.1") const {
    return fmt::format("https://{}:{}/", host, port_);
  }

 private:
  struct Process {
    pid_t pid = 0;
    std::FILE* output = nullptr;
  };

  // It cannot choose a port and say which: one that is free now is given to it.
  void startHttp2() {
    std::ofstream(path("index.html")) << "hello over HTTP/2";
    asio::io_context io;
    {
      asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
      port_ = acceptor.local_endpoint().port();
    }
    const bool isServer = ::access("/usr/sbin/nghttpd", X_OK) == 0;  // not on the path of every user
    process_ =
        start({isServer ? "/usr/sbin/nghttpd" : "nghttpd", "--verbose", "--address=127.0.0.1",
               "--htdocs=" + directory_.string(), std::to_string(port_), path("key.pem"), certificate()});
    char line[256];
    while (std::fgets(line, sizeof line, process_.output) != nullptr) {
      if (std::string_view(line).find("listen") != std::string_view::npos) return;
    }
    stop();
    throw std::runtime_error("nghttpd does not listen");
  }

  [[nodiscard]] std::string path(const char* name) const { return directory_ / name; }

  static Process start(const std::vector<std::string>& command) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    std::vector<char*> arguments;
    for (const std::string& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
    arguments.push_back(nullptr);
    Process process;
    const int failed =
        ::posix_spawnp(&process.pid, arguments[0], &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    process.output = ::fdopen(ends[0], "r");
    if (failed != 0) throw std::runtime_error("this test needs the command " + command[0]);
    return process;
  }

  static void run(const std::vector<std::string>& command) {
    const Process process = start(command);
    int status = 0;
    ::waitpid(process.pid, &status, 0);
    std::fclose(process.output);
    if (status != 0) throw std::runtime_error("openssl could not make a certificate");
  }

  // "ACCEPT 127.0.0.1:34567"
  void readPort() {
    char line[256];
    while (port_ == 0 && std::fgets(line, sizeof line, process_.output) != nullptr) {
      unsigned port = 0;
      if (std::sscanf(line, "ACCEPT 127.0.0.1:%u", &port) == 1) port_ = port;
    }
    if (port_ != 0) return;
    stop();
    throw std::runtime_error("openssl does not say where it listens");
  }

  void stop() {
    ::kill(process_.pid, SIGTERM);
    ::waitpid(process_.pid, nullptr, 0);
    std::fclose(process_.output);
  }

  std::filesystem::path directory_;
  Process process_;
  unsigned port_ = 0;
};

}  // namespace lukhas::test
