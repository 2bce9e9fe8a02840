// AtomicContextPreserver: its calls. What they set in motion is in detail/.
#pragma once

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "lukhas/core/codec.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/journal/posix_disk.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/preserve/detail/background.hpp"
#include "lukhas/preserve/detail/transaction_run.hpp"

namespace lukhas {

namespace detail {

inline constexpr std::size_t maxContextIdBytes = 256;

inline void requireContextId(const std::string& contextId) {
  if (!contextId.empty() && contextId.size() <= maxContextIdBytes) return;
  nlohmann::json details{{"size", contextId.size()}, {"minimum", 1}, {"maximum", maxContextIdBytes}};
  throw Error(
      PreserveErrc::invalid_context_id,
      fmt::format("a context id of {} bytes; allowed is 1 to {}", contextId.size(), maxContextIdBytes),
      std::move(details));
}

inline std::vector<ParticipantPtr> findParticipants(const PreserverState& state, const NameList& names) {
  if (names.empty()) throw Error(PreserveErrc::no_participants, "no participant was named");
  std::vector<ParticipantPtr> found;
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) continue;
    ParticipantPtr participant = state.find(name);
    if (!participant) {
      std::vector<std::string> registered;
      for (const ParticipantPtr& other : state.allParticipants()) registered.push_back(other->name());
      nlohmann::json details{{"participant", cleanText(name)}, {"registered", registered}};
      throw Error(PreserveErrc::unknown_participant,
                  fmt::format("no participant is called {}; registered are: {}", quotedText(name),
                              registered.empty() ? "none" : fmt::format("{}", fmt::join(registered, ", "))),
                  std::move(details));
    }
    found.push_back(std::move(participant));
  }
  return found;
}

inline void requireAccepting(const PreserverState& state) {
  if (state.accepting) return;
  throw Error(PreserveErrc::not_started,
              state.stopping ? "the preserver was stopped" : "the preserver is not started: call start()");
}

// Gives the transaction its id and its place in the context's queue.
inline void enqueue(PreserverState& state, const TransactionPtr& transaction) {
  const std::lock_guard lock(state.mutex);
  requireAccepting(state);
  const auto refuse = [](const char* what, std::size_t maximum) {
    nlohmann::json details{{"maximum", maximum}};
    throw Error(PreserveErrc::overloaded, fmt::format("{} transactions {}", maximum, what),
                std::move(details));
  };
  if (state.live.size() >= state.options.maxConcurrent) {
    refuse("are under way already", state.options.maxConcurrent);
  }
  if (state.decided.size() >= state.options.maxInDoubt) {
    refuse("wait for participants that do not commit", state.options.maxInDoubt);
  }
  const TransactionId id{state.options.nameSpace, state.journal->uuid(), state.journal->epoch(),
                         state.nextSequence++};
  transaction->context.transactionId = id.toString();
  TransactionPtr& newest = state.newest[transaction->context.contextId];
  if (newest) {
    transaction->predecessor = newest;
    newest->successor = transaction;
  }
  newest = transaction;
  state.live.emplace(transaction->context.transactionId, transaction);
  ++state.counters.totalTransactions;
}

// The transaction runs to its end by itself. This tells it when nobody waits for the answer any more.
class CallerMark {
 public:
  CallerMark(TransactionPtr transaction, ChildTask<TransactionOutcome>& run)
      : transaction_(std::move(transaction)), run_(run) {}
  CallerMark(const CallerMark&) = delete;
  CallerMark& operator=(const CallerMark&) = delete;
  ~CallerMark() {
    transaction_->callerLeft = true;
    transaction_->progress.resumeAll();
    run_.detach();
  }

 private:
  TransactionPtr transaction_;
  ChildTask<TransactionOutcome>& run_;
};

inline asio::awaitable<TransactionOutcome> transact(PreserverStatePtr state, TransactionPtr transaction) {
  enqueue(*state, transaction);
  ChildTask<TransactionOutcome> run(state->environment, TransactionRun::run(state, transaction));
  const CallerMark mark(transaction, run);
  co_return co_await run.join();
}

