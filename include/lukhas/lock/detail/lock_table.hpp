// LockTable: who holds which key and who waits for it, as a pure structure. LockState does the awaiting.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/core/prefetch.hpp"
#include "lukhas/lock/async_lock_options.hpp"
#include "lukhas/lock/deadlock_warning.hpp"
#include "lukhas/lock/detail/deadline_queue.hpp"
#include "lukhas/lock/detail/hold_order.hpp"
#include "lukhas/lock/detail/lock_hold.hpp"
#include "lukhas/lock/detail/lock_request.hpp"
#include "lukhas/lock/detail/timeout_rate.hpp"
#include "lukhas/lock/detail/wait_graph.hpp"

namespace lukhas::detail {

// A key is free and nothing is known of it, or it is held exclusively by one hold or shared by several:
//
//   key        event                            next        effect
//   free       take                             held        a new token
//   shared     take shared, nobody waits        shared      a new token
//   held       take otherwise                   same        refused: the caller may enqueue
//   held       enqueue                          same        waits behind all others of this key
//   held       a scope's request that closes    same        refused: the circle
//              a circle
//   exclusive  downgrade                        shared      all shared requests at the front are granted
//   shared     release, others hold it too      shared
//   held       the last release, nobody waits   free
//   held       the last release, others wait    held        granted: the first, and with it, if it is shared,
//                                                           all shared ones right behind
//   held       a waiter gives up, or its        same        if it was the first and kept shared ones from a
//              deadline has come                            shared key, they are granted
//   any        release of a stale hold          same        nothing
//
// So nobody ever waits for a free key, and whoever takes a key overtakes nobody. The mutex, the clock, and
// resuming those whom a change concerns are the caller's business: granted requests are appended to
// `decided`, in their order, with their hold in them. `now` may go back by as much as clocks differ.
// Everything is O(1), or O(log n) for n waiters with deadlines, for each request that is decided.
class LockTable {
 public:
  LockTable(Duration heldWarning, std::uint64_t hashSeed)
      : heldWarning_(heldWarning), hashSeed_(hashSeed), graph_(hashSeed) {}
  LockTable(const LockTable&) = delete;
  LockTable& operator=(const LockTable&) = delete;

  // Any thread may call.
  [[nodiscard]] std::uint64_t hashOf(std::string_view key) const noexcept {
    return hash64(asBytes(key), hashSeed_);
  }

  // Null: it is held now. Otherwise the leading hold of the key, which keeps it out, be it only because
  // others wait already. Without memory it throws std::bad_alloc and changes nothing.
  [[nodiscard]] LockHold* take(LockHold& hold, TimePoint now) {
    LockHold* const leader = keys_.find(hold.key(), hold.keyHash);
    if (leader && !isFreeFor(*leader, hold.mode)) return leader;
    if (!leader) keys_.reserve(keys_.size() + 1);
    if (hold.scope) graph_.enter(hold);
    if (leader) {
      joinHolders(*leader, hold);
    } else {
      keys_.insert(hold);
      hold.leading = true;
    }
    beginHold(hold, now);
    recordGrant(Duration::zero(), now);
    return nullptr;
  }

  // Precondition: take() has just said that `leader` keeps its hold out. When the wait would close a circle
  // of scopes, it returns the circle, and the request does not wait. Without memory it throws std::bad_alloc
  // and changes nothing.
  [[nodiscard]] std::vector<WaitStep> enqueue(LockRequest& request, LockHold& leader, TimePoint now,
                                              TimePoint deadline) {
    deadlines_.makeRoom();
    if (request.hold->scope) graph_.enter(*request.hold);
    deadlines_.push(request, deadline);
    request.outcome = LockOutcome::waiting;
    request.since = now;
    leader.waiters.pushBack(request);
    graph_.beginWait(request);
    if (!request.hold->scope) return {};
    std::vector<WaitStep> circle;
    try {
      circle =
          graph_.findCircle(request, [this](const LockHold& hold) -> LockHold& { return leaderOf(hold); });
    } catch (const std::bad_alloc&) {
      giveUp(request, leader);
      throw;
    }
    if (circle.empty()) return {};
    giveUp(request, leader);
    ++circlesRefused_;
    return circle;
  }

  // False when it does not wait any more: its outcome was decided. `readTime` is called when others are
  // granted because of it.
  template <class ReadTime>
  bool cancel(LockRequest& request, ReadTime&& readTime, LockQueue& decided) noexcept {
    if (request.outcome != LockOutcome::waiting) return false;
    LockHold& leader = leaderOf(request);
    giveUp(request, leader);
    request.outcome = LockOutcome::cancelled;
    grantFront(leader, readTime, decided);
    return true;
  }

