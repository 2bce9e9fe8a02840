// TtlState: what the parts of a TTLEnforcementEngine share: the entries, the timers, and the work on what is
// due.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/front_timer.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/ttl/detail/entry_schedule.hpp"
#include "lukhas/ttl/detail/ttl_argument_check.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/ttl_metrics.hpp"

namespace lukhas::detail {

// Two timers, one for what is due next and one for the interval, begin a *run*: slices of work, one posted
// after the other until nothing is due. There is one run at a time; sweep() works beside it in the same way.
// Whoever works takes the mutex for one entry at a time and reports that entry before it takes the next, so
// that what a listener does (register the key anew, stop, destroy the engine) holds for all that follows,
// and nobody ever waits for a whole slice.
class TtlState : public std::enable_shared_from_this<TtlState> {
 public:
  [[nodiscard]] static std::shared_ptr<TtlState> make(Environment environment,
                                                      const TTLEnforcementEngineOptions& options) {
    checkTtlOptions(options);
    auto state = std::make_shared<TtlState>(std::move(environment), options);
    const std::weak_ptr<TtlState> weak = state;
    state->front_.emplace(
        state->environment_, weak, +[](TtlState& self) { self.onFront(); });
    state->interval_.emplace(
        state->environment_, weak, +[](TtlState& self) { self.onInterval(); });
    return state;
  }
  TtlState(Environment environment, const TTLEnforcementEngineOptions& options)
      : environment_(std::move(environment)),
        rules_(options),
        sweepInterval_(options.sweepInterval),
        maxEntriesPerSlice_(options.maxEntriesPerSlice),
        maxEntries_(options.maxEntries),
        entries_(environment_.random()) {}

  Duration registerEntry(std::string_view key, std::optional<Duration> ttl, std::string_view type);
  bool refresh(std::string_view key);
  bool extend(std::string_view key, Duration by);
  bool unregister(std::string_view key);
  [[nodiscard]] std::optional<Duration> remaining(std::string_view key);
  [[nodiscard]] std::vector<EntryExpiringSoon> expiringSoon(Duration window) const;

  void start();
  void stop();
  void close();
  [[nodiscard]] static asio::awaitable<std::size_t> sweep(std::shared_ptr<TtlState> state);

  [[nodiscard]] TtlMetrics metrics() const;
  [[nodiscard]] HealthReport health() const;
  [[nodiscard]] bool checkInvariants() const {
    const std::lock_guard lock(mutex_);
    return entries_.checkInvariants();
  }

  Signal<EntryExpired> onExpired;
  Signal<EntryExpiringSoon> onExpiringSoon;

 private:
  enum class Worker { run, sweep };
  struct Slice {
    std::size_t removed = 0;
    bool more = false;  // is due, after as many entries as one slice may have
  };

  // One slice of what is due at `asOf`. Takes the mutex itself.
  Slice work(Worker worker, TimePoint asOf);
  void workOnRun();
  void report(const EntrySchedule::Due& due) const noexcept;

  void onFront();
  void onInterval();
  void requireOpen() const;

  // With the mutex held.
  [[nodiscard]] bool mayWork(Worker worker) const noexcept {
    return worker == Worker::run ? running_ : !closed_;
  }
  void beginRun(TimePoint now, bool isSweep) noexcept;
  void endRun() noexcept;
  void countSweep(TimePoint begun) noexcept;
  void followTimers() noexcept;

  const Environment environment_;
  const TtlRuleBook rules_;
  const Duration sweepInterval_;
  const std::size_t maxEntriesPerSlice_;
  const std::size_t maxEntries_;

  mutable std::mutex mutex_;  // guards what follows
  EntrySchedule entries_;
  std::optional<FrontTimer> front_;     // the first thing that is due; silent during a run
  std::optional<FrontTimer> interval_;  // the safety net
  TimePoint nextSweep_{};               // of the interval
  bool running_ = false;                // between start() and stop()
  bool closed_ = false;

  struct Run {
    TimePoint begun{};
    bool isSweep = false;  // counts as one: the interval asked for it, or it has removed something
  };
  std::optional<Run> run_;  // the one that is under way; stop() leaves its end to its next slice

