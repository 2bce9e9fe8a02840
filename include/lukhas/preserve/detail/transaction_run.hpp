// The transactions of one call, from their places in the contexts' queues to their end: the doing to
// CoordinatorMachine's deciding.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/preserve/detail/admission.hpp"
#include "lukhas/preserve/detail/apply_decision.hpp"
#include "lukhas/preserve/detail/ask_participants.hpp"
#include "lukhas/preserve/detail/find_version.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/transaction_failure.hpp"
#include "lukhas/preserve/detail/write_decision.hpp"

namespace lukhas::detail {

class TransactionRun {
 public:
  using Outcomes = std::vector<TransactionOutcome>;

  TransactionRun(PreserverStatePtr state, TransactionGroup group)
      : state_(std::move(state)),
        group_(std::move(group)),
        call_(group_.front()->call),
        end_(std::make_shared<EndOfTransactions>(state_, group_)) {}

  // To the end, whatever becomes of the caller. Throws PreserveErrc::aborted or outcome_unknown.
  [[nodiscard]] static asio::awaitable<Outcomes> run(PreserverStatePtr state, TransactionGroup group) {
    TransactionRun self(state, group);
    std::optional<Refusal> refusal = co_await self.waitForTurns();
    if (!refusal) refusal = co_await self.findVersions();
    if (!refusal && self.hasNothingToDo()) co_return Outcomes(1);
    if (!refusal) refusal = co_await askAll(state, group);
    if (!refusal) refusal = co_await self.decide();
    if (refusal) {
      co_await tellAllToAbort(state, group);
      self.fail(*refusal);
    }
    if (self.call_->until == PreserveUntil::applied) co_return co_await tellAllToCommit(state, group);
    Outcomes outcomes = self.decidedOutcomes();
    ChildTask<Outcomes> rest(state->environment, tellBehind(std::move(self)));
    rest.detach();
    co_return outcomes;
  }

 private:
  [[nodiscard]] asio::awaitable<std::optional<Refusal>> waitForTurns() {
    const auto isReady = [this] {
      if (isGivenUp(*state_, *call_)) return true;
      const std::lock_guard lock(state_->mutex);
      for (const TransactionPtr& transaction : group_) {
        if (transaction->predecessor) return false;
      }
      return true;
    };
    while (!isReady()) {
      const WaitResult result = co_await call_->progress.waitUntil(call_->turnBy, isReady);
      if (result == WaitResult::timed_out) {
        co_return Refusal{{}, "an earlier transaction of the context did not end in time"};
      }
    }
    if (isGivenUp(*state_, *call_)) co_return Refusal{{}, "the caller left"};
    const std::lock_guard lock(state_->mutex);
    state_->times.queue.record(state_->environment.now() - call_->begun);
    co_return std::nullopt;
  }

  [[nodiscard]] asio::awaitable<std::optional<Refusal>> findVersions() {
    const TimePoint begun = state_->environment.now();
    std::optional<Refusal> refusal;
    if (group_.size() == 1) {
      refusal = co_await findVersion(state_, group_.front());
    } else {
      refusal = co_await findSeveralVersions();
    }
    const std::lock_guard lock(state_->mutex);
    state_->times.read.record(state_->environment.now() - begun);
    co_return refusal;
  }
  // All are awaited, so that none is left that still settles something.
  [[nodiscard]] asio::awaitable<std::optional<Refusal>> findSeveralVersions() {
    std::vector<ChildTask<std::optional<Refusal>>> searches;
    searches.reserve(group_.size());
    for (const TransactionPtr& transaction : group_) {
      searches.emplace_back(state_->environment, findVersion(state_, transaction));
    }
    std::optional<Refusal> first;
    for (std::size_t i = 0; i < searches.size(); ++i) {
      std::optional<Refusal> refusal = co_await searches[i].join();
      if (refusal && !first) {
        first = std::move(refusal);
        first->of = group_[i];
      }
    }
    co_return first;
  }
  // A forget that found nobody who holds the context.
  [[nodiscard]] bool hasNothingToDo() const { return group_.front()->participants.empty(); }

