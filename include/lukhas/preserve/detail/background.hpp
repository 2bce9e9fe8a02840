// What goes on beside the calls: telling participants what is decided until they have done it, and comparing
// them with the log.
#pragma once

#include <algorithm>
#include <map>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include "lukhas/core/backoff.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"

namespace lukhas::detail {

// Counts a loop of the background work, so that stop() can wait for its end; and removeParticipant() for that
// of the participant's own.
class LoopMark {
 public:
  // With the mutex held; the destructor takes it.
  explicit LoopMark(PreserverStatePtr state, ParticipantPtr participant = nullptr)
      : state_(std::move(state)), participant_(std::move(participant)) {
    if (participant_) state_->driven.insert(participant_);
    ++state_->loops;
  }
  LoopMark(const LoopMark&) = delete;
  LoopMark& operator=(const LoopMark&) = delete;
  ~LoopMark() {
    {
      const std::lock_guard lock(state_->mutex);
      --state_->loops;
      if (participant_) state_->driven.erase(participant_);
    }
    state_->idle.resumeAll();
  }
  [[nodiscard]] const PreserverStatePtr& state() const noexcept { return state_; }

 private:
  PreserverStatePtr state_;
  ParticipantPtr participant_;  // whose backlog it drives, if it is such a loop
};
using LoopMarkPtr = std::shared_ptr<const LoopMark>;

// Waits until `when` or until `isToEnd()`, which is asked without the mutex. True when it is to end.
template <class IsToEnd>
asio::awaitable<bool> pauseUntil(PreserverStatePtr state, TimePoint when, IsToEnd isToEnd) {
  while (!isToEnd()) {
    const WaitResult result = co_await state->wake.waitUntil(when, isToEnd);
    if (result == WaitResult::timed_out) break;
  }
  co_return isToEnd();
}

// Tells one participant the commits in its backlog, one by one, for as long as it takes. Commits of one
// participant are independent of each other, so what fails goes to the end and holds nobody up.
inline asio::awaitable<void> driveBacklog(LoopMarkPtr mark, ParticipantPtr participant) {
  const PreserverStatePtr state = mark->state();
  PreserverState* const shared = state.get();
  const std::string name = participant->name();
  const Backoff backoff{std::chrono::milliseconds(100), state->options.longestRetryPause};
  const auto isOver = [shared, &participant] {  // with the mutex held
    return shared->stopping || !shared->isRegistered(participant);
  };
  const auto isToEnd = [shared, isOver] {
    const std::lock_guard lock(shared->mutex);
    return isOver();
  };
  const auto hasWork = [shared, &name, isOver] {
    const std::lock_guard lock(shared->mutex);
    return isOver() || !shared->backlog[name].empty();
  };
  unsigned failures = 0;
  for (;;) {
    while (!hasWork()) (void)co_await state->wake.wait(hasWork);
    TransactionRef next;
    {
      const std::lock_guard lock(state->mutex);
      if (isOver()) co_return;
      next = std::move(state->backlog[name].front());
      state->backlog[name].pop_front();
      if (!state->decided.isLeftTo(next.transactionId, name)) continue;
    }
    const Told told = co_await tellCommit(state, participant, next, state->options.commitTimeout);
    if (told.result == Told::Result::unavailable) {
      {
        const std::lock_guard lock(state->mutex);
        state->backlog[name].push_back(std::move(next));
      }
      const TimePoint again =
          state->environment.after(backoff.wait(std::min(failures++, 30U), state->environment.random()));
      const bool ends = co_await pauseUntil(state, again, isToEnd);
      if (ends) co_return;
      continue;
    }
    failures = 0;
    if (told.result == Told::Result::refused) {
      state->markRefused(next.transactionId, name, told.cause);
      continue;
    }
    state->markDone(next.transactionId, name);
    {
      const std::lock_guard lock(state->mutex);
      ++state->counters.recovered;
    }
    state->onRecovered.emit({next.transactionId, next.contextId, name, true});
  }
}

// What one participant holds in doubt, or nothing when it does not answer.
inline asio::awaitable<std::optional<std::vector<StoredContext>>> listIntents(PreserverStatePtr state,
                                                                              ParticipantPtr participant) {
  try {
    std::string operation = "inDoubt";
    co_return co_await withTimeLimit(state->environment, state->options.prepareTimeout, std::move(operation),
                                     participant->inDoubt());
  } catch (...) {
    // it says nothing: its intents stay until it can be asked
  }
  co_return std::nullopt;
}

// An intent of this coordinator that is neither live nor in the books of the backlog. The log knows what it
// is worth: its decision, or none, which means abort (presumed abort). It is safe at any age: a transaction
// is live from before its first prepare until after its outcome is in the books, and the participants were
// asked before the books are looked at.
inline asio::awaitable<bool> resolveIntent(PreserverStatePtr state, ParticipantPtr participant,
                                           TransactionRef intent, bool commits) {
  const Duration limit = state->options.prepareTimeout;
  Told told;
  if (commits) {
    told = co_await tellCommit(state, participant, intent, limit);
  } else {
    told = co_await tellAbort(state, participant, intent, limit);
  }
  if (told.result != Told::Result::done) co_return false;
  {
    const std::lock_guard lock(state->mutex);
    ++state->counters.recovered;
  }
  state->onRecovered.emit({intent.transactionId, intent.contextId, participant->name(), commits});
  co_return true;
}

// Puts what participants have refused to commit into their backlogs again: somebody may have repaired them.
inline void retryRefused(PreserverState& state) {
  {
    const std::lock_guard lock(state.mutex);
    for (auto& [id, open] : state.decided) {
      for (const auto& [name, cause] : open.refusals) {
        state.backlog[name].push_back(open.decision.transaction);
      }
      open.retried = std::exchange(open.refusals, {});
    }
  }
  state.wake.resumeAll();
}

// Compares every participant with the log, once.
inline asio::awaitable<RecoveryReport> recoverOnce(PreserverStatePtr state) {
  RecoveryReport report;
  std::map<std::string, InDoubtTransaction> left;
  const std::vector<ParticipantPtr> participants = state->allParticipants();
  for (const ParticipantPtr& participant : participants) {
    const std::optional<std::vector<StoredContext>> intents = co_await listIntents(state, participant);
    if (!intents) continue;
    for (const StoredContext& stored : *intents) {
      const TransactionRef intent(stored);
      bool commits = false;
      bool own = false;
      {
        const std::lock_guard lock(state->mutex);
        if (state->stopping) co_return report;
        own = state->isOwn(intent.transactionId);
        if (own && state->isInOtherHands(intent.transactionId)) continue;
        if (state->decided.isLeftTo(intent.transactionId, participant->name())) {
          ++report.left;
          continue;
        }
        commits = own && state->isDecided(intent);
      }
      bool resolved = false;
      if (own) resolved = co_await resolveIntent(state, participant, intent, commits);
      if (resolved) {
        ++(commits ? report.committed : report.aborted);
        continue;
      }
      ++report.left;
      InDoubtTransaction& doubt = left[intent.transactionId];
      doubt.transactionId = intent.transactionId;
      doubt.contextId = intent.contextId;
      doubt.version = intent.version;
      doubt.reason = own ? InDoubtTransaction::Reason::undecided : InDoubtTransaction::Reason::foreign;
      doubt.participants.push_back(participant->name());
    }
  }
  std::vector<InDoubtTransaction> found;
  {
    const std::lock_guard lock(state->mutex);
    for (const auto& [id, doubt] : left) {
      if (!state->leftIntents.contains(id)) found.push_back(doubt);
    }
    state->leftIntents = std::move(left);
  }
  for (const InDoubtTransaction& doubt : found) state->onInDoubt.emit(doubt);
  co_return report;
}

// Writes decisions that have been open for long into the log once more, so that the old end of the log can be
// dropped: a participant that never comes back does not make the log grow.
inline asio::awaitable<void> carryForward(PreserverStatePtr state) {
  constexpr std::uint64_t longLog = 4;  // segments
  if (state->journal->getMetrics().segments <= longLog) co_return;
  std::vector<Decision> open;
  {
    const std::lock_guard lock(state->mutex);
    for (const auto& [id, decision] : state->decided) open.push_back(decision.decision);
  }
  for (const Decision& decision : open) {
    Lsn lsn;
    {
      const std::lock_guard lock(state->mutex);
      lsn = state->nextAtLeast();
    }
    try {
      (void)co_await state->journal->appendDurable(static_cast<std::uint8_t>(DecisionRecord::commit),
                                                   decision.encode());
    } catch (const Error&) {
      co_return;  // the old records still serve
    }
    const std::lock_guard lock(state->mutex);
    const std::string& id = decision.transaction.transactionId;
    if (!state->decided.moveTo(id, lsn)) state->writeEnd(id);  // it ended while its copy was written
  }
  const std::lock_guard lock(state->mutex);
  state->journal->dropBefore(state->firstNeeded());
}

// Puts into the backlogs what is decided and nobody is at: a call that ended for want of memory may have left
// it so. (What a loop is telling just now comes in once more, and is then found done.)
inline void pickUpLost(PreserverState& state) {
  {
    const std::lock_guard lock(state.mutex);
    std::set<std::pair<std::string, std::string>> known;  // participant and transaction
    for (const auto& [name, commits] : state.backlog) {
      for (const TransactionRef& commit : commits) known.emplace(name, commit.transactionId);
    }
    for (const auto& [id, open] : state.decided) {
      if (state.isInOtherHands(id)) continue;
      for (const std::string& name : open.remaining) {
        if (open.refusals.contains(name) || known.contains({name, id})) continue;
        state.backlog[name].push_back(open.decision.transaction);
      }
    }
  }
  state.wake.resumeAll();
}

inline asio::awaitable<void> compareAndTidy(PreserverStatePtr state) {
  try {
    retryRefused(*state);
    pickUpLost(*state);
    (void)co_await recoverOnce(state);
    co_await carryForward(state);
  } catch (const std::bad_alloc&) {
    // the next time does what this one could not
  }
}

inline asio::awaitable<void> driveRecovery(LoopMarkPtr mark) {
  const PreserverStatePtr state = mark->state();
  PreserverState* const shared = state.get();
  const auto isStopping = [shared] { return shared->isStopping(); };
  for (;;) {
    co_await compareAndTidy(state);
    const TimePoint next = state->environment.after(state->options.recoveryInterval);
    const bool ends = co_await pauseUntil(state, next, isStopping);
    if (ends) co_return;
  }
}

}  // namespace lukhas::detail
