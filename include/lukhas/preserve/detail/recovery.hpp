// Comparing what participants hold in doubt with the log, beside the calls.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/run_bounded.hpp"
#include "lukhas/preserve/detail/intent_worth.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"

namespace lukhas::detail {

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

// One round of recovery. Guarded by the state's mutex.
struct RecoveryRound {
  RecoveryReport report;
  std::map<std::string, InDoubtTransaction> left;  // by transaction id
};
using RecoveryRoundPtr = std::shared_ptr<RecoveryRound>;

// The intents of one participant, while they are worked off.
struct IntentsOfParticipant {
  ParticipantPtr participant;
  std::vector<StoredContext> intents;
  std::set<std::string> inBacklog;   // transactions that the backlog was at before the intents were listed
  std::atomic<bool> isDown = false;  // it did not take one: the rest stays for the next round
};
using IntentsPtr = std::shared_ptr<IntentsOfParticipant>;

// With the mutex held.
inline void leaveIntent(PreserverState& state, RecoveryRound& round, const StoredContext& intent,
                        const std::string& participant) {
  ++round.report.left;
  const bool own = state.isOwn(intent.transactionId) || state.isAdopted(intent.transactionId);
  InDoubtTransaction& doubt = round.left[intent.transactionId];
  doubt.transactionId = intent.transactionId;
  doubt.contextId = intent.contextId;
  doubt.version = intent.version;
  doubt.reason = own ? InDoubtTransaction::Reason::undecided : InDoubtTransaction::Reason::foreign;
  doubt.coordinator = coordinatorOf(intent.transactionId);
  doubt.participants.push_back(participant);
}

// What is to become of an intent. Nothing: it stays, and is nobody's concern here.
//
// An intent of this coordinator that is neither live nor in the books of the backlog: the log knows what it
// is worth, its decision, or none, which means abort (presumed abort). It is safe at any age: a transaction
// is live from before its first prepare until after its outcome is in the books, and the participants were
// asked before the books are looked at.
inline asio::awaitable<IntentWorth> judge(PreserverStatePtr state, StoredContext intent) {
  bool isAdopted = false;
  {
    const std::lock_guard lock(state->mutex);
    isAdopted = state->isAdopted(intent.transactionId);
    const TransactionRef reference(intent);
    if (!isAdopted) co_return worthOfOwn(*state, reference, state->isDecided(reference));
  }
  ContextReading reading;
  try {
    reading = co_await readContext(state, intent.contextId);
  } catch (const Error&) {
    co_return IntentWorth::in_other_hands;  // somebody who may know does not answer
  }
  co_return worthOf(*state, intent, reading);
}

inline asio::awaitable<void> resolveIntent(PreserverStatePtr state, RecoveryRoundPtr round,
                                           IntentsPtr intents, std::size_t index) {
  const ParticipantPtr participant = intents->participant;
  const StoredContext& stored = intents->intents[index];
  const TransactionRef intent(stored);
  {
    const std::lock_guard lock(state->mutex);
    if (state->stopping) co_return;
    if (state->isInOtherHands(intent.transactionId)) co_return;
    if (state->decided.isLeftTo(intent.transactionId, participant->name())) {
      ++round->report.left;  // the backlog's
      co_return;
    }
    if (intents->inBacklog.contains(intent.transactionId)) co_return;  // done since
    if (intents->isDown) {
      leaveIntent(*state, *round, stored, participant->name());
      co_return;
    }
  }
  const IntentWorth worth = co_await judge(state, stored);
  Told told;
  told.result = Told::Result::refused;
  const Duration limit = state->options.prepareTimeout;
  if (worth == IntentWorth::decided) told = co_await tellCommit(state, participant, intent, limit);
  if (worth == IntentWorth::undecided) told = co_await tellAbort(state, participant, intent, limit);
  const bool commits = worth == IntentWorth::decided;
  {
    const std::lock_guard lock(state->mutex);
    if (told.result == Told::Result::unavailable) intents->isDown = true;
    if (told.result != Told::Result::done) {
      leaveIntent(*state, *round, stored, participant->name());
      co_return;
    }
    ++state->counters.recovered;
    ++(commits ? round->report.committed : round->report.aborted);
  }
  state->onRecovered.emit({intent.transactionId, intent.contextId, participant->name(), commits});
}

inline asio::awaitable<void> resolveIntentsOf(PreserverStatePtr state, RecoveryRoundPtr round,
                                              ParticipantPtr participant) {
  const auto intents = std::make_shared<IntentsOfParticipant>();
  intents->participant = participant;
  {
    const std::lock_guard lock(state->mutex);
    for (const auto& [id, open] : state->decided) {
      if (open.remaining.contains(participant->name())) intents->inBacklog.insert(id);
    }
  }
  std::optional<std::vector<StoredContext>> found = co_await listIntents(state, participant);
  if (!found) co_return;
  intents->intents = std::move(*found);
  const auto resolve = [state, round, intents](std::size_t index) {
    return resolveIntent(state, round, intents, index);
  };
  co_await runBounded(state->environment, intents->intents.size(), state->options.recoveryConcurrency,
                      resolve);
}

// Compares every participant with the log, once; a slow one does not hold up the others.
inline asio::awaitable<RecoveryReport> recoverOnce(PreserverStatePtr state) {
  const auto round = std::make_shared<RecoveryRound>();
  const std::vector<ParticipantPtr> participants = state->allParticipants();
  const auto resolve = [state, round, participants](std::size_t index) {
    return resolveIntentsOf(state, round, participants[index]);
  };
  co_await runBounded(state->environment, participants.size(), participants.size(), resolve);
  std::vector<InDoubtTransaction> found;
  RecoveryReport report;
  {
    const std::lock_guard lock(state->mutex);
    if (state->stopping) co_return round->report;
    for (const auto& [id, doubt] : round->left) {
      if (!state->leftIntents.contains(id)) found.push_back(doubt);
    }
    state->leftIntents = std::move(round->left);
    report = round->report;
  }
  for (const InDoubtTransaction& doubt : found) state->onInDoubt.emit(doubt);
  co_return report;
}

}  // namespace lukhas::detail
