// LockTable: who holds which key and who waits for it, as a pure structure. LockState does the awaiting.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/lock/async_lock_options.hpp"
#include "lukhas/lock/deadlock_warning.hpp"
#include "lukhas/lock/detail/hold_order.hpp"
#include "lukhas/lock/detail/lock_request.hpp"
#include "lukhas/lock/detail/timeout_rate.hpp"

namespace lukhas::detail {

// A key is free and has no entry, or it is held and has one:
//
//   key    event                          next   effect
//   free   take                           held   a new token
//   held   take                           held   refused: the caller may enqueue
//   held   enqueue                        held   waits behind all others of this key
//   held   release, nobody waits          free   the entry is gone
//   held   release, somebody waits        held   handed to the first, with a new token
//   held   cancel or deadline of a waiter held   only that waiter is gone
//   any    release with an older token    same   nothing: the guard was stale
//
// So nobody ever waits for a free key, and taking a free key overtakes nobody. The mutex, the clock, and
// resuming those whom a release or a deadline concerns are the caller's business. `now` must not go back.
// Everything is O(1), or O(log n) for n waiters with deadlines.
class LockTable {
 public:
  LockTable(Duration heldWarning, std::uint64_t hashSeed)
      : heldWarning_(heldWarning), entries_(0, KeyHash{hashSeed}) {}
  LockTable(const LockTable&) = delete;
  LockTable& operator=(const LockTable&) = delete;

  // The token of the grant, or none when the key is held.
  FencingToken take(const std::string& key, std::string_view holder, TimePoint now) {
    const auto [place, isFree] = entries_.try_emplace(key);
    if (!isFree) return {};
    LockEntry& entry = place->second;
    try {
      entry.holder = holder;
    } catch (...) {
      entries_.erase(place);
      throw;
    }
    entry.key = &place->first;
    beginHold(entry, now);
    recordGrant(Duration::zero(), now);
    return entry.token;
  }

  // Precondition: the key is held. Without memory it throws std::bad_alloc and changes nothing.
  void enqueue(LockRequest& request, TimePoint now, TimePoint deadline) {
    const auto place = entries_.find(request.key);
    assert(place != entries_.end());
    deadlines_.push(request, deadline);
    request.since = now;
    request.entry = &place->second;
    place->second.waiters.pushBack(request);
  }

  // False when it does not wait any more: its outcome was decided.
  bool cancel(LockRequest& request) noexcept {
    if (!request.entry) return false;
    unlink(request);
    return true;
  }

  struct Release {
    bool wasHeld = false;         // by the hold that was meant
    LockRequest* next = nullptr;  // who got the lock: to be resumed
  };
  // Ends the hold with that token, or whichever there is when no token is given. `readTime` is called when
  // somebody waits.
  template <class ReadTime>
  Release release(std::string_view key, std::optional<FencingToken> token, ReadTime&& readTime) noexcept {
    const auto place = entries_.find(key);
    if (place == entries_.end()) return {};
    LockEntry& entry = place->second;
    if (token && *token != entry.token) return {};
    holds_.erase(entry);
    if (entry.waiters.empty()) {
      entries_.erase(place);
      if (entries_.empty() && entries_.bucket_count() > keptBuckets) {
        Entries(0, entries_.hash_function()).swap(entries_);
      }
      return {true, nullptr};
    }
    return {true, &handOver(entry, readTime())};
  }

  // Ends the waits whose deadline has come, at most `max`, and appends them to `expired`: to be resumed.
  void expire(TimePoint now, std::size_t max, LockQueue& expired) noexcept {
    deadlines_.popExpired(now, max, [&](LockRequest& request, TimePoint) {
      LockEntry& entry = *std::exchange(request.entry, nullptr);
      entry.waiters.erase(request);
      request.outcome = LockOutcome::timed_out;
      request.blockerHeld = now - entry.since;
      request.otherWaiters = entry.waiters.size();
      expired.pushBack(request);
      recordTimeout(now);
      try {
        request.blockedBy = entry.holder;
      } catch (const std::bad_alloc&) {
        // The error then does not name the holder.
      }
    });
  }

  // The next hold that is to be reported, if its time has come; each one once. Without memory it throws
  // std::bad_alloc, and the hold is still to be reported.
  std::optional<DeadlockWarning> nextWarning(TimePoint now) {
    const LockEntry* const entry = holds_.unreported();
    if (!entry || !isOverdue(*entry, now)) return std::nullopt;
    std::optional<DeadlockWarning> warning(std::in_place, *entry->key, entry->holder, now - entry->since,
                                           entry->waiters.size(), entry->token);
    holds_.reportOne();
    ++deadlocksDetected_;
    return warning;
  }

  // When expire() or nextWarning() is to be called next.
  [[nodiscard]] std::optional<TimePoint> nextDue() const noexcept {
    std::optional<TimePoint> due;
    if (!deadlines_.empty()) due = deadlines_.frontTime();
    const LockEntry* const oldest = heldWarning_ > Duration::zero() ? holds_.unreported() : nullptr;
    if (oldest && (!due || oldest->since + heldWarning_ < *due)) due = oldest->since + heldWarning_;
    return due;
  }

