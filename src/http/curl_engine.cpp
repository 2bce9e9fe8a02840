#include "curl_engine.hpp"

#include <new>
#include <utility>

#include <asio/execution/context.hpp>
#include <fmt/format.h>

#include "engine_registry.hpp"
#include "transfer_error.hpp"

namespace lukhas::detail {

asio::execution_context::id EngineRegistry::id;

void EngineRegistry::shutdown() noexcept {
  std::vector<std::weak_ptr<CurlEngine>> engines;
  {
    const std::lock_guard lock(mutex_);
    engines.swap(engines_);
  }
  for (const std::weak_ptr<CurlEngine>& known : engines) {
    if (const std::shared_ptr<CurlEngine> engine = known.lock()) engine->close();
  }
}

namespace {

void initialiseLibcurl() {
  static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (code == CURLE_OK) return;
  throw Error(RouteErrc::transport_failed, "libcurl cannot be initialised",
              {{"cause", curl_easy_strerror(code)}});
}

Error closedError() { return Error(Errc::closed, "the transport was closed"); }

Error overloadedError(std::size_t maxQueued) {
  return Error(
      RouteErrc::overloaded,
      fmt::format("the transport's connections are all taken, and {} requests wait for one", maxQueued),
      {{"maximum", maxQueued}});
}

Error libcurlError(CURLMcode code) {
  return Error(RouteErrc::transport_failed, "libcurl gave up", {{"cause", curl_multi_strerror(code)}});
}

}  // namespace

// Holds the mutex; resumes after it is released who was woken meanwhile.
class CurlEngine::Section {
 public:
  explicit Section(CurlEngine& engine) : engine_(engine), lock_(engine.mutex_) {}
  Section(const Section&) = delete;
  Section& operator=(const Section&) = delete;
  ~Section() {
    const WakeList woken = std::exchange(engine_.woken_, {});
    lock_.unlock();
    for (const std::shared_ptr<Suspension>& waiter : woken) waiter->resume();
  }

 private:
  CurlEngine& engine_;
  std::unique_lock<std::mutex> lock_;
};

CurlEngine::CurlEngine(CurlTransportOptions options) : options_(std::move(options)) {}

CurlEngine::~CurlEngine() { close(); }

void CurlEngine::open(const Environment& environment) {
  initialiseLibcurl();
  multi_ = curl_multi_init();
  if (multi_ == nullptr) throw std::bad_alloc();
  const auto connections = static_cast<long>(options_.maxConnections);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlEngine::onSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlEngine::onTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  // The same bound for both: a new connection takes the place of the oldest idle one. There always is one,
  // because no more than that many transfers are active.
  curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
  curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections);
  loop_ = std::make_unique<Loop>(environment, weak_from_this());
  asio::execution_context& context = asio::query(environment.executor(), asio::execution::context);
  asio::use_service<EngineRegistry>(context).add(weak_from_this());
}

void CurlEngine::close() noexcept {
  const Section section(*this);
  if (multi_ == nullptr) return;
  endAll(std::make_exception_ptr(closedError()));
  curl_multi_cleanup(std::exchange(multi_, nullptr));
  loop_.reset();
}

std::shared_ptr<CurlTransfer> CurlEngine::begin(HttpRequest request) {
  auto transfer = std::make_shared<CurlTransfer>(std::move(request), options_, woken_);
  const Section section(*this);
  if (multi_ == nullptr) throw closedError();
  // After settle() the queue holds something only while every connection is taken.
  if (active_.size() >= options_.maxConnections && queued_.size() >= options_.maxQueued) {
    ++metrics_.refusedRequests;
    throw overloadedError(options_.maxQueued);
  }
  ++metrics_.totalRequests;
  transfer->place = queued_.insert(queued_.end(), transfer);
  settle();
  return transfer;
}

void CurlEngine::abort(CurlTransfer& transfer) noexcept {
  const Section section(*this);
  if (transfer.phase() == CurlTransfer::Phase::ended) return;
  ++metrics_.abortedRequests;
  endTransfer(transfer, std::make_exception_ptr(cancelledError("the exchange was given up")));
  settle();
}

