// AtomicContextPreserver: a context is in all the systems that were named, or in none.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include "lukhas/core/health.hpp"
#include "lukhas/preserve/context_change.hpp"
#include "lukhas/preserve/context_snapshot.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/preserve_error.hpp"
#include "lukhas/preserve/preserve_options.hpp"
#include "lukhas/preserve/preserver_options.hpp"

namespace lukhas {

// Keeps contexts in several storage systems at once, by two-phase commit with a write-ahead log.
//
//   lukhas::AtomicContextPreserver preserver{environment, {.journalDirectory = "data/journal"}};
//   co_await preserver.addParticipant(lukhas::SqliteParticipant::open("sqlite", "data/contexts.db"));
//   co_await preserver.addParticipant(lukhas::DirectoryParticipant::open("files", "data/contexts"));
//   co_await preserver.start();
//
//   lukhas::ContextSnapshot snapshot =
//       co_await preserver.preserveContext("session:42", context, {"sqlite", "files"});
//   std::optional<lukhas::ContextSnapshot> found = co_await preserver.restoreContext("session:42");
//
// What it guarantees. When preserveContext returns, the decision is on disk and final: every participant
// holds the context, or will (those are named in `pending`, and are told until they have done it, also by a
// later process). When it throws PreserveErrc::aborted, none of them holds it. Only when the write of the
// decision itself fails is the outcome unknown (PreserveErrc::outcome_unknown): the next start decides. A
// crash, of this process or a participant's, at any moment, changes nothing of this.
//
// Order of service. Transactions of one context run one after the other, in the order of the calls; those of
// different contexts run side by side. A read sees every transaction of this preserver that had returned
// before it began.
//
// Time. Each step has a limit (AtomicContextPreserverOptions), so every call ends. A log that does not take
// the decision within `commitTimeout` ends it with PreserveErrc::outcome_unknown; the transaction goes on
// when the log does, and health says so (log_stalled). Only start() takes as long as the disk does.
// Cancelling a call, or destroying the preserver, aborts the transaction if it is not decided yet; afterwards
// it changes nothing.
//
// Every call asks all registered participants for what they hold of the context, also those that it does not
// name: one that is down makes it fail (docs/decisions/0005). Register all that ever held contexts: a copy at
// somebody who is not registered is not seen, and keeps forget() from removing the others.
//
// The caller resumes on its own executor. Any thread may call. stop() before destruction lets what is under
// way end in order; without it, the next start finishes it. One preserver a journal directory; several may
// share participants: what another one has prepared is never touched, and shown by listInDoubt(). What
// another one has decided is read here once it is applied.
//
// The method: presumed abort (Mohan, Lindsay, Obermarck, 1986); see CoordinatorMachine.
class AtomicContextPreserver {
 public:
  using Options = AtomicContextPreserverOptions;

  // Throws Errc::invalid_option.
  explicit AtomicContextPreserver(Environment environment, AtomicContextPreserverOptions options = {});
  AtomicContextPreserver(const AtomicContextPreserver&) = delete;
  AtomicContextPreserver& operator=(const AtomicContextPreserver&) = delete;
  ~AtomicContextPreserver();

  // Opens a participant and makes it known under its name; before start() or later. Throws what its open()
  // throws, or PreserveErrc::duplicate_participant.
  [[nodiscard]] asio::awaitable<void> addParticipant(std::shared_ptr<Participant> participant);

  // Closes a participant and forgets its name. Refused, and nothing has changed: with
  // PreserveErrc::participant_in_use while a transaction under way names it, while it has not applied
  // all that is decided, or while it holds an intent, be it another coordinator's; with
  // participant_unavailable when it does not say what it holds; with unknown_participant. A call that is
  // cancelled may still take effect.
  //
  // Its contexts stay in it and are not seen any more, neither by reads nor by forget() nor where versions
  // are counted; who adds it again sees them again, as old as they are. So remove one that holds nothing that
  // matters, or that is never to come back.
  [[nodiscard]] asio::awaitable<void> removeParticipant(std::string name);

  // Opens the log and begins to finish, in the background, what earlier lives left open. Calls are accepted
  // once it has returned. Throws the log's errors (JournalErrc: not_writable, locked, corrupt, …) and may be
  // called again then.
  [[nodiscard]] asio::awaitable<void> start();
  // Refuses new calls, waits for those under way, and closes participants and log. For good. Throws
  // JournalErrc::poisoned, when all is closed, if a write to the log had failed.
  [[nodiscard]] asio::awaitable<void> stop();

  // Preserves `data` as the next version of the context. `contextId` has 1 to 256 bytes. Names that are given
  // twice count once. Throws PreserveErrc: aborted, outcome_unknown, version_conflict, unknown_participant,
  // no_participants, invalid_context_id, context_too_large, overloaded, not_started.
  [[nodiscard]] asio::awaitable<ContextSnapshot> preserveContext(std::string contextId, nlohmann::json data,
                                                                 NameList participants,
                                                                 PreserveOptions options = {});

