// TtlState: what the parts of a TTLEnforcementEngine share: the entries, the timers, and the work on what is
// due.
#pragma once

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
#include "lukhas/ttl/detail/slice_budget.hpp"
#include "lukhas/ttl/detail/ttl_argument_check.hpp"
#include "lukhas/ttl/detail/ttl_rules.hpp"
#include "lukhas/ttl/ttl_metrics.hpp"
#include "lukhas/ttl/ttl_results.hpp"

namespace lukhas::detail {

// Two timers, one for what is due next and one for the interval, begin a *run*: slices of work, one posted
// after the other until nothing is due. There is one run at a time; sweep() works beside it in the same way.
// Whoever works takes the mutex for one entry at a time and reports that entry before it takes the next, so
// that what a listener does (register the key anew, unregister the next one, stop, destroy the engine) holds
// for all that follows, and nobody ever waits for a whole slice.
//
// There are two clocks. Entries live by now(), which counts suspended time or not, as the option says;
// timers, slices and the interval go by the environment's now(), which is what its timers follow.
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
        suspendedTime_(options.suspendedTime),
        sweepInterval_(options.sweepInterval),
        maxEntriesPerSlice_(options.maxEntriesPerSlice),
        maxSliceTime_(options.maxSliceTime),
        maxEntries_(options.maxEntries),
        entries_(options, environment_.random()) {}

  Duration registerEntry(std::string_view key, std::optional<Duration> ttl, std::string_view type);
  bool refresh(std::string_view key);
  ExtendResult extend(std::string_view key, Duration by);
  bool unregister(std::string_view key);
  [[nodiscard]] std::optional<Duration> remaining(std::string_view key) const;
  [[nodiscard]] std::vector<EntryExpiringSoon> expiringSoon(Duration window) const;

  void start();
  void stop();
  void close();
  [[nodiscard]] static asio::awaitable<SweepReport> sweep(std::shared_ptr<TtlState> state);

  [[nodiscard]] TtlMetrics metrics() const;
  [[nodiscard]] std::vector<TtlTypeStatistics> typeStatistics() const;
  [[nodiscard]] HealthReport health() const;
  [[nodiscard]] bool checkInvariants() const {
    const std::lock_guard lock(mutex_);
    return entries_.checkInvariants();
  }

  Signal<EntryExpired> onExpired;
  Signal<EntryExpiringSoon> onExpiringSoon;

 private:
  static constexpr int turnsBetweenSlices = 2;  // of everything else that is ready: see postSlice()
  enum class Worker { run, sweep };
  struct Slice {
    std::size_t expired = 0;
    std::size_t warned = 0;
    bool more = false;  // is due, after as much as one slice may have
  };
  class Reporter;

  [[nodiscard]] TimePoint now() const noexcept {
    return suspendedTime_ == SuspendedTime::counted ? environment_.bootNow() : environment_.now();
  }
  // One slice of what is due at `asOf`. Takes the mutex itself.
  Slice work(Worker worker, TimePoint asOf);
  void workOnRun();
  void postSlice(int turns);
  void abandonRun() noexcept;

  void onFront();
  void onInterval();
  void requireOpen() const;
  [[nodiscard]] static double mean(double sum, std::uint64_t count) noexcept {
    return count == 0 ? 0.0 : sum / static_cast<double>(count);
  }

  // With the mutex held.
  [[nodiscard]] bool mayWork(Worker worker) const noexcept {
    return worker == Worker::run ? running_ : !closed_;
  }
  void beginRun(TimePoint begun, bool isSweep) noexcept;
  void endRun() noexcept;
  Duration countSweep(TimePoint begun) noexcept;  // gives its duration
  void followTimers() noexcept;
  [[nodiscard]] std::optional<TimePoint> nextAlarm() const noexcept;

  const Environment environment_;
  const SuspendedTime suspendedTime_;
  const Duration sweepInterval_;
  const std::size_t maxEntriesPerSlice_;
  const Duration maxSliceTime_;
  const std::size_t maxEntries_;

  mutable std::mutex mutex_;            // guards what follows
  mutable EntrySchedule entries_;       // a look at the health puts right what was prolonged
  std::optional<FrontTimer> front_;     // the first thing that is due; silent during a run
  std::optional<FrontTimer> interval_;  // the safety net
  TimePoint nextSweep_{};               // of the interval
  bool running_ = false;                // between start() and stop()
  bool closed_ = false;

  struct Run {
    TimePoint begun{};
    bool isSweep = false;  // counts as one: the interval asked for it, or something expired in it
  };
  std::optional<Run> run_;  // the one that is under way; stop() leaves its end to its next slice