  std::uint64_t registered_ = 0;
  std::uint64_t expired_ = 0;
  std::uint64_t sweeps_ = 0;
  double grantedMs_ = 0;
  double sweepMs_ = 0;
  std::int64_t lastSweepAt_ = 0;
};

inline Duration TtlState::registerEntry(std::string_view key, std::optional<Duration> ttl,
                                        std::string_view type) {
  requireTtlKey(key);
  requireTtlType(type);
  const TtlRules& rules = rules_.of(type);
  const Duration granted = rules.grant(key, type, ttl.value_or(rules.defaultTtl));

  const std::lock_guard lock(mutex_);
  if (entries_.size() >= maxEntries_ && !entries_.contains(key)) refuseTtlEntry(key, maxEntries_);
  const TimePoint now = environment_.now();
  if (entries_.empty()) nextSweep_ = Environment::saturatingAdd(now, sweepInterval_);
  entries_.put(key, type, rules, granted, now);
  ++registered_;
  grantedMs_ += toMilliseconds(granted);
  followTimers();
  return granted;
}

inline bool TtlState::refresh(std::string_view key) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = environment_.now();
  TtlEntry* const entry = entries_.findValid(key, now);
  if (!entry) return false;
  entries_.prolong(*entry, entry->ttl, now);
  followTimers();
  return true;
}

inline bool TtlState::extend(std::string_view key, Duration by) {
  requireTtlExtension(key, by);
  const std::lock_guard lock(mutex_);
  const TimePoint now = environment_.now();
  TtlEntry* const entry = entries_.findValid(key, now);
  if (!entry) return false;
  const Duration left = entry->remaining(now);
  const Duration wanted = by > Duration::max() - left ? Duration::max() : left + by;
  // A short rest is no reason to refuse, nor to give more than was asked for: minTtl is for registering.
  const TtlRules& rules = *entry->rules;
  const Duration granted = wanted > rules.maxTtl ? rules.grant(key, entry->type, wanted) : wanted;
  entries_.prolong(*entry, granted, now);
  followTimers();
  return true;
}

inline bool TtlState::unregister(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (!entries_.erase(key)) return false;
  followTimers();
  return true;
}

inline std::optional<Duration> TtlState::remaining(std::string_view key) {
  const std::lock_guard lock(mutex_);
  const TimePoint now = environment_.now();
  const TtlEntry* const entry = entries_.findValid(key, now);
  if (!entry) return std::nullopt;
  return entry->remaining(now);
}

inline std::vector<EntryExpiringSoon> TtlState::expiringSoon(Duration window) const {
  const std::lock_guard lock(mutex_);
  return entries_.expiringSoon(window, environment_.now());
}

inline void TtlState::start() {
  const std::lock_guard lock(mutex_);
  if (running_ || closed_) return;
  running_ = true;
  nextSweep_ = environment_.after(sweepInterval_);
  followTimers();
}

inline void TtlState::stop() {
  const std::lock_guard lock(mutex_);
  running_ = false;
  front_->cancel();
  interval_->cancel();
}

inline void TtlState::close() {
  stop();
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

inline asio::awaitable<std::size_t> TtlState::sweep(std::shared_ptr<TtlState> state) {
  const TimePoint begun = state->environment_.now();
  std::size_t removed = 0;
  for (;;) {
    state->requireOpen();
    const Slice slice = state->work(Worker::sweep, begun);
    state->requireOpen();  // a listener may have destroyed the engine
    removed += slice.removed;
    if (!slice.more) break;
    co_await asio::post(asio::use_awaitable);
  }
  const std::lock_guard lock(state->mutex_);
  state->countSweep(begun);
  co_return removed;
}

inline TtlState::Slice TtlState::work(Worker worker, TimePoint asOf) {
  Slice slice;
  for (std::size_t steps = 0;; ++steps) {
    EntrySchedule::Due due;
    {
      const std::lock_guard lock(mutex_);
      if (!mayWork(worker)) return slice;
      if (steps == maxEntriesPerSlice_) {
        slice.more = entries_.isDue(asOf);
        return slice;
      }
      due = entries_.takeDue(asOf);
      if (std::holds_alternative<EntrySchedule::NothingDue>(due)) return slice;
      if (std::holds_alternative<EntryExpired>(due)) {
        ++expired_;
        ++slice.removed;
        if (entries_.empty()) followTimers();
      }
    }
    report(due);
  }
}

inline void TtlState::report(const EntrySchedule::Due& due) const noexcept {
  if (const auto* expired = std::get_if<EntryExpired>(&due)) onExpired.emit(*expired);
  if (const auto* soon = std::get_if<EntryExpiringSoon>(&due)) onExpiringSoon.emit(*soon);
}

inline void TtlState::onFront() {
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = environment_.now();
    const bool begin = running_ && !run_ && entries_.isDue(now);
    if (begin) beginRun(now, false);
    front_->settle(now, running_ && !run_ ? entries_.next() : std::nullopt);
    if (!begin) return;
  }
  workOnRun();
}