bool CurlEngine::pollHead(const CurlTransfer& transfer) {
  const Section section(*this);
  if (transfer.head().complete()) return true;
  if (transfer.failure()) std::rethrow_exception(transfer.failure());
  return false;
}

std::optional<std::string> CurlEngine::pollBody(CurlTransfer& transfer) {
  const Section section(*this);
  if (transfer.bufferedBytes() > 0) {
    std::string piece = transfer.takeBody();
    if (transfer.paused()) {
      const CURLcode code = transfer.unpause();
      if (code != CURLE_OK) {
        ++metrics_.failedRequests;
        endTransfer(transfer, transfer.failureOf(code));
      }
      settle();
    }
    return piece;
  }
  if (transfer.failure()) std::rethrow_exception(transfer.failure());
  if (transfer.phase() == CurlTransfer::Phase::ended) return std::string();
  return std::nullopt;
}

asio::awaitable<void> CurlEngine::waitForHead(CurlTransfer& transfer) {
  return wait(transfer, &CurlTransfer::headReady);
}

asio::awaitable<void> CurlEngine::waitForBody(CurlTransfer& transfer) {
  return wait(transfer, &CurlTransfer::bodyReady);
}

asio::awaitable<void> CurlEngine::wait(CurlTransfer& transfer, bool (CurlTransfer::*ready)() const) {
  const auto waiter = std::make_shared<Suspension>();
  Suspension* const self = waiter.get();
  CurlTransfer* const subject = &transfer;
  auto arm = [this, self, subject, ready] {
    const Section section(*this);
    if ((subject->*ready)()) {
      woken_.push_back(self->shared_from_this());
    } else {
      subject->waiter = self->shared_from_this();
    }
  };
  auto onCancel = [this, self, subject] {
    const Section section(*this);
    if (subject->waiter.get() != self) return false;
    subject->waiter.reset();
    return true;
  };
  return waiter->wait(arm, onCancel);
}

CurlTransportMetrics CurlEngine::getMetrics() const {
  const std::lock_guard lock(mutex_);
  CurlTransportMetrics metrics = metrics_;
  metrics.activeRequests = active_.size();
  metrics.queuedRequests = queued_.size();
  for (const std::shared_ptr<CurlTransfer>& transfer : active_) {
    metrics.pauses += transfer->pauses();
    metrics.bufferedBytes += transfer->bufferedBytes();
  }
  return metrics;
}

void CurlEngine::launch(const std::shared_ptr<CurlTransfer>& transfer) {
  active_.splice(active_.end(), queued_, transfer->place);
  transfer->activate();
  const CURLMcode code = curl_multi_add_handle(multi_, transfer->easy());
  if (code == CURLM_OK) return;
  ++metrics_.failedRequests;
  endTransfer(*transfer, std::make_exception_ptr(libcurlError(code)));
}

void CurlEngine::drive(curl_socket_t socket, int events) {
  int running = 0;
  const CURLMcode code = curl_multi_socket_action(multi_, socket, events, &running);
  collectEnded();
  // A socket that is not libcurl's any more is no harm: it was closed between its wait and this call.
  if (code != CURLM_OK && code != CURLM_BAD_SOCKET) {
    metrics_.failedRequests += active_.size() + queued_.size();
    endAll(std::make_exception_ptr(libcurlError(code)));
  }
  settle();
}

// After everything that may have ended a transfer or changed libcurl's mind.
void CurlEngine::settle() {
  if (multi_ == nullptr) return;
  for (const std::shared_ptr<CurlTransfer>& transfer : std::exchange(unwatched_, {})) {
    if (transfer->phase() != CurlTransfer::Phase::active) continue;
    ++metrics_.failedRequests;
    Error error(RouteErrc::transport_failed, "the io_context takes no more sockets",
                {{"cause", "the reactor refused the socket"}});
    endTransfer(*transfer, std::make_exception_ptr(std::move(error)));
  }
  while (!queued_.empty() && active_.size() < options_.maxConnections) {
    const std::shared_ptr<CurlTransfer> next = queued_.front();
    launch(next);
  }
  loop_->timer.follow(nextCall_);
}

