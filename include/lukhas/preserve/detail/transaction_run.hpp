// One transaction from its place in the context's queue to its end: the doing to CoordinatorMachine's
// deciding.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/backoff.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/read_copies.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"
#include "lukhas/preserve/detail/transaction_failure.hpp"
#include "lukhas/preserve/detail/write_decision.hpp"

namespace lukhas::detail {

// How a transaction ended that was not aborted.
struct TransactionOutcome {
  std::uint64_t version = 0;  // 0: there was nothing to forget
  std::vector<std::string> participants;
  std::vector<std::string> pending;
};

// Ends the transaction's time in the queue and among the live, however it leaves its coroutine.
class EndOfTransaction {
 public:
  EndOfTransaction(PreserverStatePtr state, TransactionPtr transaction)
      : state_(std::move(state)), transaction_(std::move(transaction)) {}
  EndOfTransaction(const EndOfTransaction&) = delete;
  EndOfTransaction& operator=(const EndOfTransaction&) = delete;

  ~EndOfTransaction() {
    TransactionPtr before;
    TransactionPtr after;
    {
      const std::lock_guard lock(state_->mutex);
      before = std::exchange(transaction_->predecessor, nullptr);
      after = transaction_->successor.lock();
      if (before) before->successor = after;
      if (after) after->predecessor = before;
      const auto newest = state_->newest.find(transaction_->context.contextId);
      if (newest != state_->newest.end() && newest->second == transaction_) {
        if (before) {
          newest->second = before;
        } else {
          state_->newest.erase(newest);
        }
      }
      state_->live.erase(transaction_->context.transactionId);
    }
    if (after && !before) after->progress.resumeAll();
    state_->idle.resumeAll();
  }

 private:
  PreserverStatePtr state_;
  TransactionPtr transaction_;
};

class TransactionRun {
 public:
  TransactionRun(PreserverStatePtr state, TransactionPtr transaction, std::shared_ptr<EndOfTransaction> end)
      : state_(std::move(state)),
        transaction_(std::move(transaction)),
        end_(std::move(end)),
        begun_(state_->environment.now()) {}

  // To the end, whatever becomes of the caller. Throws PreserveErrc::aborted or outcome_unknown.
  [[nodiscard]] static asio::awaitable<TransactionOutcome> run(PreserverStatePtr state,
                                                               TransactionPtr transaction) {
    auto end = std::make_shared<EndOfTransaction>(state, transaction);
    TransactionRun self(state, transaction, end);
    std::optional<Refusal> refusal = co_await self.waitForTurn();
    if (!refusal) refusal = co_await self.findVersion();
    if (!refusal && transaction->participants.empty()) co_return TransactionOutcome{};
    if (!refusal) {
      refusal = co_await self.askAll();
      if (!refusal) refusal = co_await self.decide();
      if (refusal) co_await self.tellAllToAbort();
    }
    if (refusal) self.fail(*refusal);
    if (transaction->options.until == PreserveUntil::applied) co_return co_await self.tellAllToCommit();
    TransactionOutcome outcome = self.decidedOutcome();
    ChildTask<TransactionOutcome> rest(state->environment, tellBehind(std::move(self)));
    rest.detach();
    co_return outcome;
  }

 private:
  [[nodiscard]] const StoredContext& context() const noexcept { return transaction_->context; }
  // Before the decision this means abort.
  [[nodiscard]] bool isGivenUp() const {
    if (transaction_->callerLeft) return true;
    const std::lock_guard lock(state_->mutex);
    return state_->abandoned;
  }

  [[nodiscard]] asio::awaitable<std::optional<Refusal>> waitForTurn() {
    const TimePoint deadline = state_->environment.after(state_->options.queueTimeout);
    const auto isReady = [this] {
      if (isGivenUp()) return true;
      const std::lock_guard lock(state_->mutex);
      return transaction_->predecessor == nullptr;
    };
    while (!isReady()) {
      const WaitResult result = co_await transaction_->progress.waitUntil(deadline, isReady);
      if (result == WaitResult::timed_out) {
        co_return Refusal{{}, "an earlier transaction of the context did not end in time"};
      }
    }
    if (isGivenUp()) co_return Refusal{{}, "the caller left"};
    co_return std::nullopt;
  }

  // The rest of a transaction whose caller has gone on. It keeps its place in the queue.
  [[nodiscard]] static asio::awaitable<TransactionOutcome> tellBehind(TransactionRun self) {
    co_return co_await self.tellAllToCommit();
  }
  [[nodiscard]] TransactionOutcome decidedOutcome() const {
    TransactionOutcome outcome;
    outcome.version = context().version;
    outcome.participants = context().participants.names();
    outcome.pending = outcome.participants;
    return outcome;
  }

