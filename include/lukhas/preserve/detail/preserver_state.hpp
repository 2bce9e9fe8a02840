// The preserver's memory: participants, live transactions, decisions that are not applied everywhere, and
// accounts.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
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
#include "lukhas/core/signal.hpp"
#include "lukhas/journal/journal.hpp"
#include "lukhas/preserve/context_snapshot.hpp"
#include "lukhas/preserve/decision_history.hpp"
#include "lukhas/preserve/decision_log.hpp"
#include "lukhas/preserve/detail/open_decisions.hpp"
#include "lukhas/preserve/detail/preserver_times.hpp"
#include "lukhas/preserve/detail/transaction.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/preserve_error.hpp"
#include "lukhas/preserve/preserver_options.hpp"
#include "lukhas/preserve/transaction_id.hpp"

namespace lukhas::detail {

struct WaitingCall;

// Empty for an id that no coordinator of this library gave out.
[[nodiscard]] inline std::string coordinatorOf(std::string_view transactionId) {
  const std::optional<TransactionId> id = TransactionId::parse(transactionId);
  return id ? id->coordinator : std::string();
}

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
  std::set<std::string> leaving;      // participants that are being removed: no new transaction names them
  std::multiset<std::string> driven;  // participants whose backlog has a loop, once for each
  std::map<std::string, TransactionPtr> live;       // by transaction id
  std::size_t liveBytes = 0;                        // of their contexts
  std::list<std::shared_ptr<WaitingCall>> waiting;  // for a place among them, first come first served
  std::size_t waitingBytes = 0;
  std::set<std::string> unknownOutcome;                    // never touched again in this life
  std::unordered_map<std::string, TransactionPtr> newest;  // by context: the end of its queue
  std::multiset<Lsn> deciding;  // lower bounds of the decision records that are being written
  OpenDecisions decided;
  unsigned lateDecisions = 0;  // whose record the log has not taken within the time
  struct Backlog {
    std::deque<TransactionRef> commits;  // to be told
    unsigned failures = 0;               // since it last did one
  };
  std::map<std::string, Backlog> backlog;                 // by participant
  std::map<std::string, InDoubtTransaction> leftIntents;  // by transaction id: what recovery had to leave
  std::map<std::string, Lsn> adopted;  // coordinators this one decides for, and where the log says so
  std::map<std::string, OrphanedContext> orphans;  // by context
  std::string nextCompared;                        // context that the next comparison begins with
  DecisionHistory history;
  PreserverMetrics counters;
  PreserverTimes times;

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
    return decided.contains(transaction.transactionId) ||
           history.contains(transaction.contextId, transaction.transactionId);
  }
  // Whether this coordinator, in this life or an earlier one, gave out that id.
  [[nodiscard]] bool isOwn(std::string_view transactionId) const {
    const std::optional<TransactionId> id = TransactionId::parse(transactionId);
    return id && id->nameSpace == options.nameSpace && id->coordinator == journal->uuid();
  }
  // Whether it is of a lost coordinator that this one decides for. Nobody else's are ever touched. With the
  // mutex held.
  [[nodiscard]] bool isAdopted(std::string_view transactionId) const {
    const std::optional<TransactionId> id = TransactionId::parse(transactionId);
    return id && id->nameSpace == options.nameSpace && adopted.contains(id->coordinator);
  }
  // Whether somebody else will settle that transaction: its own call, or the next start. With the mutex held.
  [[nodiscard]] bool isInOtherHands(const std::string& transactionId) const {
    return live.contains(transactionId) || unknownOutcome.contains(transactionId);
  }

  // From the call on, the decisions are committed: remembered until every participant has done them.
  void markDecided(const std::vector<Decision>& decisions, Lsn lsn) {
    const std::lock_guard lock(mutex);
    for (const Decision& decision : decisions) {
      history.add(decision);
      orphans.erase(decision.transaction.contextId);  // what is written now makes them whole
      keep(decision, lsn, {decision.participants.begin(), decision.participants.end()});
    }
  }
  // With the mutex held.
  void keep(const Decision& decision, Lsn lsn, std::set<std::string> remaining) {
    OpenDecision open;
    open.decision = decision;
    open.lsn = lsn;
    open.remaining = std::move(remaining);
    const std::vector<DecisionEnd> ended = decided.add(std::move(open));
    for (const DecisionEnd& end : ended) writeEnd(decision.transaction.contextId, end);
  }

  // A participant has applied a decision. The last one ends it; the log may then be shortened.
  void markDone(const TransactionRef& transaction, const std::string& participant) {
    const std::lock_guard lock(mutex);
    const OpenDecision* const open = decided.find(transaction.transactionId);
    if (open == nullptr) return;
    const Duration after = std::max(environment.wallNow() - open->decision.decidedAt, Duration::zero());
    const std::optional<DecisionEnd> end = decided.done(transaction.transactionId, participant, after);
    if (end) writeEnd(transaction.contextId, *end);
  }
  // With the mutex held.
  void writeEnd(const std::string& contextId, const DecisionEnd& end) {
    history.note(contextId, end);
    try {
      journal->append(static_cast<std::uint8_t>(DecisionRecord::end), end.encode());
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
      backlog[participant].commits.push_back(transaction);
    }
    wake.resumeAll();
  }

  // With the mutex held.
  [[nodiscard]] static InDoubtTransaction describe(const OpenDecision& open) {
    InDoubtTransaction doubt;
    doubt.transactionId = open.decision.transaction.transactionId;
    doubt.contextId = open.decision.transaction.contextId;
    doubt.version = open.decision.transaction.version;
    doubt.coordinator = coordinatorOf(doubt.transactionId);
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
    for (const auto& [coordinator, lsn] : adopted) first = std::min(first, lsn);
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