inline asio::awaitable<ContextSnapshot> preserveIn(PreserverStatePtr state, std::string contextId,
                                                   nlohmann::json data, NameList names) {
  requireContextId(contextId);
  const auto transaction = std::make_shared<Transaction>(state->environment);
  transaction->participants = findParticipants(*state, names);
  StoredContext& stored = transaction->context;
  stored.contextId = contextId;
  stored.payload = Codec<nlohmann::json>::encodeText(data);
  stored.payloadHash = hash64(asBytes(stored.payload));
  if (const std::size_t maximum = state->options.maxContextBytes; stored.payload.size() > maximum) {
    nlohmann::json details{{"size", stored.payload.size()}, {"maximum", maximum}};
    throw Error(
        PreserveErrc::context_too_large,
        fmt::format("the context has {} bytes as JSON; allowed is up to {}", stored.payload.size(), maximum),
        std::move(details));
  }
  TransactionOutcome outcome = co_await transact(state, transaction);
  ContextSnapshot snapshot;
  snapshot.contextId = std::move(contextId);
  snapshot.transactionId = stored.transactionId;
  snapshot.version = outcome.version;
  snapshot.data = std::move(data);
  snapshot.participants = std::move(outcome.participants);
  snapshot.pending = std::move(outcome.pending);
  snapshot.checksum = stored.payloadHash;
  co_return snapshot;
}

inline asio::awaitable<bool> forgetIn(PreserverStatePtr state, std::string contextId) {
  requireContextId(contextId);
  const auto transaction = std::make_shared<Transaction>(state->environment);
  transaction->context.contextId = std::move(contextId);
  transaction->context.forgets = true;
  transaction->context.payloadHash = hash64({});
  const TransactionOutcome outcome = co_await transact(state, transaction);
  co_return outcome.version > 0;
}

[[nodiscard]] inline ContextSnapshot toSnapshot(const StoredContext& stored) {
  ContextSnapshot snapshot;
  snapshot.contextId = stored.contextId;
  snapshot.transactionId = stored.transactionId;
  snapshot.version = stored.version;
  snapshot.data = Codec<nlohmann::json>::decode(asBytes(stored.payload));
  snapshot.participants = stored.participants.names();
  snapshot.checksum = stored.payloadHash;
  return snapshot;
}

inline asio::awaitable<std::optional<ContextSnapshot>> restoreIn(PreserverStatePtr state,
                                                                 std::string contextId) {
  requireContextId(contextId);
  {
    const std::lock_guard lock(state->mutex);
    requireAccepting(*state);
  }
  const CopiesByParticipant copies = co_await readCopies(state, contextId);
  const std::vector<const StoredContext*> states = certainStates(*state, copies);
  const std::uint64_t newest = newestVersion(states);
  if (newest == 0) co_return std::nullopt;
  std::optional<ContextSnapshot> found;
  std::uint64_t damaged = 0;
  for (const StoredContext* stored : states) {
    if (stored->version != newest) continue;
    if (stored->forgets) co_return std::nullopt;
    if (stored->payloadHash != hash64(asBytes(stored->payload))) {
      ++damaged;
    } else if (!found) {
      found = toSnapshot(*stored);
    }
  }
  if (damaged > 0) {
    const std::lock_guard lock(state->mutex);
    state->counters.corruptCopies += damaged;
  }
  if (!found) {
    nlohmann::json details{
        {"contextId", cleanText(contextId)}, {"version", newest}, {"damagedCopies", damaged}};
    throw Error(PreserveErrc::corrupt_snapshot,
                fmt::format("all {} copies of version {} of context {} are damaged", damaged, newest,
                            quotedText(contextId)),
                std::move(details));
  }
  co_return found;
}

// Begins a loop of the background work, later and elsewhere. With the mutex held.
inline void beginBacklogLoop(const PreserverStatePtr& state, const ParticipantPtr& participant) {
  ++state->loops;
  state->environment.post([mark = LoopMark(state), participant]() mutable {
    const asio::any_io_executor executor = mark->environment.executor();
    asio::co_spawn(executor, driveBacklog(std::move(mark), participant), asio::detached);
  });
}
inline void beginRecoveryLoop(const PreserverStatePtr& state) {
  ++state->loops;
  state->environment.post([mark = LoopMark(state)]() mutable {
    const asio::any_io_executor executor = mark->environment.executor();
    asio::co_spawn(executor, driveRecovery(std::move(mark)), asio::detached);
  });
}

inline asio::awaitable<void> openInTime(PreserverStatePtr state, ParticipantPtr participant) {
  std::string slow;
  try {
    const Duration limit = state->options.openTimeout;
    co_await withTimeLimit(state->environment, limit, "open", participant->open(state->environment));
  } catch (const Error& error) {
    if (error.code() != Errc::deadline_exceeded) throw;
    slow = error.what();
  }
  if (slow.empty()) co_return;
  const std::string& name = participant->name();
  throw Error(PreserveErrc::participant_unavailable, fmt::format("participant '{}': {}", name, slow),
              {{"participant", name}, {"cause", slow}});
}

