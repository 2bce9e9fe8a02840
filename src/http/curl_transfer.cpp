#include "curl_transfer.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include <sys/socket.h>

#include <fmt/format.h>

#include "request_check.hpp"
#include "transfer_error.hpp"

#if LIBCURL_VERSION_NUM < 0x075000
#error "lukhas::http needs libcurl 7.80 or newer"
#endif

namespace lukhas::detail {

namespace {

constexpr std::size_t smallestPiece = 1024;    // libcurl takes no less
constexpr std::size_t usualPiece = 16 * 1024;  // one TLS record
constexpr long keepAliveProbeSeconds = 60;     // a peer that is gone without a word is noticed in minutes

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
  const CURLcode code = curl_easy_setopt(easy, option, value);
  if (code == CURLE_OK) return;
  if (code == CURLE_OUT_OF_MEMORY) throw std::bad_alloc();
  throw Error(
      RouteErrc::transport_failed,
      fmt::format("libcurl refuses its option {}: {}", static_cast<int>(option), curl_easy_strerror(code)),
      {{"cause", curl_easy_strerror(code)}});
}

template <class Unit>
long roundedUp(Duration duration) {
  return static_cast<long>(std::chrono::ceil<Unit>(duration).count());
}

}  // namespace

CurlTransfer::CurlTransfer(HttpRequest request, const CurlTransportOptions& options, WakeList& woken)
    : woken_(woken),
      origin_(checkRequest(request)),
      request_(std::move(request)),
      head_(request_.maxHeaderBytes),
      pieceBytes_(std::clamp(request_.maxBufferedBytes / 2, smallestPiece, usualPiece)),
      easy_(curl_easy_init()) {
  if (!easy_) throw std::bad_alloc();
  const std::size_t bound = std::max(request_.maxBufferedBytes, 2 * smallestPiece);
  maxBodyBytes_ = bound - pieceBytes_;
  configure(options);
  configureMethod();
  configureHeaders();
}

