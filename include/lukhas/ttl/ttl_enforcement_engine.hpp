// TTLEnforcementEngine: every entry ends when its time is over, and says so.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/any_duration.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/ttl/detail/ttl_state.hpp"
#include "lukhas/ttl/ttl_error.hpp"
#include "lukhas/ttl/ttl_events.hpp"
#include "lukhas/ttl/ttl_metrics.hpp"
#include "lukhas/ttl/ttl_options.hpp"
#include "lukhas/ttl/ttl_results.hpp"

namespace lukhas {

// Keeps the lifetimes of keyed things: sessions, contexts, cached answers. It holds keys, not the things.
//
//   lukhas::TTLEnforcementEngine ttl{environment, {.policies = {{"session", {.defaultTtl = 30min}}}}};
//   lukhas::Subscription ending =
//       ttl.onExpired.connect([&](const lukhas::EntryExpired& entry) { sessions.erase(entry.key); });
//   ttl.start();
//
//   ttl.registerEntry("session:42", std::nullopt, "session");
//   if (!ttl.refresh("session:42")) throw SessionIsOver();
//
// What it guarantees. An entry is valid before its expiry, and from that very instant no more, whether or not
// the engine is started or behind. In its grace period refresh() alone makes it valid again. When that has
// passed as well, it is gone: removed and reported, once, never earlier, and not only with the next interval.
// Only entries that end this way are reported; one that was prolonged, replaced or unregistered before is
// not.
//
//     registered            expiry                expiry + grace period
//     |------- valid -------|----- not valid -----|   gone: onExpired
//                           |  refresh() possible |
//
// Order. Entries with the same grace period are reported in the order of their expiry. Those that expire
// together are worked off in slices of maxEntriesPerSlice or maxSliceTime, whichever ends first; between two
// slices everything else that is ready has its turn, and no lock is held for longer than one entry takes.
//
// Listeners run on the environment's executor, or where sweep() was awaited, one entry after the other, and
// without a lock: they may call everything here, and may destroy their subscription or the engine. What one
// throws is counted by the signal and hurts nobody. The key is free when onExpired is called. (With several
// threads, another one may register it anew before the listener sees the event.)
//
// Clocks. Setting the time of day changes nothing but lastSweepAt. Whether an entry ages while the machine is
// suspended is an option.
//
// After a mass refresh. Where many thousands that would have expired together were all refreshed, the engine
// comes to each of them once at its old time, in slices, before it comes to what is due right behind them:
// that is then reported late by what this takes, a third of a second for a million. (It is not valid before.)
//
// stop() and the destructor do not wait; no report begins after them, except one that is under way in another
// thread. What is due stays registered, and is reported after the next start(). An engine that is stopped, or
// holds no entry, has no timer armed, so that io_context::run() can return. Any thread may call.
//
// Costs. Each call takes O(log n), one short mutex, and registering a new key one allocation. refresh() and
// extend() cost little more than isValid(): they write a time. No call stops for longer when there are many
// entries: nothing is ever copied, sorted or rehashed as a whole. Only getExpiringSoon() and the destructor
// take as long as there are entries for them. Memory that was needed once is kept for the next entries as far
// as pages are in use in part: after nine in ten of a million have gone at random, most is still there.
class TTLEnforcementEngine {
 public:
  using Options = TTLEnforcementEngineOptions;

  // Throws Errc::invalid_option. Nothing is reported before start().
  explicit TTLEnforcementEngine(Environment environment, TTLEnforcementEngineOptions options = {})
      : TTLEnforcementEngine(detail::TtlState::make(std::move(environment), options)) {}
  TTLEnforcementEngine(const TTLEnforcementEngine&) = delete;
  TTLEnforcementEngine& operator=(const TTLEnforcementEngine&) = delete;
  // A sweep() under way ends with TtlErrc::closed.
  ~TTLEnforcementEngine() { state_->close(); }

  // Begins or ends the reporting of what expires. Both may be called again and again.
  void start() { state_->start(); }
  void stop() { state_->stop(); }

