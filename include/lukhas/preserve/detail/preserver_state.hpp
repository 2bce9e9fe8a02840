// The preserver's memory: participants, live transactions, decisions that are not applied everywhere, and
// accounts.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lukhas/async/wait_list.hpp"
#include "lukhas/core/histogram.hpp"
#include "lukhas/core/signal.hpp"
#include "lukhas/journal/journal.hpp"
#include "lukhas/preserve/context_snapshot.hpp"
#include "lukhas/preserve/coordinator_machine.hpp"
#include "lukhas/preserve/decision_log.hpp"
#include "lukhas/preserve/detail/open_decisions.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/preserve_error.hpp"
#include "lukhas/preserve/preserve_options.hpp"
#include "lukhas/preserve/preserver_options.hpp"
#include "lukhas/preserve/transaction_id.hpp"

namespace lukhas::detail {

using ParticipantPtr = std::shared_ptr<Participant>;

// One call of preserveContext or forget, from its place in the context's queue to its end.
struct Transaction {
  explicit Transaction(const Environment& environment) : progress(environment) {}

  PreserveOptions options;
  StoredContext context;                     // final once the voting begins
  std::vector<ParticipantPtr> participants;  // final once the voting begins; a forget finds them out

  // Guarded by the state's mutex. The queue of a context: whoever leaves it joins its neighbours, so that
  // nobody overtakes one that still runs.
  std::shared_ptr<Transaction> predecessor;  // null: it is its turn
  std::weak_ptr<Transaction> successor;
  std::optional<CoordinatorMachine> machine;
  std::string refusedBy;  // the participant whose "no" it was
  std::string cause;

  std::atomic<bool> callerLeft = false;  // before the decision this means abort; after it, nothing
  WaitList progress;                     // it is its turn, a vote came, or it is given up
};
using TransactionPtr = std::shared_ptr<Transaction>;

struct PreserverState {
  PreserverState(Environment env, AtomicContextPreserverOptions given)
      : environment(std::move(env)),
        options(std::move(given)),
        history(options.historyEntries),
        wake(environment),
        idle(environment) {}

  const Environment environment;
  const AtomicContextPreserverOptions options;

  mutable std::mutex mutex;
  bool started = false;    // start() was called
  bool accepting = false;  // between start() and stop()
  bool stopping = false;   // the background work ends
  bool abandoned = false;  // the preserver was destroyed: what is not decided is given up
  unsigned loops = 0;      // of the background work, that have not ended yet
  std::unique_ptr<Journal> journal;
  std::uint64_t nextSequence = 1;
  std::map<std::string, ParticipantPtr> participants;
  std::set<std::string> leaving;    // participants that are being removed: no new transaction names them
  std::set<ParticipantPtr> driven;  // whose backlog has a loop
  std::map<std::string, TransactionPtr> live;              // by transaction id
  std::set<std::string> unknownOutcome;                    // never touched again in this life
  std::unordered_map<std::string, TransactionPtr> newest;  // by context: the end of its queue
  std::multiset<Lsn> deciding;  // lower bounds of the decision records that are being written
  OpenDecisions decided;
  unsigned lateDecisions = 0;  // whose record the log has not taken within the time
  std::map<std::string, std::deque<TransactionRef>> backlog;  // by participant: commits to be told
  std::map<std::string, InDoubtTransaction> leftIntents;      // by transaction id: what recovery had to leave
  DecisionHistory history;
  PreserverMetrics counters;
  LatencyHistogram latency;

  WaitList wake;  // the backlog grew, or the background work is to end
  WaitList idle;  // a transaction or a loop of the background work ended

  Signal<TransactionPrepared> onPrepared;
  Signal<TransactionCommitted> onCommitted;
  Signal<TransactionRolledBack> onRollback;
  Signal<TransactionRecovered> onRecovered;
  Signal<InDoubtTransaction> onInDoubt;

  [[nodiscard]] bool isStopping() const {
    const std::lock_guard lock(mutex);
    return stopping;
  }
  [[nodiscard]] ParticipantPtr find(const std::string& name) const {
    const std::lock_guard lock(mutex);
    const auto found = participants.find(name);
    return found == participants.end() || leaving.contains(name) ? nullptr : found->second;
  }
  // Whether its name stands for this one, and not for nobody or another. With the mutex held.
  [[nodiscard]] bool isRegistered(const ParticipantPtr& participant) const {
    const auto found = participants.find(participant->name());
    return found != participants.end() && found->second == participant;
  }
  [[nodiscard]] std::vector<ParticipantPtr> allParticipants() const {
    const std::lock_guard lock(mutex);
    std::vector<ParticipantPtr> all;
    all.reserve(participants.size());
    for (const auto& [name, participant] : participants) all.push_back(participant);
    return all;
  }