  // The version is one more than the newest that any participant holds for certain. What is left of earlier
  // transactions of the context is settled on the way, as no participant takes a second intent.
  [[nodiscard]] asio::awaitable<std::optional<Refusal>> findVersion() {
    CopiesByParticipant copies;
    try {
      copies = co_await readCopies(state_, context().contextId);
    } catch (const Error& error) {
      co_return Refusal{error.details().value("participant", ""), error.what()};
    }
    // Before anything is settled: what ends a decision also forgets that it was one.
    const std::vector<const StoredContext*> states = certainStates(*state_, copies);
    std::vector<ParticipantPtr> holders;
    for (const auto& [participant, copy] : copies) {
      bool holds = copy.committed.has_value();
      if (copy.intent) {
        const TransactionRef intent(*copy.intent);
        const IntentWorth worth = worthOf(intent);
        std::optional<Refusal> refusal = co_await settle(participant, intent, worth);
        if (refusal) co_return refusal;
        if (worth == IntentWorth::decided) holds = !intent.forgets;
        if (worth == IntentWorth::in_other_hands) holds = true;
      }
      if (holds) holders.push_back(participant);
    }
    const std::uint64_t newest = newestVersion(states);
    StoredContext& mine = transaction_->context;
    mine.version = newest + 1;
    if (const std::optional<std::uint64_t> expected = transaction_->options.expectedVersion) {
      const std::uint64_t present = existingVersion(states);
      if (present != *expected) {
        co_return Refusal{{}, fmt::format("version {} was expected, it is {}", *expected, present), present};
      }
    }
    if (mine.forgets) {
      for (const StoredContext* stored : states) {
        for (const std::string& name : stored->participants) {
          if (!state_->find(name)) co_return Refusal{name, "it has the context and is not registered"};
        }
      }
      const std::lock_guard lock(state_->mutex);
      transaction_->participants = std::move(holders);
    }
    std::vector<std::string> names;
    for (const ParticipantPtr& participant : transaction_->participants) names.push_back(participant->name());
    mine.participants = NameList(std::move(names));
    co_return std::nullopt;
  }

  // What an intent that was found at a participant means for this coordinator.
  enum class IntentWorth {
    decided,         // to be committed
    undecided,       // to be aborted
    in_other_hands,  // not to be touched
  };
  [[nodiscard]] IntentWorth worthOf(const TransactionRef& intent) const {
    const std::lock_guard lock(state_->mutex);
    if (!state_->isOwn(intent.transactionId) || state_->isInOtherHands(intent.transactionId)) {
      return IntentWorth::in_other_hands;
    }
    return state_->isDecided(intent) ? IntentWorth::decided : IntentWorth::undecided;
  }

  [[nodiscard]] asio::awaitable<std::optional<Refusal>> settle(ParticipantPtr participant,
                                                               TransactionRef intent, IntentWorth worth) {
    if (worth == IntentWorth::in_other_hands) co_return std::nullopt;  // it will refuse, and name it
    const Duration limit = state_->options.prepareTimeout;
    Told told;
    if (worth == IntentWorth::decided) {
      told = co_await tellCommit(state_, participant, intent, limit);
    } else {
      told = co_await tellAbort(state_, participant, intent, limit);
    }
    if (told.result != Told::Result::done) co_return Refusal{participant->name(), told.cause};
    if (worth == IntentWorth::decided) state_->markDone(intent.transactionId, participant->name());
    co_return std::nullopt;
  }

  [[nodiscard]] asio::awaitable<std::optional<Refusal>> askAll() {
    const std::vector<ParticipantPtr>& participants = transaction_->participants;
    {
      const std::lock_guard lock(state_->mutex);
      transaction_->machine.emplace(participants.size());
      (void)transaction_->machine->begin();
    }
    const TimePoint deadline = state_->environment.after(state_->options.prepareTimeout);
    std::vector<ChildTask<void>> votes;
    votes.reserve(participants.size());
    for (std::size_t i = 0; i < participants.size(); ++i) {
      votes.emplace_back(state_->environment, askOne(state_, transaction_, i));
    }
    const auto isOver = [this] {
      if (isGivenUp()) return true;
      const std::lock_guard lock(state_->mutex);
      return transaction_->machine->state() != TransactionState::preparing;
    };
    while (!isOver()) {
      const WaitResult result = co_await transaction_->progress.waitUntil(deadline, isOver);
      if (result == WaitResult::timed_out) break;
    }
    const bool givenUp = isGivenUp();
    const std::lock_guard lock(state_->mutex);
    CoordinatorMachine& machine = *transaction_->machine;
    if (machine.state() == TransactionState::prepared && !givenUp) co_return std::nullopt;
    Refusal refusal{transaction_->refusedBy, transaction_->cause};
    if (machine.state() == TransactionState::preparing || machine.state() == TransactionState::prepared) {
      refusal = givenUp ? Refusal{{}, "the caller left"} : Refusal{firstSilent(machine), "no answer in time"};
    }
    silent_ = silentOnes(machine);
    (void)machine.giveUp();
    co_return refusal;
  }