  // Begins a life of the key: with `ttl`, or the default of its type. An entry of that key is replaced, and
  // not reported. Returns the TTL that it got, which differs from `ttl` when that was clamped: below the
  // type's minTtl (also zero or less) or above its maxTtl (also "for ever", hours::max() for example).
  //
  // Throws TtlErrc::invalid_key, invalid_type, ttl_out_of_range (where the policy refuses instead of
  // clamping), too_many_entries, too_many_types. In each case nothing has changed.
  Duration registerEntry(std::string_view key, std::optional<AnyDuration> ttl = std::nullopt,
                         std::string_view type = {}) {
    return state_->registerEntry(key, ttl, type);
  }

  // Whether the key is registered and has not expired.
  [[nodiscard]] bool isValid(std::string_view key) const { return state_->remaining(key).has_value(); }
  // What is left, more than zero; nullopt when the key is not valid.
  [[nodiscard]] std::optional<Duration> getRemainingTTL(std::string_view key) const {
    return state_->remaining(key);
  }

  // The original TTL again, from now: of a valid entry, and of one in its grace period, which is valid again
  // then. False when the key is not registered, or its grace period is over.
  bool refresh(std::string_view key) { return state_->refresh(key); }
  // So much longer than what is left, but never so that more than maxTtl is left: the result says which, and
  // what is left now. Where the policy refuses, more throws TtlErrc::ttl_out_of_range and changes nothing.
  // refresh() still goes back to the original TTL. Only of a valid entry: in its grace period it has nothing
  // left that could be extended. Throws Errc::invalid_argument when `by` is negative.
  ExtendResult extend(std::string_view key, AnyDuration by) { return state_->extend(key, by); }
  // Forgets the key: after true, no report of it begins, except in another thread one that was on its way.
  // False when it was not registered, or is reported already.
  bool unregister(std::string_view key) { return state_->unregister(key); }

  // The valid entries with at most `window` left, the first to expire first. For k of them, of those whose
  // expiry the engine has not come round to yet, and of those that would be among them had they not been
  // prolonged since, it takes O(k log k), during which other callers wait: ask for a short window when there
  // are many.
  [[nodiscard]] std::vector<EntryExpiringSoon> getExpiringSoon(AnyDuration window) const {
    return state_->expiringSoon(window);
  }

  // Works off everything that is due now, and says what it did. Also without start(). Beside another sweep
  // each entry is removed and reported by one of them. The caller resumes on its own executor. Cancelled, it
  // stops between two slices with operation_aborted; what it has done stays done.
  [[nodiscard]] asio::awaitable<SweepReport> sweep() { return detail::TtlState::sweep(state_); }

  // Calls visit(const TtlTypeStatistics&) for each type: that of entries without one, those with a policy,
  // and the others in the order of their first use. The figures are of one moment, and visit may call
  // everything here.
  template <std::invocable<const TtlTypeStatistics&> Visit>
  void forEachType(Visit&& visit) const {
    const std::vector<TtlTypeStatistics> statistics = state_->typeStatistics();
    for (const TtlTypeStatistics& type : statistics) visit(type);
  }

  [[nodiscard]] TtlMetrics getMetrics() const { return state_->metrics(); }
  // not_running      expired entries wait, and nobody has called start(); figure: for how long, in ms
  // overdue_backlog  the first one waits for longer than grace period + sweepInterval; figure: how long after
  //                  its grace period, in ms. (Both may come a call late for one behind thousands that were
  //                  prolonged just before they would have expired.)
  // full             new keys are refused; figure: the entries
  [[nodiscard]] HealthReport healthCheck() const { return state_->health(); }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const { return state_->checkInvariants(); }

 private:
  explicit TTLEnforcementEngine(std::shared_ptr<detail::TtlState> state)
      : state_(std::move(state)), onExpired(state_->onExpired), onExpiringSoon(state_->onExpiringSoon) {}

  std::shared_ptr<detail::TtlState> state_;  // before the signals, which refer to it

 public:
  // An entry expired, its grace period is over, and it was removed.
  Signal<EntryExpired>& onExpired;
  // A valid entry has no more than its type's expiringSoonWindow left: once in its life, which begins with
  // registerEntry(); refresh() and extend() move the moment as long as it has not come. An entry whose whole
  // TTL is within the window is reported right after it was registered.
  Signal<EntryExpiringSoon>& onExpiringSoon;
};

}  // namespace lukhas
