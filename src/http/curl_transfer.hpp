// CurlTransfer: one request and its answer, as one libcurl easy handle.
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <curl/curl.h>

#include "lukhas/async/suspension.hpp"
#include "lukhas/http/curl_transport.hpp"
#include "lukhas/route/http_message.hpp"
#include "response_head.hpp"

namespace lukhas::detail {

// Coroutines to be resumed as soon as the mutex is free.
using WakeList = std::vector<std::shared_ptr<Suspension>>;

// Everything here is guarded by the engine's mutex; only a complete head may be read without it, because it
// does not change any more. libcurl's callbacks run inside the engine's calls of libcurl, so under the same
// mutex; they store what they are given and call nothing.
//
//   queued   waits for its turn: not known to the multi handle
//   active   the multi handle works on it
//   ended    the body is complete, or failure() says what came in between; the easy handle is gone
class CurlTransfer {
 public:
  enum class Phase { queued, active, ended };
  // Where a list of the engine has it.
  using Place = std::list<std::shared_ptr<CurlTransfer>>::iterator;

  // Throws Errc::invalid_argument. What arrives puts the waiter into `woken`, whose owner resumes it when the
  // mutex is free.
  CurlTransfer(HttpRequest request, const CurlTransportOptions& options, WakeList& woken);
  CurlTransfer(const CurlTransfer&) = delete;
  CurlTransfer& operator=(const CurlTransfer&) = delete;
  ~CurlTransfer() = default;

  [[nodiscard]] CURL* easy() const noexcept { return easy_.get(); }
  [[nodiscard]] Phase phase() const noexcept { return phase_; }
  [[nodiscard]] const ResponseHead& head() const noexcept { return head_; }
  [[nodiscard]] std::exception_ptr failure() const noexcept { return failure_; }
  [[nodiscard]] bool paused() const noexcept { return paused_; }
  [[nodiscard]] std::size_t pauses() const noexcept { return pauses_; }
  [[nodiscard]] std::size_t bufferedBytes() const noexcept { return body_.size(); }
  [[nodiscard]] long connectionsOpened() const;

  [[nodiscard]] bool headReady() const { return head_.complete() || phase_ == Phase::ended; }
  [[nodiscard]] bool bodyReady() const { return !body_.empty() || phase_ == Phase::ended; }

  // All of the body that is here.
  [[nodiscard]] std::string takeBody() { return std::exchange(body_, {}); }
  // Lets a paused transfer go on; what it held back arrives inside this call. Only while active.
  [[nodiscard]] CURLcode unpause();

  void activate() noexcept { phase_ = Phase::active; }
  // The multi handle no longer knows it. A failure; null when the body is complete.
  void end(std::exception_ptr failure);
  // What `result` means for the caller; null for a complete answer.
  [[nodiscard]] std::exception_ptr failureOf(CURLcode result) const;

  Place place;                         // while queued or active
  std::shared_ptr<Suspension> waiter;  // the coroutine in send() or read()

 private:
  struct EasyCleanup {
    void operator()(CURL* easy) const noexcept { curl_easy_cleanup(easy); }
  };
  struct ListCleanup {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
  };

  void wake();
  void configure(const CurlTransportOptions& options);
  void configureProxy(const CurlTransportOptions& options);
  void configureMethod();
  void configureHeaders();
  void addHeader(const std::string& line);

  bool takeHeader(std::string_view line);
  std::size_t keepBody(std::string_view piece);
  bool maySend();
  void aboutToSend();
  static std::size_t onHeader(char* data, std::size_t size, std::size_t count, void* transfer) noexcept;
  static std::size_t onBody(char* data, std::size_t size, std::size_t count, void* transfer) noexcept;
  static curl_socket_t onOpenSocket(void* transfer, curlsocktype, curl_sockaddr* address) noexcept;
  static int onPrerequest(void* transfer, char*, char*, int, int) noexcept;

  WakeList& woken_;
  std::string origin_;   // of the URL, for messages
  HttpRequest request_;  // libcurl refers to its body
  ResponseHead head_;
  std::string body_;              // arrived and not read yet
  std::size_t pieceBytes_;        // the most that libcurl reads at once
  std::size_t maxBodyBytes_ = 0;  // of body_; libcurl may hold another piece

  Phase phase_ = Phase::queued;
  std::exception_ptr failure_;
  bool paused_ = false;
  std::optional<long> bytesBefore_;  // sent on the connection before the request itself
  bool sendingAgain_ = false;        // libcurl wanted to send a request twice
  bool connected_ = false;           // a connection stood
  bool callbackFailed_ = false;      // no memory for what arrived
  std::size_t pauses_ = 0;
  std::array<char, CURL_ERROR_SIZE> errorText_{};
  std::unique_ptr<curl_slist, ListCleanup> headerList_;
  std::unique_ptr<CURL, EasyCleanup> easy_;  // last: it refers to what stands above
};

}  // namespace lukhas::detail