  [[nodiscard]] static asio::awaitable<void> askOne(PreserverStatePtr state, TransactionPtr transaction,
                                                    std::size_t index) {
    const ParticipantPtr participant = transaction->participants[index];
    std::string cause;
    try {
      StoredContext copy = transaction->context;
      co_await participant->prepare(std::move(copy));
    } catch (...) {
      cause = causeOf(std::current_exception());
      if (cause.empty()) cause = "it gave no reason";
    }
    {
      const std::lock_guard lock(state->mutex);
      CoordinatorMachine& machine = *transaction->machine;
      if (cause.empty()) {
        (void)machine.yes(index);
      } else if (machine.state() == TransactionState::preparing) {
        transaction->refusedBy = participant->name();
        transaction->cause = cause;
        (void)machine.no(index);
      }
    }
    transaction->progress.resumeAll();
  }

  [[nodiscard]] std::string firstSilent(const CoordinatorMachine& machine) const {
    for (std::size_t i = 0; i < transaction_->participants.size(); ++i) {
      if (!machine.answered(i)) return transaction_->participants[i]->name();
    }
    return {};
  }
  // With the mutex held, before the machine leaves PREPARING.
  [[nodiscard]] std::vector<bool> silentOnes(const CoordinatorMachine& machine) const {
    std::vector<bool> silent(transaction_->participants.size(), false);
    if (machine.state() != TransactionState::preparing) return silent;
    for (std::size_t i = 0; i < silent.size(); ++i) silent[i] = !machine.answered(i);
    return silent;
  }

  // Writes the record that is the decision. A refusal means that it is certainly not in the log. A log that
  // takes longer than a call may last goes on alone: what becomes of it then is finished behind the caller's
  // back, and until then the transaction keeps its place in the queue.
  [[nodiscard]] asio::awaitable<std::optional<Refusal>> decide() {
    state_->onPrepared.emit({context().transactionId, context().contextId});
    ChildTask<RecordedDecision> record(state_->environment, writeDecision(state_, transaction_));
    const TimePoint deadline = state_->environment.after(state_->options.commitTimeout);
    std::optional<RecordedDecision> recorded = co_await record.joinUntil(deadline);
    if (!recorded) {
      {
        const std::lock_guard lock(state_->mutex);
        ++state_->lateDecisions;
        ++state_->counters.failedTransactions;
      }
      ChildTask<void> late(state_->environment, finishLate(state_, transaction_, end_, std::move(record)));
      late.detach();
      throwUnknown(context(), "the transaction log did not take the decision in time");
    }
    if (recorded->isUnknown) {
      {
        const std::lock_guard lock(state_->mutex);
        ++state_->counters.failedTransactions;
      }
      throwUnknown(context(), recorded->failure);
    }
    if (recorded->failure.empty()) co_return std::nullopt;
    co_return Refusal{{}, "the transaction log: " + recorded->failure};
  }

  // The rest of a transaction whose caller was told that the outcome is unknown.
  [[nodiscard]] static asio::awaitable<void> finishLate(PreserverStatePtr state, TransactionPtr transaction,
                                                        std::shared_ptr<EndOfTransaction> end,
                                                        ChildTask<RecordedDecision> record) {
    const RecordedDecision recorded = co_await record.join();
    {
      const std::lock_guard lock(state->mutex);
      --state->lateDecisions;
    }
    const TransactionRef reference(transaction->context);
    if (recorded.failure.empty()) {
      for (const ParticipantPtr& participant : transaction->participants) {
        state->handOver(reference, participant->name());
      }
    }
    end.reset();  // an intent without a decision is now recovery's
  }