inline void TtlState::onInterval() {
  {
    const std::lock_guard lock(mutex_);
    const TimePoint now = environment_.now();
    const bool isTime = running_ && !entries_.empty() && nextSweep_ <= now;
    const bool begin = isTime && !run_;
    if (isTime) nextSweep_ = Environment::saturatingAdd(now, sweepInterval_);
    if (begin) beginRun(now, true);
    interval_->settle(now, running_ && !entries_.empty() ? std::optional(nextSweep_) : std::nullopt);
    if (!begin) return;
  }
  workOnRun();
}

// One slice of the run, and a post for the next one.
inline void TtlState::workOnRun() {
  try {
    const Slice slice = work(Worker::run, environment_.now());
    {
      const std::lock_guard lock(mutex_);
      run_->isSweep = run_->isSweep || slice.removed > 0;
      if (!slice.more) return endRun();
    }
    environment_.post([weak = weak_from_this()] {
      if (const std::shared_ptr<TtlState> self = weak.lock()) self->workOnRun();
    });
  } catch (...) {  // no memory: no entry is lost, and the next tick tries again
    const std::lock_guard lock(mutex_);
    run_.reset();
    followTimers();
    throw;
  }
}

inline void TtlState::beginRun(TimePoint now, bool isSweep) noexcept { run_ = Run{now, isSweep}; }

inline void TtlState::endRun() noexcept {
  if (run_->isSweep) countSweep(run_->begun);
  run_.reset();
  followTimers();
}

inline void TtlState::countSweep(TimePoint begun) noexcept {
  using std::chrono::milliseconds;
  ++sweeps_;
  sweepMs_ += toMilliseconds(environment_.now() - begun);
  lastSweepAt_ = std::chrono::duration_cast<milliseconds>(environment_.wallNow().time_since_epoch()).count();
}

// Nothing is armed while there is nothing to do. During a run its end follows the front again.
inline void TtlState::followTimers() noexcept {
  if (!running_) return;
  interval_->follow(entries_.empty() ? std::nullopt : std::optional(nextSweep_));
  if (!run_) front_->follow(entries_.next());
}

inline void TtlState::requireOpen() const {
  const std::lock_guard lock(mutex_);
  if (closed_) throw Error(TtlErrc::closed, "the TTL engine was destroyed during a sweep");
}

inline TtlMetrics TtlState::metrics() const {
  const auto mean = [](double sum, std::uint64_t count) {
    return count == 0 ? 0.0 : sum / static_cast<double>(count);
  };
  const std::lock_guard lock(mutex_);
  TtlMetrics metrics;
  metrics.totalEntries = registered_;
  metrics.expiredEntries = expired_;
  metrics.activeEntries = entries_.size();
  metrics.avgTTLMs = mean(grantedMs_, registered_);
  metrics.sweepCount = sweeps_;
  metrics.lastSweepAt = lastSweepAt_;
  metrics.avgSweepDurationMs = mean(sweepMs_, sweeps_);
  return metrics;
}

inline HealthReport TtlState::health() const {
  HealthReport health;
  const std::lock_guard lock(mutex_);
  const std::optional<Duration> overdue = entries_.overdue(environment_.now());
  if (overdue) {
    const double lateMs = toMilliseconds(*overdue);
    const double limitMs = toMilliseconds(sweepInterval_);
    if (!running_) {
      health.report("not_running",
                    fmt::format("the engine is not started, and expired entries wait for {:.0f} ms", lateMs),
                    lateMs, 0);
    }
    if (*overdue > sweepInterval_) {
      health.report(
          "overdue_backlog",
          fmt::format("expired entries wait for removal for {:.0f} ms after their grace period", lateMs),
          lateMs, limitMs);
    }
  }
  if (entries_.size() >= maxEntries_) {
    health.report("full", fmt::format("all {} entries are taken: new keys are refused", maxEntries_),
                  static_cast<double>(entries_.size()), static_cast<double>(maxEntries_ - 1));
  }
  return health;
}

}  // namespace lukhas::detail
