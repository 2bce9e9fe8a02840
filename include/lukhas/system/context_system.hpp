// ContextSystem: the five components on one io_context, with their metrics and health added together.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include <asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "lukhas/core/health.hpp"
#include "lukhas/core/metrics.hpp"
#include "lukhas/lock/async_lock.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/route/model_router.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "lukhas/ttl/ttl_enforcement_engine.hpp"

namespace lukhas {

// The options of the five; each is described, with its range, where it is declared.
struct ContextSystemOptions {
  AsyncLockOptions lock = {};
  AsyncMemoryStoreOptions store = {};
  AtomicContextPreserverOptions preserver = {};
  ModelRouterOptions router = {};  // needs a transport
  TTLEnforcementEngineOptions ttl = {};
};

// What a back end that holds contexts needs, in one object: one turn at a time (locks), the context from the
// cache (store) or from where it was preserved (preserver), a model that answers (router), and an end to what
// nobody uses (ttl).
//
//   lukhas::ContextSystem system{environment, {.router = {.transport = transport}}};
//   co_await system.preserver().addParticipant(…);
//   system.router().registerModel(…);
//   co_await system.start();
//   …
//   co_await system.stop();
//
// Each component is the one that its own header describes, and works alone as well. What the system adds: a
// key that expires in ttl() is also removed from store(), so that registering a session's key is enough to
// have its cached context removed in time.
//
// Any thread may call. Construct it before, and destroy it after, all coroutines that use it; destroy it
// before its io_context.
class ContextSystem {
 public:
  using Options = ContextSystemOptions;

  // Throws Errc::invalid_option; the message names component and option.
  explicit ContextSystem(const Environment& environment, ContextSystemOptions options = {})
      : locks_(environment, std::move(options.lock)),
        store_(std::make_shared<AsyncMemoryStore>(environment, std::move(options.store))),
        preserver_(environment, std::move(options.preserver)),
        router_(environment, std::move(options.router)),
        ttl_(environment, std::move(options.ttl)),
        expiry_(ttl_.onExpired.connect([weak = std::weak_ptr(store_)](const EntryExpired& entry) {
          if (const std::shared_ptr<AsyncMemoryStore> store = weak.lock()) (void)store->tryRemove(entry.key);
        })) {}
  ContextSystem(const ContextSystem&) = delete;
  ContextSystem& operator=(const ContextSystem&) = delete;

  [[nodiscard]] AsyncLock& locks() noexcept { return locks_; }
  [[nodiscard]] AsyncMemoryStore& store() noexcept { return *store_; }
  [[nodiscard]] AtomicContextPreserver& preserver() noexcept { return preserver_; }
  [[nodiscard]] ModelRouter& router() noexcept { return router_; }
  [[nodiscard]] TTLEnforcementEngine& ttl() noexcept { return ttl_; }

  // Opens the transaction log, begins to finish what a crash left behind, and begins the sweeps. Throws what
  // the preserver's start() throws; nothing is started then.
  [[nodiscard]] asio::awaitable<void> start() {
    co_await preserver_.start();
    store_->start();
    ttl_.start();
  }

  // Ends the sweeps, lets transactions end that are under way, and closes participants and log. For good. The
  // io_context has nothing left of the system to do afterwards.
  [[nodiscard]] asio::awaitable<void> stop() {
    ttl_.stop();
    store_->stop();
    co_await preserver_.stop();
  }

  // Each component's issues, with its name in front: "store.…".
  [[nodiscard]] HealthReport healthCheck() const {
    HealthReport report;
    report.append("lock", locks_.healthCheck());
    report.append("store", store_->healthCheck());
    report.append("preserver", preserver_.healthCheck());
    report.append("router", router_.healthCheck());
    report.append("ttl", ttl_.healthCheck());
    return report;
  }

  // {"lock": {…}, "store": {…}, "preserver": {…}, "router": {…}, "ttl": {…}}
  [[nodiscard]] nlohmann::json getMetrics() const {
    return {{"lock", locks_.getMetrics().toJson()},
            {"store", store_->getMetrics().toJson()},
            {"preserver", preserver_.getMetrics().toJson()},
            {"router", router_.getMetrics().toJson()},
            {"ttl", ttl_.getMetrics().toJson()}};
  }
  // The same in Prometheus' text format.
  [[nodiscard]] std::string toPrometheus() const {
    return lukhas::toPrometheus("lock", locks_.getMetrics()) +
           lukhas::toPrometheus("store", store_->getMetrics()) +
           lukhas::toPrometheus("preserver", preserver_.getMetrics()) +
           lukhas::toPrometheus("router", router_.getMetrics()) +
           lukhas::toPrometheus("ttl", ttl_.getMetrics());
  }

 private:
  AsyncLock locks_;
  // Shared with a report of the TTL engine that is under way in another thread: disconnecting does not wait
  // for it, so the store stays until it is over.
  std::shared_ptr<AsyncMemoryStore> store_;
  AtomicContextPreserver preserver_;
  ModelRouter router_;
  TTLEnforcementEngine ttl_;
  Subscription expiry_;  // after what it connects, so that it goes first
};

}  // namespace lukhas
