// Writing the record that is the decision to commit.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

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

[[nodiscard]] inline asio::awaitable<RecordedDecision> writeDecision(PreserverStatePtr state,
                                                                     TransactionPtr transaction) {
  Decision decision;
  decision.transaction = TransactionRef(transaction->context);
  decision.participants = transaction->context.participants.names();
  decision.payloadHash = transaction->context.payloadHash;
  decision.decidedAt = state->environment.wallNow();
  const std::string& id = transaction->context.transactionId;
  const DecidingMark mark(state);
  {  // whatever goes wrong from here on, the intents are not touched until it is known what the log holds
    const std::lock_guard lock(state->mutex);
    state->unknownOutcome.insert(id);
  }
  RecordedDecision recorded;
  Lsn lsn;
  std::optional<asio::awaitable<Lsn>> durable;
  try {
    durable.emplace(
        state->journal->appendDurable(static_cast<std::uint8_t>(DecisionRecord::commit), decision.encode()));
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
  if (recorded.failure.empty()) state->markDecided(decision, lsn);
  if (!recorded.isUnknown) {
    const std::lock_guard lock(state->mutex);
    state->unknownOutcome.erase(id);
    if (recorded.failure.empty()) {
      (void)transaction->machine->recorded();
      ++state->counters.successfulCommits;
    } else {
      (void)transaction->machine->giveUp();
    }
  }
  co_return recorded;
}

}  // namespace lukhas::detail
