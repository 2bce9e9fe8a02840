// The voting: asking every participant of a call's transactions to prepare.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/transaction_failure.hpp"

namespace lukhas::detail {

// Before the decision this means abort.
[[nodiscard]] inline bool isGivenUp(const PreserverState& state, const TransactionCall& call) {
  if (call.callerLeft) return true;
  const std::lock_guard lock(state.mutex);
  return state.abandoned;
}

[[nodiscard]] inline asio::awaitable<void> askOne(PreserverStatePtr state, TransactionPtr transaction,
                                                  std::size_t index) {
  const ParticipantPtr participant = transaction->participants[index];
  const TimePoint asked = state->environment.now();
  std::string cause;
  try {
    StoredContext copy = transaction->context;
    co_await participant->prepare(std::move(copy));
  } catch (...) {
    cause = causeOf(std::current_exception());
    if (cause.empty()) cause = "it gave no reason";
  }
  {
    const std::lock_guard lock(state->mutex);
    const Duration took = state->environment.now() - asked;
    PreserverTimes::OfParticipant* const times = state->times.find(participant->name());
    CoordinatorMachine& machine = *transaction->machine;
    if (cause.empty()) {
      transaction->votes[index] = took;
      if (times != nullptr) times->prepare.record(took);
      (void)machine.yes(index);
    } else {
      if (times != nullptr) ++times->failures;
      if (machine.state() == TransactionState::preparing) {
        transaction->refusedBy = participant->name();
        transaction->cause = cause;
        (void)machine.no(index);
      }
    }
  }
  transaction->call->progress.resumeAll();
}

[[nodiscard]] inline bool isOfState(const Transaction& transaction, TransactionState state) {
  return transaction.machine->state() == state;
}

// Whose vote it is that is missing, where the time is over. With the mutex held.
[[nodiscard]] inline Refusal missingVote(const TransactionGroup& group) {
  for (const TransactionPtr& transaction : group) {
    if (!isOfState(*transaction, TransactionState::preparing)) continue;
    for (std::size_t i = 0; i < transaction->participants.size(); ++i) {
      if (transaction->machine->answered(i)) continue;
      return {transaction->participants[i]->name(), "no answer in time", std::nullopt, transaction};
    }
  }
  return {{}, "no answer in time"};
}

// What the voting came to; nothing when all said yes. With the mutex held.
[[nodiscard]] inline std::optional<Refusal> countVotes(const TransactionGroup& group, bool givenUp) {
  bool allYes = true;
  for (const TransactionPtr& transaction : group) {
    if (!isOfState(*transaction, TransactionState::prepared)) allYes = false;
    if (isOfState(*transaction, TransactionState::aborting)) {
      return Refusal{transaction->refusedBy, transaction->cause, std::nullopt, transaction};
    }
  }
  if (givenUp) return Refusal{{}, "the caller left"};
  if (allYes) return std::nullopt;
  return missingVote(group);
}

// No vote changes anything from now on. With the mutex held.
inline void giveUp(Transaction& transaction) {
  CoordinatorMachine& machine = *transaction.machine;
  if (machine.state() == TransactionState::preparing) {
    transaction.silent.assign(transaction.participants.size(), false);
    for (std::size_t i = 0; i < transaction.silent.size(); ++i) {
      transaction.silent[i] = !machine.answered(i);
    }
  }
  (void)machine.giveUp();
}

[[nodiscard]] inline asio::awaitable<std::optional<Refusal>> askAll(PreserverStatePtr state,
                                                                    TransactionGroup group) {
  const std::shared_ptr<TransactionCall> call = group.front()->call;
  const TimePoint begun = state->environment.now();
  const TimePoint deadline = state->environment.after(state->options.prepareTimeout);
  {
    const std::lock_guard lock(state->mutex);
    for (const TransactionPtr& transaction : group) {
      transaction->votes.resize(transaction->participants.size());
      transaction->machine.emplace(transaction->participants.size());
      (void)transaction->machine->begin();
    }
  }
  std::vector<ChildTask<void>> votes;
  for (const TransactionPtr& transaction : group) {
    for (std::size_t i = 0; i < transaction->participants.size(); ++i) {
      votes.emplace_back(state->environment, askOne(state, transaction, i));
    }
  }
  const auto isOver = [&state, &group, &call] {
    if (isGivenUp(*state, *call)) return true;
    const std::lock_guard lock(state->mutex);
    bool allYes = true;
    for (const TransactionPtr& transaction : group) {
      if (isOfState(*transaction, TransactionState::aborting)) return true;
      allYes = allYes && isOfState(*transaction, TransactionState::prepared);
    }
    return allYes;
  };
  while (!isOver()) {
    const WaitResult result = co_await call->progress.waitUntil(deadline, isOver);
    if (result == WaitResult::timed_out) break;
  }
  const bool givenUp = isGivenUp(*state, *call);
  const std::lock_guard lock(state->mutex);
  state->times.prepare.record(state->environment.now() - begun);
  std::optional<Refusal> refusal = countVotes(group, givenUp);
  if (!refusal) co_return std::nullopt;
  for (const TransactionPtr& transaction : group) giveUp(*transaction);
  co_return refusal;
}

}  // namespace lukhas::detail
