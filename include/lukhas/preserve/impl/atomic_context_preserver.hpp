// AtomicContextPreserver: its calls. What they set in motion is in detail/.
#pragma once

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "lukhas/core/codec.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/preserve/detail/background.hpp"
#include "lukhas/preserve/detail/preserver_life.hpp"
#include "lukhas/preserve/detail/remove_participant.hpp"
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
    if (!participant) throwNotToBeNamed(state, name);
    found.push_back(std::move(participant));
  }
  return found;
}

inline void requireAccepting(const PreserverState& state) {
  if (state.accepting) return;
  throw Error(PreserveErrc::not_started,
              state.stopping ? "the preserver was stopped" : "the preserver is not started: call start()");
}

// Where the newest transaction of the context is noted. Without memory the transaction is not live.
inline TransactionPtr& placeOfNewest(PreserverState& state, const Transaction& transaction) {
  try {
    return state.newest[transaction.context.contextId];
  } catch (...) {
    state.live.erase(transaction.context.transactionId);
    throw;
  }
}

// Gives the transaction its id and its place in the context's queue.
inline void enqueue(PreserverState& state, const TransactionPtr& transaction) {
  const std::lock_guard lock(state.mutex);
  requireAccepting(state);
  for (const ParticipantPtr& participant : transaction->participants) {
    if (!state.isRegistered(participant)) throwGone(participant->name());
  }
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
  state.live.emplace(transaction->context.transactionId, transaction);
  TransactionPtr& newest = placeOfNewest(state, *transaction);
  if (newest) {
    transaction->predecessor = newest;
    newest->successor = transaction;
  }
  newest = transaction;
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
  std::optional<ChildTask<TransactionOutcome>> run;
  try {
    run.emplace(state->environment, TransactionRun::run(state, transaction));
  } catch (...) {  // without memory
    const EndOfTransaction end(state, transaction);
    throw;
  }
  const CallerMark mark(transaction, *run);
  co_return co_await run->join();
}

inline asio::awaitable<ContextSnapshot> preserveIn(PreserverStatePtr state, std::string contextId,
                                                   nlohmann::json data, NameList names,
                                                   PreserveOptions options) {
  requireContextId(contextId);
  const auto transaction = std::make_shared<Transaction>(state->environment);
  transaction->options = options;
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

inline asio::awaitable<bool> forgetIn(PreserverStatePtr state, std::string contextId,
                                      PreserveOptions options) {
  requireContextId(contextId);
  const auto transaction = std::make_shared<Transaction>(state->environment);
  transaction->options = options;
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
inline asio::awaitable<void> AtomicContextPreserver::removeParticipant(std::string name) {
  return detail::removeParticipantFrom(state_, std::move(name));
}
inline asio::awaitable<void> AtomicContextPreserver::start() { return detail::startIn(state_); }
inline asio::awaitable<void> AtomicContextPreserver::stop() { return detail::stopIn(state_); }

inline asio::awaitable<ContextSnapshot> AtomicContextPreserver::preserveContext(std::string contextId,
                                                                                nlohmann::json data,
                                                                                NameList participants,
                                                                                PreserveOptions options) {
  return detail::preserveIn(state_, std::move(contextId), std::move(data), std::move(participants), options);
}
inline asio::awaitable<std::optional<ContextSnapshot>> AtomicContextPreserver::restoreContext(
    std::string contextId) {
  return detail::restoreIn(state_, std::move(contextId));
}
inline asio::awaitable<bool> AtomicContextPreserver::forget(std::string contextId, PreserveOptions options) {
  return detail::forgetIn(state_, std::move(contextId), options);
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
