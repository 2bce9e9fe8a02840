// Transaction: what the preserver knows of one call while it runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lukhas/async/wait_list.hpp"
#include "lukhas/preserve/coordinator_machine.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/preserve_options.hpp"

namespace lukhas::detail {

using ParticipantPtr = std::shared_ptr<Participant>;

// What the transactions of one call share.
struct TransactionCall {
  explicit TransactionCall(const Environment& environment) : progress(environment) {}

  PreserveUntil until = PreserveUntil::applied;
  TimePoint begun{};
  TimePoint turnBy{};                    // the end of the time in queues
  std::atomic<bool> callerLeft = false;  // before the decision this means abort; after it, nothing
  WaitList progress;                     // it is its turn, a vote came, or it is given up
};

// One context that is preserved or forgotten, from its place in the context's queue to its end.
struct Transaction {
  explicit Transaction(std::shared_ptr<TransactionCall> of) : call(std::move(of)) {}

  const std::shared_ptr<TransactionCall> call;
  std::optional<std::uint64_t> expectedVersion;
  StoredContext context;                     // final once the voting begins
  std::vector<ParticipantPtr> participants;  // final once the voting begins; a forget finds them out

  // Guarded by the state's mutex. The queue of a context: whoever leaves it joins its neighbours, so that
  // nobody overtakes one that still runs.
  std::shared_ptr<Transaction> predecessor;  // null: it is its turn
  std::weak_ptr<Transaction> successor;
  std::optional<CoordinatorMachine> machine;
  std::vector<Duration> votes;  // by participant: how long it took to say yes
  std::vector<bool> silent;     // by participant: it had not answered when the voting ended
  std::string refusedBy;        // the participant whose "no" it was
  std::string cause;
};
using TransactionPtr = std::shared_ptr<Transaction>;
// The transactions of one call: decided together.
using TransactionGroup = std::vector<TransactionPtr>;

// How a transaction ended that was not aborted.
struct TransactionOutcome {
  std::uint64_t version = 0;  // 0: there was nothing to forget
  std::vector<std::string> participants;
  std::vector<std::string> pending;
};

}  // namespace lukhas::detail