  // Tells all in parallel, as often and as long as the options say; the background work goes on with the
  // rest.
  [[nodiscard]] asio::awaitable<TransactionOutcome> tellAllToCommit() {
    const TransactionRef decided(context());
    const TimePoint deadline = state_->environment.after(state_->options.commitTimeout);
    std::vector<ChildTask<void>> tells;
    tells.reserve(transaction_->participants.size());
    for (std::size_t i = 0; i < transaction_->participants.size(); ++i) {
      tells.emplace_back(state_->environment, tellUntil(state_, transaction_, i, deadline));
    }
    for (ChildTask<void>& tell : tells) co_await awaitQuietly(tell, deadline);

    TransactionOutcome outcome;
    outcome.version = decided.version;
    outcome.participants = context().participants.names();
    std::vector<std::string> handedOver;
    std::optional<InDoubtTransaction> doubt;
    {
      const std::lock_guard lock(state_->mutex);
      if (const OpenDecision* const open = state_->decided.find(decided.transactionId)) {
        for (const std::string& name : open->remaining) {
          outcome.pending.push_back(name);
          if (!open->refusals.contains(name)) handedOver.push_back(name);
        }
        doubt = PreserverState::describe(*open);
      }
      state_->latency.record(state_->environment.now() - begun_);
    }
    for (const std::string& name : handedOver) state_->handOver(decided, name);
    if (!handedOver.empty()) state_->onInDoubt.emit(*doubt);
    state_->onCommitted.emit({decided.transactionId, decided.contextId, decided.version, outcome.pending});
    co_return outcome;
  }

  [[nodiscard]] static asio::awaitable<void> tellUntil(PreserverStatePtr state, TransactionPtr transaction,
                                                       std::size_t index, TimePoint deadline) {
    const ParticipantPtr participant = transaction->participants[index];
    const TransactionRef decided(transaction->context);
    const Environment& environment = state->environment;
    const Backoff backoff{std::chrono::milliseconds(50), state->options.longestRetryPause};
    for (unsigned attempt = 0; attempt < state->options.commitAttempts; ++attempt) {
      if (attempt > 0) co_await environment.sleepFor(backoff.wait(attempt - 1, environment.random()));
      const Duration left = deadline - environment.now();
      if (left <= Duration::zero()) co_return;
      const Told told = co_await tellCommit(state, participant, decided, left);
      if (told.result == Told::Result::done) {
        state->markDone(decided.transactionId, participant->name());
        noteDone(*state, *transaction, index);
      }
      if (told.result == Told::Result::refused) {
        state->markRefused(decided.transactionId, participant->name(), told.cause);
      }
      if (told.result != Told::Result::unavailable) co_return;
    }
  }

  [[nodiscard]] static asio::awaitable<void> tellOnce(PreserverStatePtr state, TransactionPtr transaction,
                                                      std::size_t index) {
    const ParticipantPtr participant = transaction->participants[index];
    const TransactionRef aborted(transaction->context);
    const Duration limit = state->options.prepareTimeout;
    const Told told = co_await tellAbort(state, participant, aborted, limit);
    if (told.result == Told::Result::done) noteDone(*state, *transaction, index);
  }

  static void noteDone(PreserverState& state, Transaction& transaction, std::size_t index) {
    const std::lock_guard lock(state.mutex);
    (void)transaction.machine->done(index);
  }

  // The outcome of the transaction stands: no failure on the way of telling it may change the answer.
  [[nodiscard]] static asio::awaitable<void> awaitQuietly(ChildTask<void>& tell, TimePoint deadline) {
    try {
      (void)co_await tell.joinUntil(deadline);
    } catch (const std::exception&) {
      // who is not known to have done it stays in the books, for the background work
    }
  }

  // Waits for those that are known to answer. The others are told too, but nobody waits for them; what they
  // still hold afterwards, recovery finds.
  [[nodiscard]] asio::awaitable<void> tellAllToAbort() {
    const TimePoint deadline = state_->environment.after(state_->options.prepareTimeout);
    std::vector<ChildTask<void>> tells;
    for (std::size_t i = 0; i < transaction_->participants.size(); ++i) {
      ChildTask<void> tell(state_->environment, tellOnce(state_, transaction_, i));
      if (silent_.size() > i && silent_[i]) {
        tell.detach();
      } else {
        tells.push_back(std::move(tell));
      }
    }
    for (ChildTask<void>& tell : tells) co_await awaitQuietly(tell, deadline);
  }

  [[noreturn]] void fail(const Refusal& refusal) {
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->counters.failedTransactions;
      ++state_->counters.rolledBack;
    }
    state_->onRollback.emit({context().transactionId, context().contextId, refusal.inWords()});
    if (refusal.version) {
      throwVersionConflict(context().contextId, *transaction_->options.expectedVersion, *refusal.version);
    }
    throwAborted(context(), refusal);
  }

  PreserverStatePtr state_;
  TransactionPtr transaction_;
  std::shared_ptr<EndOfTransaction> end_;
  TimePoint begun_;
  std::vector<bool> silent_;  // by participant: it had not answered when the voting ended
};

}  // namespace lukhas::detail
