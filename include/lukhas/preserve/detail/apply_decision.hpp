// Telling everybody what was decided about the transactions of one call.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/backoff.hpp"
#include "lukhas/preserve/detail/admission.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"

namespace lukhas::detail {

inline void noteDone(PreserverState& state, Transaction& transaction, std::size_t index) {
  const std::lock_guard lock(state.mutex);
  (void)transaction.machine->done(index);
}

// The outcome of the transaction stands: no failure on the way of telling it may change the answer.
[[nodiscard]] inline asio::awaitable<void> awaitQuietly(ChildTask<void>& tell, TimePoint deadline) {
  try {
    (void)co_await tell.joinUntil(deadline);
  } catch (const std::exception&) {
    // who is not known to have done it stays in the books, for the background work
  }
}

[[nodiscard]] inline asio::awaitable<void> tellUntil(PreserverStatePtr state, TransactionPtr transaction,
                                                     std::size_t index, TimePoint deadline) {
  const ParticipantPtr participant = transaction->participants[index];
  const TransactionRef decided(transaction->context);
  const Environment& environment = state->environment;
  const Backoff backoff{std::chrono::milliseconds(50), state->options.longestRetryPause};
  for (unsigned attempt = 0; attempt < state->options.commitAttempts; ++attempt) {
    if (attempt > 0) co_await environment.sleepFor(backoff.wait(attempt - 1, environment.random()));
    const Duration left = deadline - environment.now();
    if (left <= Duration::zero()) co_return;
    const Told told = co_await tellCommit(state, participant, decided, left);
    if (told.result == Told::Result::done) {
      noteApplied(*state, decided, participant->name());
      noteDone(*state, *transaction, index);
    }
    if (told.result == Told::Result::refused) {
      state->markRefused(decided.transactionId, participant->name(), told.cause);
    }
    if (told.result != Told::Result::unavailable) co_return;
  }
}

// Who is still to be told, and by whom.
[[nodiscard]] inline TransactionOutcome handOverRest(PreserverState& state, const Transaction& transaction) {
  const TransactionRef decided(transaction.context);
  TransactionOutcome outcome;
  outcome.version = decided.version;
  outcome.participants = transaction.context.participants.names();
  std::vector<std::string> handedOver;
  std::optional<InDoubtTransaction> doubt;
  {
    const std::lock_guard lock(state.mutex);
    if (const OpenDecision* const open = state.decided.find(decided.transactionId)) {
      for (const std::string& name : open->remaining) {
        outcome.pending.push_back(name);
        if (!open->refusals.contains(name)) handedOver.push_back(name);
      }
      doubt = PreserverState::describe(*open);
    }
  }
  for (const std::string& name : handedOver) state.handOver(decided, name);
  if (!handedOver.empty()) state.onInDoubt.emit(*doubt);
  state.onCommitted.emit({decided.transactionId, decided.contextId, decided.version, outcome.pending});
  return outcome;
}

// Tells all in parallel, as often and as long as the options say; the background work goes on with the rest.
[[nodiscard]] inline asio::awaitable<std::vector<TransactionOutcome>> tellAllToCommit(
    PreserverStatePtr state, TransactionGroup group) {
  const TimePoint begun = state->environment.now();
  const TimePoint deadline = state->environment.after(state->options.commitTimeout);
  std::vector<ChildTask<void>> tells;
  for (const TransactionPtr& transaction : group) {
    for (std::size_t i = 0; i < transaction->participants.size(); ++i) {
      tells.emplace_back(state->environment, tellUntil(state, transaction, i, deadline));
    }
  }
  for (ChildTask<void>& tell : tells) co_await awaitQuietly(tell, deadline);
  {
    const std::lock_guard lock(state->mutex);
    const TimePoint now = state->environment.now();
    state->times.apply.record(now - begun);
    state->times.call.record(now - group.front()->call->begun);
  }
  std::vector<TransactionOutcome> outcomes;
  for (const TransactionPtr& transaction : group) outcomes.push_back(handOverRest(*state, *transaction));
  co_return outcomes;
}

[[nodiscard]] inline asio::awaitable<void> tellOnce(PreserverStatePtr state, TransactionPtr transaction,
                                                    std::size_t index) {
  const ParticipantPtr participant = transaction->participants[index];
  const TransactionRef aborted(transaction->context);
  const Duration limit = state->options.prepareTimeout;
  const Told told = co_await tellAbort(state, participant, aborted, limit);
  if (told.result == Told::Result::done) noteDone(*state, *transaction, index);
}

// Waits for those that are known to answer. The others are told too, but nobody waits for them; what they
// still hold afterwards, recovery finds.
[[nodiscard]] inline asio::awaitable<void> tellAllToAbort(PreserverStatePtr state, TransactionGroup group) {
  const TimePoint deadline = state->environment.after(state->options.prepareTimeout);
  std::vector<ChildTask<void>> tells;
  for (const TransactionPtr& transaction : group) {
    if (!transaction->machine) continue;  // nobody was asked
    for (std::size_t i = 0; i < transaction->participants.size(); ++i) {
      ChildTask<void> tell(state->environment, tellOnce(state, transaction, i));
      if (transaction->silent.size() > i && transaction->silent[i]) {
        tell.detach();
      } else {
        tells.push_back(std::move(tell));
      }
    }
  }
  for (ChildTask<void>& tell : tells) co_await awaitQuietly(tell, deadline);
}

}  // namespace lukhas::detail
