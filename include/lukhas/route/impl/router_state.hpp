// The functions of route/detail/router_state.hpp.
#pragma once

#include <fmt/format.h>

#include "lukhas/route/detail/router_state.hpp"

namespace lukhas::detail {

// More than any circuit waits by itself.
inline constexpr Duration longestCircuitWait = std::chrono::hours(25);

inline void ModelPlace::release() {
  if (const RoutedModelPtr model = std::move(model_)) state_->giveBack(model);
  state_.reset();
}

inline void RouterState::addModel(ModelDescription description) {
  checkModel(description);
  const auto model = std::make_shared<RoutedModel>(environment, std::move(description), options.breaker);
  const std::string& id = model->description.id;
  const std::weak_ptr<RouterState> weak = weak_from_this();
  model->breaker.onOpen
      .connect([weak, model = std::weak_ptr(model)](const CircuitEvent& event) {
        const std::shared_ptr<RouterState> state = weak.lock();
        if (!state) return;
        {
          const std::lock_guard lock(state->mutex_);
          ++state->counters_.circuitOpens;
          if (const RoutedModelPtr opened = model.lock()) opened->account.opened(state->environment.now());
        }
        state->onCircuitOpen.emit(event);
      })
      .detach();
  model->breaker.onHalfOpen
      .connect([weak](const CircuitEvent& event) {
        if (const std::shared_ptr<RouterState> state = weak.lock()) state->onCircuitHalfOpen.emit(event);
      })
      .detach();
  model->breaker.onClosed
      .connect([weak, model = std::weak_ptr(model)](const CircuitEvent& event) {
        const std::shared_ptr<RouterState> state = weak.lock();
        if (!state) return;
        if (const RoutedModelPtr closed = model.lock()) {
          const std::lock_guard lock(state->mutex_);
          closed->account.closed(state->environment.now());
        }
        state->onCircuitClosed.emit(event);
      })
      .detach();

  Waiters waiters;
  {
    const std::lock_guard lock(mutex_);
    if (byId_.contains(id)) throw duplicateModel(id);
    if (models_.size() >= options.maxModels) {
      throw Error(
          RouteErrc::too_many_models,
          fmt::format("model {}: {} models are registered already", quotedText(id, 256), models_.size()),
          {{"modelId", id}, {"maximum", options.maxModels}});
    }
    model->number = ++registrations_;
    const auto lower = [&model](const RoutedModelPtr& other) {
      return other->description.priority < model->description.priority;
    };
    models_.insert(std::find_if(models_.begin(), models_.end(), lower), model);
    byId_.emplace(id, model);
    waiters = takeWaiters(nullptr);  // it may serve them
  }
  for (const std::shared_ptr<RouteWaiter>& waiter : waiters) waiter->changed.resumeAll();
}

inline void RouterState::removeModel(std::string_view id) {
  RoutedModelPtr removed;
  Waiters waiters;
  {
    const std::lock_guard lock(mutex_);
    const auto found = byId_.find(id);
    if (found == byId_.end()) throw unknownModel(id);
    removed = found->second;
    byId_.erase(found);
    models_.erase(std::find(models_.begin(), models_.end(), removed));
    waiters = takeWaiters(removed.get());
  }
  for (const std::shared_ptr<RouteWaiter>& waiter : waiters) waiter->changed.resumeAll();
}

inline std::shared_ptr<CircuitBreaker> RouterState::breaker(std::string_view id) const {
  const std::lock_guard lock(mutex_);
  const auto found = byId_.find(id);
  if (found == byId_.end()) throw unknownModel(id);
  return {found->second, &found->second->breaker};
}

inline RouteCall RouterState::begin(RouteRequest request) {
  const std::lock_guard lock(mutex_);
  ++counters_.totalRequests;
  ++counters_.activeRequests;
  RouteMachine machine(options.maxAttempts, options.retry, environment.after(options.deadline));
  return RouteCall(std::move(request), ++arrivals_, std::move(machine));
}

inline std::vector<RoutedModelPtr> RouterState::capableModels(const RouteRequest& request, TimePoint now) {
  std::vector<RoutedModelPtr> capable;
  for (const RoutedModelPtr& model : models_) {
    if (hasCapabilities(model->description.capabilities, request.requirements())) capable.push_back(model);
  }
  if (options.balance != RouteBalance::in_order && capable.size() > 1) balanceModels(capable, now);
  if (options.stickySessions > 0 && !request.session().empty()) {
    const std::uint64_t last = sessions_.find(request.session());
    const auto found = std::find_if(capable.begin(), capable.end(),
                                    [last](const RoutedModelPtr& model) { return model->number == last; });
    if (found != capable.end()) std::rotate(capable.begin(), found, found + 1);
  }
  return capable;
}

inline void RouterState::balanceModels(std::vector<RoutedModelPtr>& models, TimePoint now) const {
  std::vector<RankedModel> ranked;
  ranked.reserve(models.size());
  for (std::size_t i = 0; i < models.size(); ++i) {
    const RoutedModel& model = *models[i];
    const bool usable = model.underWay < model.description.maxConcurrent && model.notBefore <= now &&
                        model.breaker.retryAfter() == Duration::zero();
    ranked.push_back({i, model.description.priority, model.description.weight, model.underWay,
                      model.account.estimate.value(), usable});
  }
  SplitMix chance(environment.random());
  orderEquals(ranked, options.balance, chance);
  std::vector<RoutedModelPtr> ordered;
  ordered.reserve(models.size());
  for (const RankedModel& model : ranked) ordered.push_back(std::move(models[model.index]));
  models = std::move(ordered);
}

inline std::vector<RouteCandidate> RouterState::candidatesOf(const std::vector<RoutedModelPtr>& models,
                                                             const RoutedModel* held) {
  std::vector<RouteCandidate> candidates;
  candidates.reserve(models.size());
  for (const RoutedModelPtr& model : models) {
    const bool busy = model->underWay >= model->description.maxConcurrent && held != model.get();
    // Forced open has no end: a bound that no request reaches keeps the sums of times from overflowing.
    const Duration circuitWait = std::min<Duration>(model->breaker.retryAfter(), longestCircuitWait);
    candidates.push_back({model->number, busy, circuitWait, model->notBefore});
  }
  return candidates;
}

inline RouteTurn RouterState::choose(RouteCall& call, ModelPlace held) {
  RouteTurn turn;  // outlives the lock, as `held` does: a place that is given back needs it
  const std::lock_guard lock(mutex_);
  if (closed_) throw routerClosed();
  const TimePoint now = environment.now();
  const std::vector<RoutedModelPtr> models = capableModels(call.request, now);
  turn.step = call.machine.next(candidatesOf(models, held.model().get()), now);
  if (turn.step.kind == RouteStep::Kind::fail) return turn;
  if (call.machine.attempts() > 0 && !call.paid) {
    call.paid = budget_.tryTake(call.machine.retryCause());
    if (!call.paid) {
      turn.step = {.error = RouteErrc::retry_budget_spent};
      return turn;
    }
  }
  if (turn.step.kind == RouteStep::Kind::wait) {
    if (queue_.size() >= options.maxQueued) {
      turn.step = {.error = RouteErrc::overloaded};
    } else {
      turn.waiter = enqueue(call, turn.step, models);
    }
    return turn;
  }
  const RoutedModelPtr& chosen = models[turn.step.candidate];
  if (held.model() == chosen) {
    turn.place = std::move(held);
  } else {
    ++chosen->underWay;
    turn.place = ModelPlace(shared_from_this(), chosen);
  }
  return turn;
}

inline ModelPlace RouterState::chooseHedge(RouteCall& call, const RoutedModel& running) {
  const std::lock_guard lock(mutex_);
  if (closed_) return {};
  const TimePoint now = environment.now();
  const std::vector<RoutedModelPtr> models = capableModels(call.request, now);
  std::vector<RouteCandidate> candidates = candidatesOf(models, nullptr);
  for (RouteCandidate& candidate : candidates)
    candidate.busy = candidate.busy || candidate.model == running.number;
  const std::optional<std::size_t> ready = call.machine.hedge(candidates, now);
  if (!ready || !budget_.tryTake(RetryCause::failure)) return {};
  ++models[*ready]->underWay;
  return {shared_from_this(), models[*ready]};
}

inline std::shared_ptr<RouteWaiter> RouterState::enqueue(const RouteCall& call, const RouteStep& step,
                                                         const std::vector<RoutedModelPtr>& models) {
  auto waiter = std::make_shared<RouteWaiter>(environment, call.arrival);
  for (const std::size_t place : step.places) waiter->wants.push_back(models[place].get());
  // From the back: nearly always the newest request is the one that comes to wait.
  auto before = queue_.end();
  while (before != queue_.begin() && (*std::prev(before))->arrival > call.arrival) --before;
  waiter->position = queue_.insert(before, waiter);
  waiter->queued = true;
  return waiter;
}

inline RouterState::Waiters RouterState::takeWaiters(const RoutedModel* wanted) {
  Waiters taken;
  for (auto next = queue_.begin(); next != queue_.end();) {
    const std::shared_ptr<RouteWaiter> waiter = *next++;
    if (wanted != nullptr &&
        std::find(waiter->wants.begin(), waiter->wants.end(), wanted) == waiter->wants.end())
      continue;
    take(*waiter, queue_);
    taken.push_back(waiter);
  }
  return taken;
}

inline ModelPlace RouterState::leaveQueue(RouteWaiter& waiter) {
  const std::lock_guard lock(mutex_);
  if (waiter.queued) take(waiter, queue_);
  return waiter.granted ? ModelPlace(shared_from_this(), std::move(waiter.granted)) : ModelPlace();
}

inline void RouterState::giveBack(const RoutedModelPtr& model) {
  std::shared_ptr<RouteWaiter> next;
  {
    const std::lock_guard lock(mutex_);
    const auto wants = [&model](const std::shared_ptr<RouteWaiter>& waiter) {
      return std::find(waiter->wants.begin(), waiter->wants.end(), model.get()) != waiter->wants.end();
    };
    const auto found = std::find_if(queue_.begin(), queue_.end(), wants);
    if (found == queue_.end()) {
      --model->underWay;
      return;
    }
    next = *found;
    next->granted = model;  // the place goes from hand to hand: nobody who comes now is faster
    take(*next, queue_);
  }
  next->changed.resumeAll();
}

inline void RouterState::announce(const RouteCall& call, RoutedModel& model) {
  const unsigned attempt = call.machine.attempts() + 1;
  const bool again = attempt > 1 && call.machine.lastModel() == model.number;
  {
    const std::lock_guard lock(mutex_);
    ++counters_.attempts;
    ++model.account.attempts;
    if (attempt > 1) ++(again ? counters_.retries : counters_.failovers);
  }
  if (attempt == 1) return;
  const std::error_code cause = call.machine.lastError();
  if (again) {
    onRetry.emit(RetryEvent{call.request.id(), model.description.id, attempt, cause});
  } else {
    onFailover.emit(
        FailoverEvent{call.request.id(), call.notes.back().model, model.description.id, attempt, cause});
  }
}

inline void RouterState::announceHedge(const RouteCall& call, const RoutedModel& slow, RoutedModel& model) {
  {
    const std::lock_guard lock(mutex_);
    ++counters_.attempts;
    ++counters_.hedges;
    ++model.account.attempts;
  }
  onHedge.emit(
      HedgeEvent{call.request.id(), slow.description.id, model.description.id, call.machine.attempts() + 2});
}

inline void RouterState::countHedgeWin() {
  const std::lock_guard lock(mutex_);
  ++counters_.hedgeWins;
}

inline void RouterState::countContinuation() {
  const std::lock_guard lock(mutex_);
  ++counters_.continuations;
}

inline void RouterState::settle(RouteCall& call, RoutedModel& model, const Verdict& verdict,
                                const AttemptEnd& end, Duration took) {
  const std::lock_guard lock(mutex_);
  call.paid = false;
  if (verdict.action == RouteAction::accept) {
    budget_.success();
    (end.stream ? model.account.firstToken : model.account.latency).record(took);
    model.account.estimate.record(took, environment.now());
    if (end.reply) model.account.add(end.reply->usage());
    if (!call.request.session().empty()) sessions_.stick(call.request.session(), model.number);
    return;
  }
  const TimePoint now = environment.now();
  const Duration wait = call.machine.ended(model.number, verdict, now, environment.random());
  if (verdict.throttled) model.notBefore = std::max(model.notBefore, now + wait);
}

inline void RouterState::addUsage(RoutedModel& model, const ModelUsage& usage) {
  const std::lock_guard lock(mutex_);
  model.account.add(usage);
}

inline void RouterState::succeeded(Duration took) {
  const std::lock_guard lock(mutex_);
  --counters_.activeRequests;
  ++counters_.successfulRequests;
  latency_.record(took);
  recent_.add(RequestEnd::success);
}

inline void RouterState::failed(const std::error_code& error) {
  const std::lock_guard lock(mutex_);
  --counters_.activeRequests;
  if (isCancellation(error) || error == Errc::closed) {
    ++counters_.cancelledRequests;
    return;
  }
  const bool timedOut = error == RouteErrc::deadline_exceeded;
  ++counters_.failedRequests;
  if (timedOut) ++counters_.timeoutRequests;
  recent_.add(timedOut ? RequestEnd::time_out : RequestEnd::failure);
}

inline RouterState::Attempts::iterator RouterState::addAttempt(ChildTask<AttemptEnd>& attempt) {
  const std::lock_guard lock(mutex_);
  if (closed_) attempt.cancel();
  return attempts_.insert(attempts_.end(), &attempt);
}

inline void RouterState::removeAttempt(Attempts::iterator attempt) {
  const std::lock_guard lock(mutex_);
  attempts_.erase(attempt);
}

inline void RouterState::close() {
  Waiters waiters;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiters = takeWaiters(nullptr);
    for (ChildTask<AttemptEnd>* const attempt : attempts_) attempt->cancel();  // only posts
  }
  const std::exception_ptr error = std::make_exception_ptr(routerClosed());
  for (const std::shared_ptr<RouteWaiter>& waiter : waiters) waiter->changed.close(error);
}