  // Preserves all of `changes`, or none of them: one decision, one record in the log. The snapshots come in
  // the order of the changes. A context may stand in it once; at most 1,000 at a time, and not more than
  // maxConcurrent, maxInDoubt and maxQueuedBytes allow: otherwise Errc::invalid_argument, or
  // PreserveErrc::context_too_large. Throws as preserveContext; details()["contextId"] is then the one that
  // could not be. A reader sees all of them or none from the moment of the decision on, if it reads the one
  // context after the other. No changes: nothing is done.
  //
  //   std::vector<lukhas::ContextChange> changes;
  //   changes.emplace_back("session:42", session, lukhas::NameList("sqlite", "files"));
  //   changes.emplace_back("user:7", user, lukhas::NameList("sqlite"), expectedVersion);
  //   std::vector<lukhas::ContextSnapshot> snapshots = co_await preserver.preserveMany(std::move(changes));
  [[nodiscard]] asio::awaitable<std::vector<ContextSnapshot>> preserveMany(
      std::vector<ContextChange> changes, PreserveUntil until = PreserveUntil::applied);

  // The newest committed snapshot, or nullopt when there is none. Every participant is asked: one that does
  // not answer in time makes the call throw PreserveErrc::participant_unavailable, because it alone may hold
  // the newest version. A damaged copy is passed over for another of the same version; without one,
  // PreserveErrc::corrupt_snapshot. Never an older version.
  [[nodiscard]] asio::awaitable<std::optional<ContextSnapshot>> restoreContext(std::string contextId);

  // Removes the context from every participant that holds it, as one transaction. False when none does.
  // Throws as preserveContext.
  [[nodiscard]] asio::awaitable<bool> forget(std::string contextId, PreserveOptions options = {});

  // The decisions about a context that the preserver remembers (`historyEntries` over all contexts), oldest
  // first.
  [[nodiscard]] std::vector<HistoryEntry> history(const std::string& contextId) const;
  // The same of all contexts, each as one line of JSON without its line end: see HistoryEntry::toJson.
  // `line` is called outside all locks. (lukhas-journal writes out what the log still has, without a
  // preserver.)
  void exportHistory(const std::function<void(std::string_view)>& line) const;

  // The transactions whose end is open somewhere: decided but not applied everywhere, refused, of unknown
  // outcome at the last comparison, or another coordinator's.
  [[nodiscard]] std::vector<InDoubtTransaction> listInDoubt() const;

  // The contexts that the latest comparison found to be held no more by somebody who held them: a
  // participant was put back to an old backup, or lost data. They are still read from the others, and whole
  // again once they are preserved anew, or the participant is mended.
  [[nodiscard]] std::vector<OrphanedContext> listOrphans() const;

  // Compares participants and log now, tells those that had refused once more, and compares what participants
  // hold of every context in the history with its newest decision. The same goes on by itself every
  // `recoveryInterval`, with `comparedContexts` contexts at a time.
  [[nodiscard]] asio::awaitable<RecoveryReport> recover();

  // From now on, and in later lives, this coordinator also decides about what another one of the same
  // nameSpace has left prepared: for one whose journal is lost for good. What some participant has applied is
  // committed everywhere; what nobody has, though all its participants can be asked, is aborted; the rest
  // stays, and is tried again with each round of recovery. Returns when one round is done.
  //
  // `coordinatorId` is InDoubtTransaction::coordinator. Never adopt one that may still run, or whose journal
  // may come back: what both decide about may end half preserved. Throws Errc::invalid_argument for an id
  // that is none, or this coordinator's own; the log's errors; PreserveErrc::not_started, overloaded (after
  // 1,000 adoptions).
  [[nodiscard]] asio::awaitable<RecoveryReport> adopt(std::string coordinatorId);

  [[nodiscard]] PreserverMetrics getMetrics() const;
  [[nodiscard]] HealthReport healthCheck() const;

 private:
  detail::PreserverStatePtr state_;

 public:
  Signal<TransactionPrepared>& onPrepared;    // everybody has said yes; not decided yet
  Signal<TransactionCommitted>& onCommitted;  // decided, and told as far as possible
  Signal<TransactionRolledBack>& onRollback;  // aborted, with the reason
  Signal<TransactionRecovered>& onRecovered;  // what an earlier call left open at a participant was resolved
  Signal<InDoubtTransaction>& onInDoubt;      // a transaction's end stays open for now
};

}  // namespace lukhas

#include "lukhas/preserve/impl/atomic_context_preserver.hpp"  // IWYU pragma: export
