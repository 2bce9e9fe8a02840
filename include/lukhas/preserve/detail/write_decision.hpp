// Writing the record that is the decision to commit.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/preserve/detail/preserver_state.hpp"

namespace lukhas::detail {

// While it lives, the log keeps all records from its beginning on.
class DecidingMark {
 public:
  explicit DecidingMark(PreserverStatePtr state) : state_(std::move(state)) {
    const std::lock_guard lock(state_->mutex);
    place_ = state_->deciding.insert(state_->nextAtLeast());
  }
  DecidingMark(const DecidingMark&) = delete;
  DecidingMark& operator=(const DecidingMark&) = delete;
  ~DecidingMark() {
    const std::lock_guard lock(state_->mutex);
    state_->deciding.erase(place_);
  }

 private:
  PreserverStatePtr state_;
  std::multiset<Lsn>::iterator place_;
};

// What became of the decision's record.
struct RecordedDecision {
  bool isUnknown = false;
  std::string failure;  // empty: it is durable
};

[[nodiscard]] inline std::vector<Decision> decisionsOf(const PreserverState& state,
                                                       const TransactionGroup& group) {
  std::vector<Decision> decisions;
  const WallTime now = state.environment.wallNow();
  for (const TransactionPtr& transaction : group) {
    Decision& decision = decisions.emplace_back();
    decision.transaction = TransactionRef(transaction->context);
    if (group.size() > 1) decision.decisionId = group.front()->context.transactionId;
    decision.participants = transaction->context.participants.names();
    decision.votes = transaction->votes;
    decision.payloadHash = transaction->context.payloadHash;
    decision.decidedAt = now;
  }
  return decisions;
}

// Several are one record, so that a crash finds all of them decided or none.
[[nodiscard]] inline asio::awaitable<Lsn> appendDecisions(PreserverState& state,
                                                          const std::vector<Decision>& decisions) {
  if (decisions.size() == 1) {
    return state.journal->appendDurable(static_cast<std::uint8_t>(DecisionRecord::commit),
                                        decisions.front().encode());
  }
  return state.journal->appendDurable(static_cast<std::uint8_t>(DecisionRecord::commit_many),
                                      Decision::encodeMany(decisions));
}

[[nodiscard]] inline asio::awaitable<RecordedDecision> writeDecision(PreserverStatePtr state,
                                                                     TransactionGroup group) {
  const DecidingMark mark(state);
  std::vector<Decision> decisions;
  {  // whatever goes wrong from here on, the intents are not touched until it is known what the log holds
    const std::lock_guard lock(state->mutex);
    decisions = decisionsOf(*state, group);
    for (const TransactionPtr& transaction : group) {
      state->unknownOutcome.insert(transaction->context.transactionId);
    }
  }
  RecordedDecision recorded;
  Lsn lsn;
  std::optional<asio::awaitable<Lsn>> durable;
  try {
    durable.emplace(appendDecisions(*state, decisions));
  } catch (const Error& error) {
    recorded.failure = error.what();  // the log did not take it
  }
  if (durable) {
    try {
      lsn = co_await std::move(*durable);
    } catch (const Error& error) {
      recorded.failure = error.what();
      recorded.isUnknown = error.code() != JournalErrc::disk_full;
    }
  }
  if (recorded.failure.empty()) state->markDecided(decisions, lsn);
  if (!recorded.isUnknown) {
    const std::lock_guard lock(state->mutex);
    for (const TransactionPtr& transaction : group) {
      state->unknownOutcome.erase(transaction->context.transactionId);
      if (recorded.failure.empty()) {
        (void)transaction->machine->recorded();
        ++state->counters.successfulCommits;
      } else {
        (void)transaction->machine->giveUp();
      }
    }
  }
  co_return recorded;
}

}  // namespace lukhas::detail
