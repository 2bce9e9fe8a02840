// The router's memory: its models, who is under way at each, who waits for a place, and accounts.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/wait_list.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/route/circuit_breaker.hpp"
#include "lukhas/route/detail/attempt_end.hpp"
#include "lukhas/route/detail/model_account.hpp"
#include "lukhas/route/detail/model_place.hpp"
#include "lukhas/route/detail/recent_requests.hpp"
#include "lukhas/route/detail/route_call.hpp"
#include "lukhas/route/detail/sticky_sessions.hpp"
#include "lukhas/route/model.hpp"
#include "lukhas/route/model_router_options.hpp"
#include "lukhas/route/retry_budget.hpp"
#include "lukhas/route/router_events.hpp"

namespace lukhas::detail {

// One registration. It lives as long as a request is under way at it.
struct RoutedModel {
  RoutedModel(const Environment& environment, ModelDescription given, const CircuitBreakerOptions& options)
      : description(std::move(given)), breaker(environment, description.id, options) {}

  const ModelDescription description;
  CircuitBreaker breaker;
  // Guarded by the state's mutex.
  std::uint64_t number = 0;  // of the registration: never used again
  ModelAccount account;
  std::size_t underWay = 0;                // places taken, at most maxConcurrent
  TimePoint notBefore = TimePoint::min();  // throttled until then
};

// A request that waits. Guarded by the state's mutex, but for `decided` and `changed`.
struct RouteWaiter {
  RouteWaiter(const Environment& environment, std::uint64_t number) : arrival(number), changed(environment) {}

  const std::uint64_t arrival;
  std::vector<const RoutedModel*> wants;  // a place at any of these; none: it only waits for time to pass
  RoutedModelPtr granted;                 // the place that it was given
  std::list<std::shared_ptr<RouteWaiter>>::iterator position;
  bool queued = false;
  std::atomic<bool> decided = false;  // it has a place, or is to look again
  WaitList changed;
};

// What a request is to do now.
struct RouteTurn {
  RouteStep step;
  ModelPlace place;                     // of an attempt
  std::shared_ptr<RouteWaiter> waiter;  // of a wait
};

// Locks: the mutex here may be held when a breaker's is taken, never the other way round. Circuits change,
// events are emitted and waiters are resumed without it.
class RouterState : public std::enable_shared_from_this<RouterState> {
 public:
  RouterState(Environment env, ModelRouterOptions given)
      : environment(std::move(env)),
        options(checked(std::move(given))),
        budget_(options.budget),
        sessions_(options.stickySessions) {}

  const Environment environment;
  const ModelRouterOptions options;
  Signal<CircuitEvent> onCircuitOpen;
  Signal<CircuitEvent> onCircuitHalfOpen;
  Signal<CircuitEvent> onCircuitClosed;
  Signal<FailoverEvent> onFailover;
  Signal<RetryEvent> onRetry;
  Signal<HedgeEvent> onHedge;

  void addModel(ModelDescription description);
  void removeModel(std::string_view id);
  [[nodiscard]] std::shared_ptr<CircuitBreaker> breaker(std::string_view id) const;

  // Counts a request that begins.
  [[nodiscard]] RouteCall begin(RouteRequest request);
  // Takes a place, enqueues a waiter, or says why the request fails. `held` is a place that a wait has given.
  [[nodiscard]] RouteTurn choose(RouteCall& call, ModelPlace held);
  // Before an attempt: counts it, and tells of a further one.
  void announce(const RouteCall& call, RoutedModel& model);
  // A place at a model that a second attempt may ask while `running` has the first; none: there is none.
  [[nodiscard]] ModelPlace chooseHedge(RouteCall& call, const RoutedModel& running);
  void announceHedge(const RouteCall& call, const RoutedModel& slow, RoutedModel& model);
  void countHedgeWin();
  void countContinuation();
  // After an attempt: budget, throttling, and what the request does next.
  void settle(RouteCall& call, RoutedModel& model, const Verdict& verdict, const AttemptEnd& end,
              Duration took);
  // What a stream has cost.
  void addUsage(RoutedModel& model, const ModelUsage& usage);
  void succeeded(Duration took);
  void failed(const std::error_code& error);

  // Takes the waiter off the queue, and the place with it that it may have been given.
  [[nodiscard]] ModelPlace leaveQueue(RouteWaiter& waiter);
  // A place is free: it goes to the oldest request that wants it.
  void giveBack(const RoutedModelPtr& model);

  // The attempts that close() aborts.
  using Attempts = std::list<ChildTask<AttemptEnd>*>;
  [[nodiscard]] Attempts::iterator addAttempt(ChildTask<AttemptEnd>& attempt);
  void removeAttempt(Attempts::iterator attempt);
  void close();
  [[nodiscard]] bool closed() const;

  [[nodiscard]] RouterMetrics metrics() const;
  [[nodiscard]] HealthReport health() const;

 private:
  using Waiters = std::vector<std::shared_ptr<RouteWaiter>>;

  static ModelRouterOptions checked(ModelRouterOptions given) {
    given.check();
    if (given.breaker.trialTimeout <= given.deadline)
      given.breaker.trialTimeout = std::min<Duration>(given.deadline * 2, std::chrono::hours(24));
    return given;
  }

  // All with the mutex held.
  [[nodiscard]] static std::vector<RouteCandidate> candidatesOf(const std::vector<RoutedModelPtr>& models,
                                                                const RoutedModel* held);
  [[nodiscard]] std::vector<RoutedModelPtr> capableModels(const RouteRequest& request, TimePoint now);
  void balanceModels(std::vector<RoutedModelPtr>& models, TimePoint now) const;
  [[nodiscard]] std::shared_ptr<RouteWaiter> enqueue(const RouteCall& call, const RouteStep& step,
                                                     const std::vector<RoutedModelPtr>& models);
  [[nodiscard]] Waiters takeWaiters(const RoutedModel* wanted);
  static void take(RouteWaiter& waiter, std::list<std::shared_ptr<RouteWaiter>>& queue) {
    queue.erase(waiter.position);
    waiter.queued = false;
    waiter.decided.store(true);
  }

  mutable std::mutex mutex_;
  std::vector<RoutedModelPtr> models_;  // highest priority first, then in the order of registration
  std::map<std::string, RoutedModelPtr, std::less<>> byId_;
  std::list<std::shared_ptr<RouteWaiter>> queue_;  // oldest request first
  Attempts attempts_;
  RetryBudget budget_;
  StickySessions sessions_;
  std::uint64_t registrations_ = 0;
  std::uint64_t arrivals_ = 0;
  bool closed_ = false;
  RouterMetrics counters_;
  LatencyHistogram latency_;
  RecentRequests recent_;
};

}  // namespace lukhas::detail

#include "lukhas/route/impl/router_state.hpp"