inline bool RouterState::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

inline RouterMetrics RouterState::metrics() const {
  const std::lock_guard lock(mutex_);
  RouterMetrics metrics = counters_;
  metrics.queuedRequests = queue_.size();
  metrics.retryTokens = budget_.tokens();
  metrics.avgLatencyMs = toMilliseconds(latency_.mean());
  metrics.p99LatencyMs = toMilliseconds(latency_.percentile(99));
  const TimePoint now = environment.now();
  for (const auto& [id, model] : byId_) {
    metrics.circuits[id] = toString(model->breaker.state());
    metrics.throttledMs[id] = toMilliseconds(std::max(model->notBefore, now) - now);
    const ModelAccount& account = model->account;
    metrics.modelAttempts[id] = account.attempts;
    metrics.modelInputTokens[id] = account.inputTokens;
    metrics.modelOutputTokens[id] = account.outputTokens;
    metrics.modelP50LatencyMs[id] = toMilliseconds(account.latency.percentile(50));
    metrics.modelP99LatencyMs[id] = toMilliseconds(account.latency.percentile(99));
    metrics.modelP50FirstTokenMs[id] = toMilliseconds(account.firstToken.percentile(50));
    metrics.modelP99FirstTokenMs[id] = toMilliseconds(account.firstToken.percentile(99));
    metrics.modelOpenMs[id] = toMilliseconds(account.openTime(now));
  }
  return metrics;
}

