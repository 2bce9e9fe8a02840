// AtomicContextPreserver: its calls. What they set in motion is in detail/.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/core/codec.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/preserve/detail/adopt_coordinator.hpp"
#include "lukhas/preserve/detail/background.hpp"
#include "lukhas/preserve/detail/begin_call.hpp"
#include "lukhas/preserve/detail/preserver_life.hpp"
#include "lukhas/preserve/detail/remove_participant.hpp"

namespace lukhas {

namespace detail {

[[nodiscard]] inline ContextSnapshot snapshotOf(const Transaction& transaction, nlohmann::json data,
                                                TransactionOutcome outcome) {
  ContextSnapshot snapshot;
  snapshot.contextId = transaction.context.contextId;
  snapshot.transactionId = transaction.context.transactionId;
  snapshot.version = outcome.version;
  snapshot.data = std::move(data);
  snapshot.participants = std::move(outcome.participants);
  snapshot.pending = std::move(outcome.pending);
  snapshot.checksum = transaction.context.payloadHash;
  return snapshot;
}

inline asio::awaitable<ContextSnapshot> preserveIn(PreserverStatePtr state, std::string contextId,
                                                   nlohmann::json data, NameList names,
                                                   PreserveOptions options) {
  const TransactionPtr transaction =
      makeTransaction(*state, beginCall(*state, options.until), contextId, data, names);
  transaction->expectedVersion = options.expectedVersion;
  TransactionGroup group(1, transaction);
  TransactionRun::Outcomes outcomes = co_await transact(state, std::move(group));
  co_return snapshotOf(*transaction, std::move(data), std::move(outcomes.front()));
}

inline asio::awaitable<std::vector<ContextSnapshot>> preserveManyIn(PreserverStatePtr state,
                                                                    std::vector<ContextChange> changes,
                                                                    PreserveUntil until) {
  checkChanges(*state, changes);
  std::vector<ContextSnapshot> snapshots;
  if (changes.empty()) co_return snapshots;
  const std::shared_ptr<TransactionCall> call = beginCall(*state, until);
  TransactionGroup group;
  for (const ContextChange& change : changes) {
    group.push_back(makeTransaction(*state, call, change.contextId(), change.data(), change.participants()));
    group.back()->expectedVersion = change.expectedVersion();
  }
  if (const std::size_t maximum = state->options.maxQueuedBytes; bytesOf(group) > maximum) {
    nlohmann::json details{{"size", bytesOf(group)}, {"maximum", maximum}};
    throw Error(PreserveErrc::context_too_large,
                fmt::format("the contexts of one call have {} bytes as JSON; allowed is up to {}",
                            bytesOf(group), maximum),
                std::move(details));
  }
  TransactionRun::Outcomes outcomes = co_await transact(state, group);
  for (std::size_t i = 0; i < group.size(); ++i) {
    snapshots.push_back(snapshotOf(*group[i], std::move(changes[i]).data(), std::move(outcomes[i])));
  }
  co_return snapshots;
}

inline asio::awaitable<bool> forgetIn(PreserverStatePtr state, std::string contextId,
                                      PreserveOptions options) {
  requireContextId(contextId);
  const auto transaction = std::make_shared<Transaction>(beginCall(*state, options.until));
  transaction->expectedVersion = options.expectedVersion;
  transaction->context.contextId = std::move(contextId);
  transaction->context.forgets = true;
  transaction->context.payloadHash = hash64({});
  TransactionGroup group(1, transaction);
  const TransactionRun::Outcomes outcomes = co_await transact(state, std::move(group));
  co_return outcomes.front().version > 0;
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
  const ContextReading reading = co_await readContext(state, contextId);
  const std::vector<const StoredContext*> states = certainStates(*state, reading);
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
  std::size_t contexts = 0;
  {
    const std::lock_guard lock(state->mutex);
    requireAccepting(*state);
    contexts = state->history.contexts();
  }
  retryRefused(*state);
  RecoveryReport report = co_await recoverOnce(state);
  co_await compareCopies(state, contexts, report);
  co_return report;
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
  for (const detail::TransactionPtr& transaction : live) transaction->call->progress.resumeAll();
  detail::admitWaiting(*state_);
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
inline asio::awaitable<std::vector<ContextSnapshot>> AtomicContextPreserver::preserveMany(
    std::vector<ContextChange> changes, PreserveUntil until) {
  return detail::preserveManyIn(state_, std::move(changes), until);
}
inline asio::awaitable<RecoveryReport> AtomicContextPreserver::recover() { return detail::recoverIn(state_); }
inline asio::awaitable<RecoveryReport> AtomicContextPreserver::adopt(std::string coordinatorId) {
  return detail::adoptIn(state_, std::move(coordinatorId));
}

inline std::vector<HistoryEntry> AtomicContextPreserver::history(const std::string& contextId) const {
  const std::lock_guard lock(state_->mutex);
  return state_->history.of(contextId);
}

inline void AtomicContextPreserver::exportHistory(const std::function<void(std::string_view)>& line) const {
  std::vector<HistoryEntry> entries;
  {
    const std::lock_guard lock(state_->mutex);
    entries = state_->history.all();
  }
  for (const HistoryEntry& entry : entries) line(entry.toJson().dump());
}

inline std::vector<OrphanedContext> AtomicContextPreserver::listOrphans() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<OrphanedContext> list;
  for (const auto& [context, orphan] : state_->orphans) list.push_back(orphan);
  return list;
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
  for (const auto& [context, orphan] : state_->orphans) contexts.insert(context);
  PreserverMetrics metrics = state_->counters;
  state_->times.writeTo(metrics);
  metrics.waitingCalls = state_->waiting.size();
  metrics.queuedBytes = state_->liveBytes;
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
  if (const std::size_t count = state_->orphans.size(); count > 0) {
    report.report("orphaned_contexts",
                  fmt::format("{} contexts are not held any more by a participant that held them", count),
                  static_cast<double>(count), 0);
  }
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