inline asio::awaitable<void> addParticipantTo(PreserverStatePtr state, ParticipantPtr participant) {
  if (!participant) throw Error(Errc::invalid_argument, "addParticipant: the participant is null");
  const std::string name = participant->name();
  const auto requireUnused = [&state, &name] {
    if (!state->participants.contains(name)) return;
    throw Error(PreserveErrc::duplicate_participant,
                fmt::format("a participant called '{}' is registered already", name),
                {{"participant", name}});
  };
  {
    const std::lock_guard lock(state->mutex);
    requireUnused();
  }
  co_await openInTime(state, participant);
  std::exception_ptr failure;
  try {
    const std::lock_guard lock(state->mutex);
    if (state->stopping) throw Error(PreserveErrc::not_started, "the preserver was stopped");
    requireUnused();  // another call may have been quicker
    state->participants.emplace(name, participant);
    if (state->accepting) beginBacklogLoop(state, participant);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  (void)co_await tellToClose(state, participant);
  std::rethrow_exception(failure);
}

// Takes over what the log says of earlier lives. With the mutex held.
inline void takeOver(PreserverState& state, const std::vector<Record>& records) {
  DecisionReplay replay;
  for (const Record& record : records) replay.add(record.type, record.lsn.value, record.payload);
  for (const Decision& decision : replay.all()) state.history.add(decision);
  for (DecisionReplay::Open& left : replay.open()) {
    for (const std::string& name : left.remaining) state.backlog[name].push_back(left.decision.transaction);
    state.keep(left.decision, Lsn{left.lsn}, std::move(left.remaining));
  }
  state.journal->dropBefore(state.firstNeeded());
}

inline asio::awaitable<void> startIn(PreserverStatePtr state) {
  {
    const std::lock_guard lock(state->mutex);
    if (state->accepting) co_return;
    if (state->stopping) throw Error(PreserveErrc::not_started, "the preserver was stopped for good");
    if (std::exchange(state->started, true)) {
      throw Error(PreserveErrc::not_started, "another start() of the preserver is under way");
    }
  }
  std::exception_ptr failure;
  try {
    std::shared_ptr<Disk> disk = state->options.disk;
    if (!disk) disk = std::make_shared<PosixDisk>(state->environment);
    const JournalOptions options{.segmentBytes = state->options.journalSegmentBytes};
    std::string directory = state->options.journalDirectory;
    std::unique_ptr<Journal> journal =
        co_await Journal::open(state->environment, std::move(disk), std::move(directory), options);
    const std::vector<Record> records = journal->takeRecovered();
    const std::lock_guard lock(state->mutex);
    if (state->stopping) throw Error(PreserveErrc::not_started, "the preserver was stopped meanwhile");
    state->journal = std::move(journal);
    takeOver(*state, records);
    state->accepting = true;
    for (const auto& [name, participant] : state->participants) beginBacklogLoop(state, participant);
    beginRecoveryLoop(state);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  const std::lock_guard lock(state->mutex);
  state->started = false;
  std::rethrow_exception(failure);
}

inline asio::awaitable<void> closeLog(PreserverStatePtr state) { co_await state->journal->close(); }

// How long the calls that are under way may still take, if all but the log keeps to its limits.
[[nodiscard]] inline Duration longestCall(const AtomicContextPreserverOptions& options) {
  return options.queueTimeout + 4 * options.prepareTimeout + 2 * options.commitTimeout;
}

inline asio::awaitable<void> stopIn(PreserverStatePtr state) {
  PreserverState* const shared = state.get();
  {
    const std::lock_guard lock(state->mutex);
    state->accepting = false;
  }
  const auto isIdle = [shared] {
    const std::lock_guard lock(shared->mutex);
    return shared->live.empty();
  };
  const TimePoint patience = state->environment.after(longestCall(state->options));
  while (!isIdle()) {
    const WaitResult result = co_await state->idle.waitUntil(patience, isIdle);
    if (result == WaitResult::timed_out) break;
  }
  {
    const std::lock_guard lock(state->mutex);
    state->stopping = true;
  }
  state->wake.resumeAll();
  const auto isQuiet = [shared] {
    const std::lock_guard lock(shared->mutex);
    return shared->loops == 0;
  };
  while (!isQuiet()) (void)co_await state->idle.wait(isQuiet);
  const std::vector<ParticipantPtr> participants = state->allParticipants();
  for (const ParticipantPtr& participant : participants) {
    (void)co_await tellToClose(state, participant);
  }
  if (!state->journal) co_return;
  const Duration limit = state->options.openTimeout;
  co_await withTimeLimit(state->environment, limit, "closing the transaction log", closeLog(state));
}

inline asio::awaitable<RecoveryReport> recoverIn(PreserverStatePtr state) {
  {
    const std::lock_guard lock(state->mutex);
    requireAccepting(*state);
  }
  retryRefused(*state);
  co_return co_await recoverOnce(state);
}

}  // namespace detail

inline AtomicContextPreserver::AtomicContextPreserver(Environment environment,
                                                      AtomicContextPreserverOptions options)
    : state_((options.check(),
              std::make_shared<detail::PreserverState>(std::move(environment), std::move(options)))),
      onPrepared(state_->onPrepared),
      onCommitted(state_->onCommitted),
      onRollback(state_->onRollback),
      onRecovered(state_->onRecovered),
      onInDoubt(state_->onInDoubt) {}

inline AtomicContextPreserver::~AtomicContextPreserver() {
  std::vector<detail::TransactionPtr> live;
  {
    const std::lock_guard lock(state_->mutex);
    state_->accepting = false;
    state_->stopping = true;
    state_->abandoned = true;
    for (const auto& [id, transaction] : state_->live) live.push_back(transaction);
  }
  state_->wake.resumeAll();
  for (const detail::TransactionPtr& transaction : live) transaction->progress.resumeAll();
}

inline asio::awaitable<void> AtomicContextPreserver::addParticipant(
    std::shared_ptr<Participant> participant) {
  return detail::addParticipantTo(state_, std::move(participant));
}
inline asio::awaitable<void> AtomicContextPreserver::start() { return detail::startIn(state_); }
inline asio::awaitable<void> AtomicContextPreserver::stop() { return detail::stopIn(state_); }

inline asio::awaitable<ContextSnapshot> AtomicContextPreserver::preserveContext(std::string contextId,
                                                                                nlohmann::json data,
                                                                                NameList participants) {
  return detail::preserveIn(state_, std::move(contextId), std::move(data), std::move(participants));
}
inline asio::awaitable<std::optional<ContextSnapshot>> AtomicContextPreserver::restoreContext(
    std::string contextId) {
  return detail::restoreIn(state_, std::move(contextId));
}
inline asio::awaitable<bool> AtomicContextPreserver::forget(std::string contextId) {
  return detail::forgetIn(state_, std::move(contextId));
}
inline asio::awaitable<RecoveryReport> AtomicContextPreserver::recover() { return detail::recoverIn(state_); }

inline std::vector<HistoryEntry> AtomicContextPreserver::history(const std::string& contextId) const {
  const std::lock_guard lock(state_->mutex);
  return state_->history.of(contextId);
}

inline std::vector<InDoubtTransaction> AtomicContextPreserver::listInDoubt() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<InDoubtTransaction> list;
  for (const auto& [id, open] : state_->decided) {
    if (!state_->live.contains(id)) list.push_back(detail::PreserverState::describe(open));
  }
  for (const auto& [id, left] : state_->leftIntents) {
    if (!state_->decided.contains(id)) list.push_back(left);
  }
  return list;
}