  // False when the hold is stale. `readTime` is called when somebody is granted.
  template <class ReadTime>
  bool release(LockHold& hold, ReadTime&& readTime, LockQueue& decided) noexcept {
    if (!hold.held) return false;
    endHold(hold);
    if (hold.nextHolder != &hold) {
      LockHold& next = *hold.nextHolder;
      if (hold.leading) lead(next, hold);
      next.previousHolder = hold.previousHolder;
      hold.previousHolder->nextHolder = &next;
      hold.nextHolder = hold.previousHolder = &hold;
    } else if (hold.waiters.empty()) {
      keys_.erase(hold);
      hold.leading = false;
    } else {
      LockRequest& first = *hold.waiters.first();
      LockHold& next = *first.hold;
      lead(next, hold);
      grant(first, next, readTime(), decided);
      grantFront(next, readTime, decided);
    }
    return true;
  }
  // Makes all holds of the key stale. False when it was free.
  template <class ReadTime>
  bool forceRelease(std::string_view key, ReadTime&& readTime, LockQueue& decided) noexcept {
    LockHold* const leader = keys_.find(key, hashOf(key));
    if (!leader) return false;
    while (leader->nextHolder != leader) release(*leader->nextHolder, readTime, decided);
    return release(*leader, readTime, decided);
  }
  // An exclusive hold becomes a shared one, with the token that it has. False when the hold is stale.
  template <class ReadTime>
  bool downgrade(LockHold& hold, ReadTime&& readTime, LockQueue& decided) noexcept {
    if (!hold.held) return false;
    hold.mode = LockMode::shared;
    if (hold.leading) grantFront(hold, readTime, decided);
    return true;
  }

  // Ends the waits whose deadline has come, at most `max`, and appends them to `decided`, together with those
  // that are granted because of it.
  void expire(TimePoint now, std::size_t max, LockQueue& decided) noexcept {
    for (; max > 0 && !deadlines_.empty() && deadlines_.front().deadline <= now; --max) {
      LockRequest& request = deadlines_.front();
      LockHold& leader = leaderOf(request);
      giveUp(request, leader);
      request.outcome = LockOutcome::timed_out;
      noteBlocker(request, leader, now);
      recordTimeout(now);
      decided.pushBack(request);
      const auto readTime = [now] { return now; };
      grantFront(leader, readTime, decided);
    }
  }

  // The next hold that is to be reported, if its time has come; each one once. Without memory it throws
  // std::bad_alloc, and the hold is still to be reported.
  std::optional<DeadlockWarning> nextWarning(TimePoint now) {
    const LockHold* const hold = holds_.unreported();
    if (!hold || !isOverdue(*hold, now)) return std::nullopt;
    std::optional<DeadlockWarning> warning(
        std::in_place, DeadlockWarning{std::string(hold->key()), std::string(hold->holder()),
                                       now - hold->since, waiters(hold->key()), hold->token});
    holds_.reportOne();
    ++heldTooLong_;
    return warning;
  }

  // When expire() or nextWarning() is to be called next; TimePoint::max(): not at all.
  [[nodiscard]] TimePoint nextDue() const noexcept {
    const TimePoint timeout = deadlines_.empty() ? TimePoint::max() : deadlines_.front().deadline;
    const LockHold* const oldest = heldWarning_ > Duration::zero() ? holds_.unreported() : nullptr;
    return oldest ? std::min(timeout, oldest->since + heldWarning_) : timeout;
  }

  // Ends everything: all holds are stale, and all waiters are appended to `ended`, to be resumed.
  void close(LockQueue& ended) noexcept {
    while (!deadlines_.empty()) {
      LockRequest& request = deadlines_.front();
      giveUp(request, leaderOf(request));
      request.outcome = LockOutcome::closed;
      ended.pushBack(request);
    }
    while (LockHold* const hold = holds_.oldest()) endHold(*hold);
    keys_.release();
  }

  // A request that take() kept out and that is not to wait, because its time-out is zero. Gives the circle
  // that the wait would have closed, if there is one: of that its caller is told rather than of the time.
  [[nodiscard]] std::vector<WaitStep> refuse(LockRequest& request, TimePoint now) noexcept {
    LockHold* const leader = keys_.find(request.hold->key(), request.hold->keyHash);
    if (leader && request.hold->scope && !isFreeFor(*leader, request.hold->mode)) {
      try {
        std::vector<WaitStep> circle = enqueue(request, *leader, now, now);
        if (!circle.empty()) return circle;
        giveUp(request, *leader);
      } catch (const std::bad_alloc&) {
        // Then it is refused for its time.
      }
    }
    recordTimeout(now);
    if (leader) noteBlocker(request, *leader, now);
    return {};
  }