  // Whether the log has the decision to commit this transaction. With the mutex held.
  [[nodiscard]] bool isDecided(const TransactionRef& transaction) const {
    if (decided.contains(transaction.transactionId)) return true;
    for (const HistoryEntry& entry : history.of(transaction.contextId)) {
      if (entry.transactionId == transaction.transactionId) return true;
    }
    return false;
  }
  // Whether this coordinator, in this life or an earlier one, gave out that id. Only such are ever touched.
  [[nodiscard]] bool isOwn(std::string_view transactionId) const {
    const std::optional<TransactionId> id = TransactionId::parse(transactionId);
    return id && id->nameSpace == options.nameSpace && id->coordinator == journal->uuid();
  }
  // Whether somebody else will settle that transaction: its own call, or the next start. With the mutex held.
  [[nodiscard]] bool isInOtherHands(const std::string& transactionId) const {
    return live.contains(transactionId) || unknownOutcome.contains(transactionId);
  }

  // From the call on, `decision` is committed: remembered until every participant has done it.
  void markDecided(const Decision& decision, Lsn lsn) {
    const std::lock_guard lock(mutex);
    history.add(decision);
    keep(decision, lsn, {decision.participants.begin(), decision.participants.end()});
  }
  // With the mutex held.
  void keep(const Decision& decision, Lsn lsn, std::set<std::string> remaining) {
    OpenDecision open;
    open.decision = decision;
    open.lsn = lsn;
    open.remaining = std::move(remaining);
    for (const std::string& ended : decided.add(std::move(open))) writeEnd(ended);
  }

  // A participant has applied a decision. The last one ends it; the log may then be shortened.
  void markDone(const std::string& transactionId, const std::string& participant) {
    const std::lock_guard lock(mutex);
    if (decided.done(transactionId, participant)) writeEnd(transactionId);
  }
  // With the mutex held.
  void writeEnd(const std::string& transactionId) {
    try {
      journal->append(static_cast<std::uint8_t>(DecisionRecord::end), toBytes(transactionId));
      journal->dropBefore(firstNeeded());
    } catch (const Error&) {
      // A log that takes no more records ends nothing: the next start finds the decision again and repeats
      // the commits, which are idempotent. Every later transaction is told of the log's state.
    }
  }

  // The participant will not do it by itself: set aside, so that it does not hold up others. Told once, until
  // the cause is another.
  void markRefused(const std::string& transactionId, const std::string& participant,
                   const std::string& cause) {
    std::optional<InDoubtTransaction> doubt;
    {
      const std::lock_guard lock(mutex);
      if (!decided.isLeftTo(transactionId, participant)) return;
      OpenDecision& open = *decided.find(transactionId);
      const auto before = open.retried.find(participant);
      const bool isKnown = before != open.retried.end() && before->second == cause;
      open.refusals[participant] = cause;
      if (!isKnown) doubt = describe(open);
    }
    if (doubt) onInDoubt.emit(*doubt);
  }

  // From now on the background work tells that participant, for as long as it takes.
  void handOver(const TransactionRef& transaction, const std::string& participant) {
    {
      const std::lock_guard lock(mutex);
      backlog[participant].push_back(transaction);
    }
    wake.resumeAll();
  }

  // With the mutex held.
  [[nodiscard]] static InDoubtTransaction describe(const OpenDecision& open) {
    InDoubtTransaction doubt;
    doubt.transactionId = open.decision.transaction.transactionId;
    doubt.contextId = open.decision.transaction.contextId;
    doubt.version = open.decision.transaction.version;
    doubt.participants.assign(open.remaining.begin(), open.remaining.end());
    if (!open.refusals.empty()) {
      doubt.reason = InDoubtTransaction::Reason::refused;
      doubt.cause = open.refusals.begin()->first + ": " + open.refusals.begin()->second;
    }
    return doubt;
  }

  // No record that is appended from now on has a lower LSN. (The next LSN itself may go back when the disk is
  // full.)
  [[nodiscard]] Lsn nextAtLeast() const { return Lsn{journal->durableLsn().value + 1}; }

  // The oldest record that a restart would need. With the mutex held.
  [[nodiscard]] Lsn firstNeeded() const {
    Lsn first = nextAtLeast();
    if (!deciding.empty()) first = std::min(first, *deciding.begin());
    if (const std::optional<Lsn> oldest = decided.oldest()) first = std::min(first, *oldest);
    return first;
  }
};
using PreserverStatePtr = std::shared_ptr<PreserverState>;

// The cause of a failure in one line, for details and events.
[[nodiscard]] inline std::string causeOf(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& failure) {
    return failure.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

}  // namespace lukhas::detail