  // Ends everything: no key is held any more, and all waiters are appended to `ended`, to be resumed.
  void close(LockQueue& ended) noexcept {
    while (!deadlines_.empty()) {
      LockRequest& request = deadlines_.front();
      unlink(request);
      request.outcome = LockOutcome::closed;
      ended.pushBack(request);
    }
    holds_.clear();
    entries_.clear();
  }

  // A request that was refused without waiting, because its time-out is zero.
  void recordTimeout(TimePoint now) noexcept {
    ++totalTimeouts_;
    recent_.timedOut(now);
  }

  // Null when the key is free.
  [[nodiscard]] const LockEntry* find(std::string_view key) const noexcept {
    const auto place = entries_.find(key);
    return place == entries_.end() ? nullptr : &place->second;
  }
  [[nodiscard]] std::size_t waiting() const noexcept { return deadlines_.size(); }
  [[nodiscard]] TimeoutRate::Counts recent(TimePoint now) const noexcept { return recent_.recent(now); }

  struct Overdue {
    std::size_t count = 0;
    const LockEntry* longest = nullptr;
  };
  // The holds that last longer than heldWarning. O(count).
  [[nodiscard]] Overdue overdue(TimePoint now) const noexcept {
    Overdue found;
    for (const LockEntry* entry = holds_.oldest(); entry && isOverdue(*entry, now); entry = entry->later) {
      if (found.count++ == 0) found.longest = entry;
    }
    return found;
  }

  [[nodiscard]] LockMetrics metrics() const noexcept {
    return {.activeLocks = entries_.size(),
            .waiting = deadlines_.size(),
            .totalAcquired = totalAcquired_,
            .totalTimeouts = totalTimeouts_,
            .avgWaitMs = totalAcquired_ == 0 ? 0 : waitSumMs_ / static_cast<double>(totalAcquired_),
            .maxWaitMs = toMilliseconds(maxWait_),
            .deadlocksDetected = deadlocksDetected_};
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t waiters = 0;
    for (const auto& [key, entry] : entries_) {
      if (entry.key != &key || entry.token == FencingToken() || entry.token > lastToken_) return false;
      waiters += entry.waiters.size();
      std::size_t linked = 0;
      for (const LockRequest* r = entry.waiters.first(); r; r = r->next, ++linked) {
        if (r->entry != &entry || r->outcome != LockOutcome::waiting || !deadlines_.contains(*r))
          return false;
      }
      if (linked != entry.waiters.size()) return false;
    }
    std::size_t holds = 0;
    for (const LockEntry* entry = holds_.oldest(); entry; entry = entry->later, ++holds) {
      if (entry->later && entry->later->since < entry->since) return false;
    }
    return waiters == deadlines_.size() && holds == entries_.size() && deadlines_.checkInvariants();
  }

 private:
  // So that a program that once held very many keys does not keep their buckets.
  static constexpr std::size_t keptBuckets = 4096;

  struct KeyHash {
    using is_transparent = void;
    std::uint64_t seed;
    std::size_t operator()(std::string_view key) const noexcept { return hash64(asBytes(key), seed); }
  };
  // Nodes stay where they are when the table grows, so entries can be pointed at while they exist. Never
  // iterated but in checkInvariants(): its order means nothing.
  using Entries = std::unordered_map<std::string, LockEntry, KeyHash, std::equal_to<>>;

  [[nodiscard]] bool isOverdue(const LockEntry& entry, TimePoint now) const noexcept {
    return heldWarning_ > Duration::zero() && now - entry.since >= heldWarning_;
  }

  void beginHold(LockEntry& entry, TimePoint now) noexcept {
    lastToken_ = FencingToken(lastToken_.value() + 1);
    entry.token = lastToken_;
    entry.since = now;
    holds_.pushBack(entry);
  }
  LockRequest& handOver(LockEntry& entry, TimePoint now) noexcept {
    LockRequest& next = *entry.waiters.first();
    unlink(next);
    entry.holder = std::move(next.holder);
    beginHold(entry, now);
    recordGrant(now - next.since, now);
    next.token = entry.token;
    next.outcome = LockOutcome::granted;
    return next;
  }
  void unlink(LockRequest& request) noexcept {
    deadlines_.erase(request);
    std::exchange(request.entry, nullptr)->waiters.erase(request);
  }
  void recordGrant(Duration wait, TimePoint now) noexcept {
    ++totalAcquired_;
    waitSumMs_ += toMilliseconds(wait);
    maxWait_ = std::max(maxWait_, wait);
    recent_.granted(now);
  }

  Duration heldWarning_;
  Entries entries_;
  ExpiryHeap<LockRequest, TimePoint> deadlines_;  // of all that wait
  HoldOrder holds_;
  FencingToken lastToken_;

  std::uint64_t totalAcquired_ = 0;
  std::uint64_t totalTimeouts_ = 0;
  std::uint64_t deadlocksDetected_ = 0;
  double waitSumMs_ = 0;
  Duration maxWait_{};
  TimeoutRate recent_;
};

}  // namespace lukhas::detail