  // The rest of transactions whose caller has gone on. They keep their places in the queues.
  [[nodiscard]] static asio::awaitable<Outcomes> tellBehind(TransactionRun self) {
    co_return co_await tellAllToCommit(self.state_, self.group_);
  }
  [[nodiscard]] Outcomes decidedOutcomes() const {
    Outcomes outcomes;
    for (const TransactionPtr& transaction : group_) {
      TransactionOutcome& outcome = outcomes.emplace_back();
      outcome.version = transaction->context.version;
      outcome.participants = transaction->context.participants.names();
      outcome.pending = outcome.participants;
    }
    return outcomes;
  }

  // Writes the record that is the decision. A refusal means that it is certainly not in the log. A log that
  // takes longer than a call may last goes on alone: what becomes of it then is finished behind the caller's
  // back, and until then the transactions keep their places in the queues.
  [[nodiscard]] asio::awaitable<std::optional<Refusal>> decide() {
    const TimePoint begun = state_->environment.now();
    for (const TransactionPtr& transaction : group_) {
      state_->onPrepared.emit({transaction->context.transactionId, transaction->context.contextId});
    }
    ChildTask<RecordedDecision> record(state_->environment, writeDecision(state_, group_));
    const TimePoint deadline = state_->environment.after(state_->options.commitTimeout);
    std::optional<RecordedDecision> recorded = co_await record.joinUntil(deadline);
    if (!recorded) {
      {
        const std::lock_guard lock(state_->mutex);
        ++state_->lateDecisions;
        state_->counters.failedTransactions += group_.size();
      }
      ChildTask<void> late(state_->environment, finishLate(state_, group_, end_, std::move(record)));
      late.detach();
      throwUnknown(group_, "the transaction log did not take the decision in time");
    }
    {
      const std::lock_guard lock(state_->mutex);
      if (recorded->isUnknown) state_->counters.failedTransactions += group_.size();
      state_->times.decide.record(state_->environment.now() - begun);
    }
    if (recorded->isUnknown) throwUnknown(group_, recorded->failure);
    if (recorded->failure.empty()) co_return std::nullopt;
    co_return Refusal{{}, "the transaction log: " + recorded->failure};
  }

  // The rest of transactions whose caller was told that the outcome is unknown.
  [[nodiscard]] static asio::awaitable<void> finishLate(PreserverStatePtr state, TransactionGroup group,
                                                        std::shared_ptr<EndOfTransactions> end,
                                                        ChildTask<RecordedDecision> record) {
    const RecordedDecision recorded = co_await record.join();
    {
      const std::lock_guard lock(state->mutex);
      --state->lateDecisions;
    }
    if (recorded.failure.empty()) {
      for (const TransactionPtr& transaction : group) {
        const TransactionRef reference(transaction->context);
        for (const ParticipantPtr& participant : transaction->participants) {
          state->handOver(reference, participant->name());
        }
      }
    }
    end.reset();  // an intent without a decision is now recovery's
  }

  [[noreturn]] void fail(const Refusal& refusal) {
    {
      const std::lock_guard lock(state_->mutex);
      state_->counters.failedTransactions += group_.size();
      state_->counters.rolledBack += group_.size();
    }
    for (const TransactionPtr& transaction : group_) {
      const StoredContext& context = transaction->context;
      state_->onRollback.emit({context.transactionId, context.contextId, refusal.inWords()});
    }
    const Transaction& guilty = refusal.of ? *refusal.of : *group_.front();
    if (refusal.version) {
      throwVersionConflict(guilty.context.contextId, *guilty.expectedVersion, *refusal.version);
    }
    throwAborted(guilty.context, refusal);
  }

  PreserverStatePtr state_;
  TransactionGroup group_;
  std::shared_ptr<TransactionCall> call_;
  std::shared_ptr<EndOfTransactions> end_;
};

}  // namespace lukhas::detail