void CurlEngine::collectEnded() {
  int left = 0;
  while (CURLMsg* const message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    const CURLcode result = message->data.result;
    void* found = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &found);
    auto& transfer = *static_cast<CurlTransfer*>(found);
    std::exception_ptr failure = transfer.failureOf(result);
    if (failure) ++metrics_.failedRequests;
    endTransfer(transfer, std::move(failure));
  }
}

// Removing the handle of a transfer that is under way closes its connection.
void CurlEngine::endTransfer(CurlTransfer& transfer, std::exception_ptr failure) {
  const std::shared_ptr<CurlTransfer> owner = *transfer.place;
  if (transfer.phase() == CurlTransfer::Phase::active) {
    curl_multi_remove_handle(multi_, transfer.easy());
    metrics_.connectionsOpened += static_cast<std::uint64_t>(transfer.connectionsOpened());
    metrics_.pauses += transfer.pauses();
    active_.erase(transfer.place);
  } else {
    queued_.erase(transfer.place);
  }
  transfer.end(std::move(failure));
}

void CurlEngine::endAll(const std::exception_ptr& failure) {
  while (!queued_.empty()) endTransfer(*queued_.front(), failure);
  while (!active_.empty()) endTransfer(*active_.front(), failure);
}

void CurlEngine::watchSocket(CURL* easy, curl_socket_t socket, int what) {
  if (loop_ == nullptr) return;
  if (what == CURL_POLL_REMOVE) {
    const auto found = loop_->sockets.find(socket);
    if (found == loop_->sockets.end()) return;
    found->second->release();
    loop_->sockets.erase(found);
    return;
  }
  try {
    std::shared_ptr<SocketWatch>& watch = loop_->sockets[socket];
    if (!watch) watch = std::make_shared<SocketWatch>(loop_->environment.executor(), socket);
    watch->want(what);
    waitFor(watch);
  } catch (const std::exception&) {
    // libcurl takes a refusal for the end of all transfers; so only this one ends, after libcurl's call.
    loop_->sockets.erase(socket);
    void* found = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &found);
    if (found != nullptr) unwatched_.push_back(*static_cast<CurlTransfer*>(found)->place);
  }
}

void CurlEngine::waitFor(const std::shared_ptr<SocketWatch>& watch) {
  watch->startWaits([weak = weak_from_this()](const std::shared_ptr<SocketWatch>& ready, int direction,
                                              std::error_code error) {
    if (const std::shared_ptr<CurlEngine> engine = weak.lock()) engine->socketReady(ready, direction, error);
  });
}

void CurlEngine::socketReady(const std::shared_ptr<SocketWatch>& watch, int direction,
                             std::error_code error) {
  const Section section(*this);
  watch->waitEnded(direction);
  if (multi_ == nullptr || !watch->current() || !watch->wants(direction)) return;
  int events = direction == CURL_POLL_IN ? CURL_CSELECT_IN : CURL_CSELECT_OUT;
  if (error) events = CURL_CSELECT_ERR;
  drive(watch->socket(), events);
  if (watch->current()) waitFor(watch);
}

void CurlEngine::tick(CurlEngine& engine) {
  const Section section(engine);
  if (engine.multi_ == nullptr) return;
  const TimePoint now = engine.loop_->environment.now();
  if (engine.nextCall_ && *engine.nextCall_ <= now) {
    engine.nextCall_.reset();
    engine.drive(CURL_SOCKET_TIMEOUT, 0);
  }
  if (engine.loop_) engine.loop_->timer.settle(now, engine.nextCall_);
}

int CurlEngine::onSocket(CURL* easy, curl_socket_t socket, int what, void* engine, void*) noexcept {
  static_cast<CurlEngine*>(engine)->watchSocket(easy, socket, what);
  return 0;
}

int CurlEngine::onTimer(CURLM*, long milliseconds, void* engine) noexcept {
  auto& self = *static_cast<CurlEngine*>(engine);
  if (milliseconds < 0 || self.loop_ == nullptr) {
    self.nextCall_.reset();
  } else {
    self.nextCall_ = self.loop_->environment.after(std::chrono::milliseconds(milliseconds));
  }
  return 0;
}

}  // namespace lukhas::detail
