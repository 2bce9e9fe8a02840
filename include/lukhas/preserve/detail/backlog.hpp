// Telling participants what is decided until they have done it, beside the calls.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "lukhas/core/backoff.hpp"
#include "lukhas/preserve/detail/admission.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"

namespace lukhas::detail {

// Counts a loop of the background work, so that stop() can wait for its end; and removeParticipant() for
// those of the participant's own.
class LoopMark {
 public:
  // With the mutex held; the destructor takes it. `participant`: whose backlog it drives, if it is such a
  // loop.
  explicit LoopMark(PreserverStatePtr state, std::string participant = {})
      : state_(std::move(state)), participant_(std::move(participant)) {
    if (!participant_.empty()) state_->driven.insert(participant_);
    ++state_->loops;
  }
  LoopMark(const LoopMark&) = delete;
  LoopMark& operator=(const LoopMark&) = delete;
  ~LoopMark() {
    {
      const std::lock_guard lock(state_->mutex);
      --state_->loops;
      if (!participant_.empty()) state_->driven.erase(state_->driven.find(participant_));
    }
    state_->idle.resumeAll();
  }
  [[nodiscard]] const PreserverStatePtr& state() const noexcept { return state_; }

 private:
  PreserverStatePtr state_;
  std::string participant_;
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

// Tells one participant the commits in its backlog, for as long as it takes. Commits of one participant are
// independent of each other, so what fails goes to the end and holds nobody up. Several such loops share a
// backlog; while the participant is in trouble only the first one goes on trying.
inline asio::awaitable<void> driveBacklog(LoopMarkPtr mark, ParticipantPtr participant, bool isFirst) {
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
  const auto hasWork = [shared, &name, isOver, isFirst] {
    const std::lock_guard lock(shared->mutex);
    if (isOver()) return true;
    const PreserverState::Backlog& backlog = shared->backlog[name];
    return !backlog.commits.empty() && (isFirst || backlog.failures == 0);
  };
  for (;;) {
    while (!hasWork()) (void)co_await state->wake.wait(hasWork);
    TransactionRef next;
    {
      const std::lock_guard lock(state->mutex);
      if (isOver()) co_return;
      PreserverState::Backlog& backlog = state->backlog[name];
      if (backlog.commits.empty()) continue;  // another loop was quicker
      next = std::move(backlog.commits.front());
      backlog.commits.pop_front();
      if (!state->decided.isLeftTo(next.transactionId, name)) continue;
    }
    const Told told = co_await tellCommit(state, participant, next, state->options.commitTimeout);
    if (told.result == Told::Result::unavailable) {
      unsigned failures = 0;
      {
        const std::lock_guard lock(state->mutex);
        PreserverState::Backlog& backlog = state->backlog[name];
        failures = backlog.failures++;
        backlog.commits.push_back(std::move(next));
      }
      if (!isFirst) continue;
      const TimePoint again =
          state->environment.after(backoff.wait(std::min(failures, 30U), state->environment.random()));
      const bool ends = co_await pauseUntil(state, again, isToEnd);
      if (ends) co_return;
      continue;
    }
    bool wasInTrouble = false;
    {
      const std::lock_guard lock(state->mutex);
      wasInTrouble = std::exchange(state->backlog[name].failures, 0) > 0;
    }
    if (wasInTrouble) state->wake.resumeAll();
    if (told.result == Told::Result::refused) {
      state->markRefused(next.transactionId, name, told.cause);
      continue;
    }
    noteApplied(*state, next, name);
    {
      const std::lock_guard lock(state->mutex);
      ++state->counters.recovered;
    }
    state->onRecovered.emit({next.transactionId, next.contextId, name, true});
  }
}

// Puts what participants have refused to commit into their backlogs again: somebody may have repaired them.
inline void retryRefused(PreserverState& state) {
  {
    const std::lock_guard lock(state.mutex);
    for (auto& [id, open] : state.decided) {
      for (const auto& [name, cause] : open.refusals) {
        state.backlog[name].commits.push_back(open.decision.transaction);
      }
      open.retried = std::exchange(open.refusals, {});
    }
  }
  state.wake.resumeAll();
}

// Puts into the backlogs what is decided and nobody is at: a call that ended for want of memory may have left
// it so. (What a loop is telling just now comes in once more, and is then found done.)
inline void pickUpLost(PreserverState& state) {
  {
    const std::lock_guard lock(state.mutex);
    std::set<std::pair<std::string, std::string>> known;  // participant and transaction
    for (const auto& [name, backlog] : state.backlog) {
      for (const TransactionRef& commit : backlog.commits) known.emplace(name, commit.transactionId);
    }
    for (const auto& [id, open] : state.decided) {
      if (state.isInOtherHands(id)) continue;
      for (const std::string& name : open.remaining) {
        if (open.refusals.contains(name) || known.contains({name, id})) continue;
        state.backlog[name].commits.push_back(open.decision.transaction);
      }
    }
  }
  state.wake.resumeAll();
}

}  // namespace lukhas::detail