inline HealthReport RouterState::health() const {
  constexpr double maxTimeoutPercent = 5;
  constexpr double maxFailurePercent = 20;
  HealthReport health;
  const std::lock_guard lock(mutex_);
  const TimePoint now = environment.now();
  for (const auto& [id, model] : byId_) {
    HealthReport circuit = model->breaker.healthCheck();
    for (HealthIssue& issue : circuit.issues)
      health.report(std::move(issue.code), std::move(issue.message), issue.value, issue.limit);
    // A shorter wait is no outage: a request that nobody else can answer outlasts it.
    const Duration rest = std::max(model->notBefore, now) - now;
    if (rest <= options.deadline) continue;
    const double seconds = std::chrono::duration<double>(rest).count();
    health.report("model_throttled",
                  fmt::format("the model {} asked to be left alone; it is asked again in {:.1f} s",
                              quotedText(id, 256), seconds),
                  seconds, std::chrono::duration<double>(options.deadline).count());
  }
  const double timeouts = recent_.percent(RequestEnd::time_out);
  if (timeouts > maxTimeoutPercent) {
    health.report("high_timeout_rate",
                  fmt::format("{:.1f} % of the latest requests ran into their deadline", timeouts), timeouts,
                  maxTimeoutPercent);
  }
  const double failures = recent_.percent(RequestEnd::failure);
  if (failures > maxFailurePercent) {
    health.report("high_failure_rate", fmt::format("{:.1f} % of the latest requests failed", failures),
                  failures, maxFailurePercent);
  }
  const auto tokens = static_cast<double>(budget_.tokens());
  const double fewTokens = static_cast<double>(options.budget.capacity) / 10;
  if (tokens < fewTokens) {
    health.report("retry_budget_low", fmt::format("{:.0f} tokens of the retry budget are left", tokens),
                  tokens, fewTokens);
  }
  const auto queued = static_cast<double>(queue_.size());
  const double many = static_cast<double>(options.maxQueued) * 0.8;
  if (queued > many) {
    health.report("queue_nearly_full", fmt::format("{:.0f} requests wait for a model", queued), queued, many);
  }
  return health;
}

}  // namespace lukhas::detail