void CurlTransfer::configure(const CurlTransportOptions& options) {
  CURL* const easy = easy_.get();
  set(easy, CURLOPT_PRIVATE, static_cast<void*>(this));
  set(easy, CURLOPT_ERRORBUFFER, errorText_.data());
  set(easy, CURLOPT_URL, request_.url.c_str());
#if LIBCURL_VERSION_NUM >= 0x075500
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
#else
  set(easy, CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(easy, CURLOPT_HTTP_VERSION,
      static_cast<long>(options.http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
  // Of what libcurl knows only this: what other codings make of one piece has hardly a bound.
  if (options.decompress) set(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  configureProxy(options);
  set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
#if LIBCURL_VERSION_NUM >= 0x075700
  set(easy, CURLOPT_QUICK_EXIT, 1L);  // an abort does not wait for a thread that resolves a name
#endif

  set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
  set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!options.caFile.empty()) {
    set(easy, CURLOPT_CAINFO, options.caFile.c_str());
    set(easy, CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }

  using std::chrono::milliseconds;
  using std::chrono::seconds;
  const Duration longest = std::chrono::hours(24);
  set(easy, CURLOPT_CONNECTTIMEOUT_MS,
      roundedUp<milliseconds>(std::min<Duration>(request_.connectTimeout, longest)));
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_TCP_KEEPIDLE, keepAliveProbeSeconds);
  set(easy, CURLOPT_TCP_KEEPINTVL, keepAliveProbeSeconds);
  set(easy, CURLOPT_MAXLIFETIME_CONN, roundedUp<seconds>(options.maxConnectionAge));
  if (options.maxIdleTime > Duration::zero()) {
    set(easy, CURLOPT_MAXAGE_CONN, roundedUp<seconds>(options.maxIdleTime));
  } else {
    set(easy, CURLOPT_FORBID_REUSE, 1L);
  }

  set(easy, CURLOPT_BUFFERSIZE, static_cast<long>(pieceBytes_));
  set(easy, CURLOPT_HEADERFUNCTION, &CurlTransfer::onHeader);
  set(easy, CURLOPT_HEADERDATA, static_cast<void*>(this));
  set(easy, CURLOPT_WRITEFUNCTION, &CurlTransfer::onBody);
  set(easy, CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(easy, CURLOPT_OPENSOCKETFUNCTION, &CurlTransfer::onOpenSocket);
  set(easy, CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
  set(easy, CURLOPT_PREREQFUNCTION, &CurlTransfer::onPrerequest);
  set(easy, CURLOPT_PREREQDATA, static_cast<void*>(this));
}

void CurlTransfer::configureProxy(const CurlTransportOptions& options) {
  CURL* const easy = easy_.get();
  if (!options.proxyFromEnvironment) {
    set(easy, CURLOPT_PROXY, "");  // none, whatever the environment says
    return;
  }
  // What a proxy says of its tunnel is no part of the answer.
  set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  const char* excepted = std::getenv("no_proxy");
  if (excepted == nullptr) excepted = std::getenv("NO_PROXY");
  const std::string_view hosts = excepted == nullptr ? std::string_view() : std::string_view(excepted);
  if (hosts == "*") {  // libcurl knows it only alone
    set(easy, CURLOPT_PROXY, "");
    return;
  }
  const std::string noProxy = fmt::format("localhost,127.0.0.1,::1,{}", hosts);
  set(easy, CURLOPT_NOPROXY, noProxy.c_str());
}

void CurlTransfer::configureMethod() {
  CURL* const easy = easy_.get();
  if (request_.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
    return;
  }
  if (request_.body.empty() && request_.method != "POST") {
    set(easy, CURLOPT_HTTPGET, 1L);
  } else {
    set(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
    set(easy, CURLOPT_POSTFIELDS, request_.body.c_str());
  }
  if (request_.method != "GET" && request_.method != "POST") {
    set(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  } else if (request_.method == "GET" && !request_.body.empty()) {
    set(easy, CURLOPT_CUSTOMREQUEST, "GET");
  }
}

void CurlTransfer::configureHeaders() {
  // What libcurl would add by itself: a type of forms, and a wait of a second before a large body.
  addHeader("Expect:");
  if (!findHeader(request_.headers, "content-type")) addHeader("Content-Type:");
  for (const HttpHeader& header : request_.headers)
    addHeader(header.value.find_first_not_of(" \t") == std::string::npos ? header.name + ";"
                                                                         : header.name + ": " + header.value);
  set(easy_.get(), CURLOPT_HTTPHEADER, headerList_.get());
}

void CurlTransfer::addHeader(const std::string& line) {
  curl_slist* const longer = curl_slist_append(headerList_.get(), line.c_str());
  if (longer == nullptr) throw std::bad_alloc();
  (void)headerList_.release();
  headerList_.reset(longer);
}

long CurlTransfer::connectionsOpened() const {
  long count = 0;
  if (easy_) curl_easy_getinfo(easy_.get(), CURLINFO_NUM_CONNECTS, &count);
  return count;
}

CURLcode CurlTransfer::unpause() {
  paused_ = false;
  return curl_easy_pause(easy_.get(), CURLPAUSE_CONT);
}

void CurlTransfer::end(std::exception_ptr failure) {
  phase_ = Phase::ended;
  failure_ = std::move(failure);
  paused_ = false;
  easy_.reset();
  headerList_.reset();
  request_ = HttpRequest();  // a long context, and a key, need not stay as long as the answer
  wake();
}

std::exception_ptr CurlTransfer::failureOf(CURLcode result) const {
  const auto failed = [this](RouteErrc code, std::string_view cause) {
    return std::make_exception_ptr(transferError(code, origin_, cause));
  };
  if (callbackFailed_) return failed(RouteErrc::transport_failed, "out of memory");
  if (head_.fault() == ResponseHead::Fault::too_large) return failed(RouteErrc::headers_too_large, {});
  if (head_.fault() == ResponseHead::Fault::malformed)
    return failed(RouteErrc::bad_http, "its headers are malformed");
  if (sendingAgain_) return failed(RouteErrc::connection_lost, "the kept connection was closed by the peer");
  if (result == CURLE_OK && head_.complete()) return nullptr;

  const std::string_view cause = errorText_[0] != '\0' ? errorText_.data() : curl_easy_strerror(result);
  if (result == CURLE_OK) return failed(RouteErrc::bad_http, "the answer has no end of its headers");
  // libcurl has no other way to say that one line is too long for it.
  if (result == CURLE_OUT_OF_MEMORY && connected_ && !head_.complete())
    return failed(RouteErrc::headers_too_large, cause);
#if LIBCURL_VERSION_NUM >= 0x080600
  if (result == CURLE_TOO_LARGE) return failed(RouteErrc::headers_too_large, cause);
#endif
  return failed(routeErrcOf(result, cause), cause);
}

std::size_t CurlTransfer::keepBody(std::string_view piece) {
  if (!body_.empty() && body_.size() + piece.size() > maxBodyBytes_) {
    paused_ = true;
    ++pauses_;
    return CURL_WRITEFUNC_PAUSE;
  }
  body_.append(piece);
  if (!piece.empty()) wake();
  return piece.size();
}

bool CurlTransfer::takeHeader(std::string_view line) {
  const bool before = head_.complete();
  if (!head_.takeLine(line)) return false;
  if (head_.complete() && !before) wake();
  return true;
}

void CurlTransfer::wake() {
  if (waiter) woken_.push_back(std::exchange(waiter, nullptr));
}

// libcurl sends a second time, on another connection, when a kept one ends without an answer. A model would
// then work twice for one request; so only a request of which nothing had left may go again. What was sent to
// a proxy for a tunnel is no part of it.
bool CurlTransfer::maySend() {
  long sentBytes = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &sentBytes);
  if (bytesBefore_ && sentBytes > *bytesBefore_) sendingAgain_ = true;
  return !sendingAgain_;
}

void CurlTransfer::aboutToSend() {
  bytesBefore_ = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &*bytesBefore_);
}

std::size_t CurlTransfer::onHeader(char* data, std::size_t size, std::size_t count, void* transfer) noexcept {
  auto& self = *static_cast<CurlTransfer*>(transfer);
  try {
    return self.takeHeader({data, size * count}) ? size * count : 0;
  } catch (...) {
    self.callbackFailed_ = true;
    return 0;
  }
}

std::size_t CurlTransfer::onBody(char* data, std::size_t size, std::size_t count, void* transfer) noexcept {
  auto& self = *static_cast<CurlTransfer*>(transfer);
  try {
    return self.keepBody({data, size * count});
  } catch (...) {
    self.callbackFailed_ = true;
    return 0;
  }
}

// Not inherited by child processes: one that lives on would keep a connection open that was closed here.
curl_socket_t CurlTransfer::onOpenSocket(void* transfer, curlsocktype, curl_sockaddr* address) noexcept {
  auto& self = *static_cast<CurlTransfer*>(transfer);
  if (!self.maySend()) return CURL_SOCKET_BAD;
  self.bytesBefore_.reset();
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

// On a connection that stands, before the request is sent on it.
int CurlTransfer::onPrerequest(void* transfer, char*, char*, int, int) noexcept {
  auto& self = *static_cast<CurlTransfer*>(transfer);
  self.connected_ = true;
  if (!self.maySend()) return CURL_PREREQFUNC_ABORT;
  self.aboutToSend();
  return CURL_PREREQFUNC_OK;
}

}  // namespace lukhas::detail