inline PreserverMetrics AtomicContextPreserver::getMetrics() const {
  const std::vector<InDoubtTransaction> inDoubt = listInDoubt();
  std::set<std::string> contexts;
  for (const InDoubtTransaction& transaction : inDoubt) contexts.insert(transaction.contextId);
  const std::lock_guard lock(state_->mutex);
  PreserverMetrics metrics = state_->counters;
  metrics.avgLatencyMs = toMilliseconds(state_->latency.mean());
  metrics.p99LatencyMs = toMilliseconds(state_->latency.percentile(99));
  metrics.inDoubt = inDoubt.size();
  metrics.orphanedContexts = contexts.size();
  return metrics;
}

inline HealthReport AtomicContextPreserver::healthCheck() const {
  HealthReport report;
  std::map<InDoubtTransaction::Reason, unsigned> counts;
  for (const InDoubtTransaction& transaction : listInDoubt()) ++counts[transaction.reason];
  const auto reportAny = [&](InDoubtTransaction::Reason reason, const char* code, const char* text) {
    const unsigned count = counts[reason];
    if (count > 0) report.report(code, fmt::format("{} {}", count, text), count, 0);
  };
  using Reason = InDoubtTransaction::Reason;
  reportAny(Reason::committing, "commits_pending", "decided transactions are not applied everywhere yet");
  reportAny(Reason::refused, "commits_refused", "decided transactions are refused by a participant");
  reportAny(Reason::undecided, "intents_left", "intents without a decision could not be aborted yet");
  reportAny(Reason::foreign, "foreign_intents", "intents belong to another coordinator");
  const std::lock_guard lock(state_->mutex);
  if (state_->lateDecisions > 0) {
    report.report("log_stalled",
                  fmt::format("{} decisions wait for a transaction log that does not answer in time",
                              state_->lateDecisions),
                  state_->lateDecisions, 0);
  }
  if (state_->journal) report.append("journal", state_->journal->healthCheck());
  return report;
}

}  // namespace lukhas