  std::uint64_t sweeps_ = 0;
  double sweepMs_ = 0;
  std::int64_t lastSweepAt_ = 0;
};

inline Duration TtlState::registerEntry(std::string_view key, std::optional<Duration> ttl,
                                        std::string_view type) {
  requireTtlKey(key);
  requireTtlType(type);
  const std::lock_guard lock(mutex_);
  if (entries_.empty()) nextSweep_ = environment_.after(sweepInterval_);
  const Duration granted = entries_.put(key, type, ttl, now());
  followTimers();
  return granted;
}

inline bool TtlState::refresh(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (!entries_.refresh(key, now())) return false;
  followTimers();
  return true;
}

inline ExtendResult TtlState::extend(std::string_view key, Duration by) {
  requireTtlExtension(key, by);
  const std::lock_guard lock(mutex_);
  const ExtendResult result = entries_.extend(key, by, now());
  if (result) followTimers();
  return result;
}

inline bool TtlState::unregister(std::string_view key) {
  const std::lock_guard lock(mutex_);
  if (!entries_.erase(key)) return false;
  followTimers();
  return true;
}

inline std::optional<Duration> TtlState::remaining(std::string_view key) const {
  const std::lock_guard lock(mutex_);
  return entries_.remaining(key, now());
}

inline std::vector<EntryExpiringSoon> TtlState::expiringSoon(Duration window) const {
  const std::lock_guard lock(mutex_);
  return entries_.expiringSoon(window, now());
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

inline asio::awaitable<SweepReport> TtlState::sweep(std::shared_ptr<TtlState> state) {
  const TimePoint begun = state->environment_.now();
  const TimePoint asOf = state->now();
  SweepReport report;
  for (;;) {
    state->requireOpen();
    const Slice slice = state->work(Worker::sweep, asOf);
    state->requireOpen();  // a listener may have destroyed the engine
    report.expired += slice.expired;
    report.warned += slice.warned;
    ++report.slices;
    if (!slice.more) break;
    for (int turn = 0; turn < turnsBetweenSlices; ++turn) co_await asio::post(asio::use_awaitable);
  }
  const std::lock_guard lock(state->mutex_);
  report.duration = state->countSweep(begun);
  co_return report;
}

// Keeps, with the mutex held, what is to be told, and tells it without. It has room for any key and type, so
// that nothing that was removed is lost for want of memory.
class TtlState::Reporter {
 public:
  explicit Reporter(const TtlState& state) : state_(state) {
    event_.key.reserve(maxTtlKeyBytes);
    event_.type.reserve(maxTtlTypeBytes);
  }

  void keep(const EntrySchedule::Due& due) {
    if (const auto* expired = std::get_if<EntrySchedule::Expired>(&due)) {
      event_.key.assign(expired->key);
      event_.type.assign(expired->type->name);
    }
  }
  void tell(const EntrySchedule::Due& due) const {
    if (std::holds_alternative<EntrySchedule::Expired>(due)) state_.onExpired.emit(event_);
    if (const auto* soon = std::get_if<EntryExpiringSoon>(&due)) state_.onExpiringSoon.emit(*soon);
  }

 private:
  const TtlState& state_;
  EntryExpired event_;
};

inline TtlState::Slice TtlState::work(Worker worker, TimePoint asOf) {
  Slice slice;
  Reporter reporter(*this);
  const bool listened = !onExpired.empty() || !onExpiringSoon.empty();
  SliceBudget budget(maxEntriesPerSlice_, maxSliceTime_, environment_.now(),
                     listened ? SliceBudget::rarestBetweenCalls : SliceBudget::rarest);
  for (;; budget.count()) {
    if (budget.wantsTime()) budget.tell(environment_.now());
    EntrySchedule::Due due;
    {
      const std::lock_guard lock(mutex_);
      if (!mayWork(worker)) return slice;
      if (budget.spent()) {
        slice.more = entries_.isDue(asOf);
        return slice;
      }
      due = entries_.takeDue(asOf);
      if (std::holds_alternative<EntrySchedule::NothingDue>(due)) return slice;
      reporter.keep(due);
      if (std::holds_alternative<EntrySchedule::Expired>(due)) {
        ++slice.expired;
        if (entries_.empty()) followTimers();
      }
      if (auto* const soon = std::get_if<EntryExpiringSoon>(&due)) {
        // Listeners may have taken their time since `asOf`: an entry that has ended is not said to end soon.
        soon->remaining -= now() - asOf;
        if (soon->remaining <= Duration::zero()) continue;
        ++slice.warned;
      }
    }
    reporter.tell(due);
  }
}

inline void TtlState::onFront() {
  {
    const std::lock_guard lock(mutex_);
    const bool begin = running_ && !run_ && entries_.isDue(now());
    if (begin) beginRun(environment_.now(), false);
    front_->settle(environment_.now(), running_ && !run_ ? nextAlarm() : std::nullopt);
    if (!begin) return;
  }
  workOnRun();
}

inline void TtlState::onInterval() {
  {
    const std::lock_guard lock(mutex_);
    const TimePoint time = environment_.now();
    const bool isTime = running_ && !entries_.empty() && nextSweep_ <= time;
    const bool begin = isTime && !run_;
    if (isTime) nextSweep_ = Environment::saturatingAdd(time, sweepInterval_);
    if (begin) beginRun(time, true);
    interval_->settle(time, running_ && !entries_.empty() ? std::optional(nextSweep_) : std::nullopt);
    if (!begin) return;
  }
  workOnRun();
}

// One slice of the run, and posts for the next one.
inline void TtlState::workOnRun() {
  try {
    const Slice slice = work(Worker::run, now());
    const std::lock_guard lock(mutex_);
    run_->isSweep = run_->isSweep || slice.expired > 0;
    if (!slice.more) return endRun();
    postSlice(turnsBetweenSlices);
  } catch (...) {
    abandonRun();
    throw;
  }
}

// Asio looks for timers that are due once in a round of its queue, and puts them behind what is posted by
// then. After a single post a timer that is due since the slice before would wait for two slices.
inline void TtlState::postSlice(int turns) {
  environment_.post([weak = weak_from_this(), turns] {
    const std::shared_ptr<TtlState> self = weak.lock();
    if (!self) return;
    if (turns == 1) return self->workOnRun();
    try {
      self->postSlice(turns - 1);
    } catch (...) {
      self->abandonRun();
      throw;
    }
  });
}

// No memory: no entry is lost, and the next tick tries again.
inline void TtlState::abandonRun() noexcept {
  const std::lock_guard lock(mutex_);
  run_.reset();
  followTimers();
}

inline void TtlState::beginRun(TimePoint begun, bool isSweep) noexcept { run_ = Run{begun, isSweep}; }

inline void TtlState::endRun() noexcept {
  if (run_->isSweep) countSweep(run_->begun);
  run_.reset();
  followTimers();
}

inline Duration TtlState::countSweep(TimePoint begun) noexcept {
  using std::chrono::milliseconds;
  const Duration duration = environment_.now() - begun;
  ++sweeps_;
  sweepMs_ += toMilliseconds(duration);
  lastSweepAt_ = std::chrono::duration_cast<milliseconds>(environment_.wallNow().time_since_epoch()).count();
  return duration;
}

// Nothing is armed while there is nothing to do. During a run its end follows the front again.
inline void TtlState::followTimers() noexcept {
  if (!running_) return;
  interval_->follow(entries_.empty() ? std::nullopt : std::optional(nextSweep_));
  if (!run_) front_->follow(nextAlarm());
}

// When the environment's timers have to ring for what is due next.
inline std::optional<TimePoint> TtlState::nextAlarm() const noexcept {
  const std::optional<TimePoint> next = entries_.next();
  if (!next || suspendedTime_ == SuspendedTime::ignored) return next;
  return environment_.after(*next - now());
}

inline void TtlState::requireOpen() const {
  const std::lock_guard lock(mutex_);
  if (closed_) throw Error(TtlErrc::closed, "the TTL engine was destroyed during a sweep");
}

inline TtlMetrics TtlState::metrics() const {
  const std::lock_guard lock(mutex_);
  TtlMetrics metrics;
  double grantedMs = 0;
  for (const TtlType& type : entries_.types()) {
    metrics.totalEntries += type.registered;
    metrics.expiredEntries += type.expired;
    grantedMs += type.grantedMs;
  }
  metrics.activeEntries = entries_.size();
  metrics.avgTTLMs = mean(grantedMs, metrics.totalEntries);
  metrics.sweepCount = sweeps_;
  metrics.lastSweepAt = lastSweepAt_;
  metrics.avgSweepDurationMs = mean(sweepMs_, sweeps_);
  return metrics;
}

inline std::vector<TtlTypeStatistics> TtlState::typeStatistics() const {
  const std::lock_guard lock(mutex_);
  std::vector<TtlTypeStatistics> statistics;
  statistics.reserve(entries_.types().size());
  for (const TtlType& type : entries_.types()) {
    statistics.push_back(
        {type.name, type.registered, type.expired, type.active, mean(type.grantedMs, type.registered)});
  }
  return statistics;
}

inline HealthReport TtlState::health() const {
  HealthReport health;
  const std::lock_guard lock(mutex_);
  const std::optional<Duration> overdue = entries_.overdue(now());
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