  // The leading hold; null when the key is free.
  [[nodiscard]] const LockHold* find(std::string_view key) const noexcept {
    return keys_.find(key, hashOf(key));
  }
  [[nodiscard]] std::size_t waiters(std::string_view key) const noexcept {
    const LockHold* const leader = find(key);
    return leader ? leader->waiters.size() : 0;
  }
  [[nodiscard]] std::size_t waiting() const noexcept { return deadlines_.size(); }
  // Of the key, in the order of their grants.
  [[nodiscard]] std::vector<LockHolder> holders(std::string_view key, TimePoint now) const {
    std::vector<LockHolder> all;
    const LockHold* const leader = find(key);
    if (!leader) return all;
    const LockHold* hold = leader;
    do {
      all.push_back({std::string(hold->holder()), hold->mode, hold->token,
                     std::max(now - hold->since, Duration::zero())});
      hold = hold->nextHolder;
    } while (hold != leader);
    return all;
  }

  [[nodiscard]] TimeoutRate::Counts recent(TimePoint now) const noexcept { return recent_.recent(now); }
  struct Overdue {
    std::size_t count = 0;
    const LockHold* longest = nullptr;
  };
  // The holds that last longer than heldWarning. O(count).
  [[nodiscard]] Overdue overdue(TimePoint now) const noexcept {
    Overdue found;
    for (const LockHold* hold = holds_.oldest(); hold && isOverdue(*hold, now); hold = hold->later) {
      if (found.count++ == 0) found.longest = hold;
    }
    return found;
  }
  [[nodiscard]] LockMetrics metrics() const noexcept {
    return {.activeLocks = keys_.size(),
            .waiting = deadlines_.size(),
            .totalAcquired = totalAcquired_,
            .totalTimeouts = totalTimeouts_,
            .avgWaitMs = totalAcquired_ == 0 ? 0 : waitSumMs_ / static_cast<double>(totalAcquired_),
            .maxWaitMs = toMilliseconds(maxWait_),
            .deadlocksDetected = circlesRefused_ + heldTooLong_,
            .circlesRefused = circlesRefused_};
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const;

 private:
  [[nodiscard]] static bool admits(const LockHold& leader, LockMode mode) noexcept {
    return mode == LockMode::shared && leader.mode == LockMode::shared;
  }
  [[nodiscard]] static bool isFreeFor(const LockHold& leader, LockMode mode) noexcept {
    return admits(leader, mode) && leader.waiters.empty();
  }
  [[nodiscard]] bool isOverdue(const LockHold& hold, TimePoint now) const noexcept {
    return heldWarning_ > Duration::zero() && now - hold.since >= heldWarning_;
  }
  // Of a hold that is held, or asked for by a request that waits: nobody waits for a free key.
  [[nodiscard]] LockHold& leaderOf(const LockHold& hold) const noexcept {
    LockHold* const leader = keys_.find(hold.key(), hold.keyHash);
    assert(leader);
    return *leader;
  }
  [[nodiscard]] LockHold& leaderOf(const LockRequest& request) const noexcept {
    return leaderOf(*request.hold);
  }

  void beginHold(LockHold& hold, TimePoint now) noexcept {
    lastToken_ = FencingToken(lastToken_.value() + 1);
    hold.token = lastToken_;
    hold.held = true;
    holds_.pushBack(hold, now);
    graph_.beginHold(hold);
  }
  void endHold(LockHold& hold) noexcept {
    hold.held = false;
    holds_.erase(hold);
    graph_.endHold(hold);
  }
  static void joinHolders(LockHold& leader, LockHold& hold) noexcept {
    hold.previousHolder = leader.previousHolder;
    hold.nextHolder = &leader;
    hold.previousHolder->nextHolder = &hold;
    leader.previousHolder = &hold;
  }
  // Takes the key and its queue over.
  void lead(LockHold& next, LockHold& former) noexcept {
    keys_.replace(former, next);
    next.waiters = std::move(former.waiters);
    next.leading = true;
    former.leading = false;
  }

  void unlink(LockRequest& request, LockHold& leader) noexcept {
    leader.waiters.erase(request);
    deadlines_.erase(request);
    graph_.endWait(request);
  }
  void giveUp(LockRequest& request, LockHold& leader) noexcept {
    request.outcome = LockOutcome::idle;
    unlink(request, leader);
    graph_.leave(*request.hold);
  }
  // Precondition: the first in the queue, and the key's holds admit it.
  void grant(LockRequest& request, LockHold& leader, TimePoint now, LockQueue& decided) noexcept {
    LockHold& hold = *request.hold;
    fetchAhead(request.next);
    unlink(request, leader);
    if (&hold != &leader) joinHolders(leader, hold);
    beginHold(hold, now);
    recordGrant(std::max(now - request.since, Duration::zero()), now);
    request.outcome = LockOutcome::granted;
    decided.pushBack(request);
  }
  // In a long queue, who comes next has long left the processor's caches, and it is needed as soon as the one
  // that is granted now gives back: what will be touched then is asked for already, which costs nothing.
  static void fetchAhead(const LockRequest* next) noexcept {
    if (!next) return;
    prefetch<sizeof(LockHold)>(next->hold.get());
    prefetch<waiterBytes>(next->next);
  }
  // What the holds of the key admit now, from the front of the queue.
  template <class ReadTime>
  void grantFront(LockHold& leader, ReadTime&& readTime, LockQueue& decided) noexcept {
    if (leader.waiters.empty() || !admits(leader, leader.waiters.first()->hold->mode)) return;
    const TimePoint now = readTime();
    while (!leader.waiters.empty() && admits(leader, leader.waiters.first()->hold->mode)) {
      grant(*leader.waiters.first(), leader, now, decided);
    }
  }

  static void noteBlocker(LockRequest& request, const LockHold& leader, TimePoint now) noexcept {
    try {
      const Duration held = std::max(now - leader.since, Duration::zero());
      request.blocker = std::make_unique<LockBlocker>(
          LockBlocker{std::string(leader.holder()), held, leader.waiters.size()});
    } catch (const std::bad_alloc&) {
      // The error then does not say.
    }
  }
  void recordGrant(Duration wait, TimePoint now) noexcept {
    ++totalAcquired_;
    waitSumMs_ += toMilliseconds(wait);
    maxWait_ = std::max(maxWait_, wait);
    recent_.granted(now);
  }
  void recordTimeout(TimePoint now) noexcept {
    ++totalTimeouts_;
    recent_.timedOut(now);
  }

  // A request and what its owner keeps behind it, about.
  static constexpr std::size_t waiterBytes = sizeof(LockRequest) + 64;

  Duration heldWarning_;
  std::uint64_t hashSeed_;
  KeyTable<LockHold> keys_;  // the leading hold of each key that is held
  DeadlineQueue deadlines_;  // of all that wait
  HoldOrder holds_;          // all of them
  WaitGraph graph_;          // as far as scopes are known
  FencingToken lastToken_;   // of all keys: so a free key needs no memory for its last

  std::uint64_t totalAcquired_ = 0;
  std::uint64_t totalTimeouts_ = 0;
  std::uint64_t circlesRefused_ = 0;
  std::uint64_t heldTooLong_ = 0;
  double waitSumMs_ = 0;
  Duration maxWait_{};
  TimeoutRate recent_;
};

inline bool LockTable::checkInvariants() const {
  if (!deadlines_.checkInvariants() || !keys_.checkInvariants() || !graph_.checkInvariants()) return false;
  std::size_t waiters = 0;
  std::size_t holders = 0;
  bool good = true;
  keys_.forEach([&](const LockHold& leader) {
    const LockHold* hold = &leader;
    do {
      ++holders;
      good = good && hold->held && hold->leading == (hold == &leader) && hold->key() == leader.key() &&
             hold->mode == leader.mode && hold->token != FencingToken() && hold->token <= lastToken_ &&
             hold->nextHolder->previousHolder == hold && (hold == &leader || hold->waiters.empty()) &&
             (hold->scope != nullptr) == (hold->scopeNode != nullptr);
      hold = hold->nextHolder;
    } while (hold != &leader);
    good = good && (leader.mode == LockMode::shared || leader.nextHolder == &leader);

    const LockRequest* const first = leader.waiters.first();
    good = good && !(first && admits(leader, first->hold->mode));
    std::size_t linked = 0;
    for (const LockRequest* r = first; r; r = r->next, ++linked) {
      good = good && r->outcome == LockOutcome::waiting && deadlines_.contains(*r) &&
             r->hold->key() == leader.key() && !r->hold->held &&
             (r->hold->scope != nullptr) == (r->hold->scopeNode != nullptr);
    }
    good = good && linked == leader.waiters.size();
    waiters += linked;
  });
  std::size_t ordered = 0;
  for (const LockHold* hold = holds_.oldest(); hold; hold = hold->later, ++ordered) {
    good = good && hold->held && !(hold->later && hold->later->since < hold->since);
  }
  return good && waiters == deadlines_.size() && ordered == holders;
}

}  // namespace lukhas::detail
