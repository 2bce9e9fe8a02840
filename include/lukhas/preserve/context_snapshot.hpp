// What the preserver gives: snapshots, what is in doubt, the history of decisions, and its events.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/async/world.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/core/rfc3339.hpp"

namespace lukhas {

// One committed state of a context.
struct ContextSnapshot {
  std::string contextId;
  std::string transactionId;  // that committed it
  std::uint64_t version = 0;  // of this context: 1 for the first, one more with each commit
  nlohmann::json data;
  std::vector<std::string> participants;  // that hold it, or will: see pending
  std::vector<std::string>
      pending;  // of these, the ones that are still being told to commit; empty in restored snapshots
  std::uint64_t checksum = 0;  // XXH3-64 of the encoded data
};

// A transaction whose end is still open somewhere.
struct InDoubtTransaction {
  enum class Reason {
    committing,  // decided; the participants named are told until they have done it
    refused,     // decided, but a participant refuses or does not know it: an operator has to look
    undecided,   // prepared, without a decision: it could not be told yet that it is aborted
    foreign,     // belongs to another coordinator or namespace: never touched
  };
  std::string transactionId;
  std::string contextId;
  std::uint64_t version = 0;
  Reason reason = Reason::committing;
  std::string coordinator;                // whose transaction it is; empty when its id does not tell
  std::vector<std::string> participants;  // that are not done
  std::string cause;                      // the last error, if any

  [[nodiscard]] nlohmann::json toJson() const;
};

[[nodiscard]] constexpr const char* toString(InDoubtTransaction::Reason reason) noexcept {
  switch (reason) {
    case InDoubtTransaction::Reason::committing: return "committing";
    case InDoubtTransaction::Reason::refused: return "refused";
    case InDoubtTransaction::Reason::undecided: return "undecided";
    case InDoubtTransaction::Reason::foreign: return "foreign";
  }
  return "?";
}

inline nlohmann::json InDoubtTransaction::toJson() const {
  return {{"transactionId", transactionId},
          {"contextId", cleanText(contextId)},
          {"version", version},
          {"reason", toString(reason)},
          {"coordinator", coordinator},
          {"participants", participants},
          {"cause", cause}};
}

// What one participant answered to a transaction that was committed.
struct ParticipantAnswer {
  std::string participant;
  // From the question to its durable yes; nothing when the log does not tell.
  std::optional<Duration> preparedAfter = std::nullopt;
  // From the decision to its having applied it; nothing while it has not, or when nobody saw the answer.
  std::optional<Duration> appliedAfter = std::nullopt;
};

// One decision about a context, as the log has it.
struct HistoryEntry {
  std::string contextId;
  std::string transactionId;
  // Of the decision: that of its first transaction. Those that preserveMany decided together share it.
  std::string decisionId;
  std::uint64_t version = 0;
  WallTime decidedAt{};
  std::vector<std::string> participants;
  std::vector<ParticipantAnswer> answers;  // one for each of `participants`, in their order
  bool forgets = false;                    // the context was removed

  // {"contextId", "transactionId", "decisionId", "version", "decidedAt" (RFC 3339, UTC), "forgets",
  // "participants": [{"name", "preparedMs", "appliedMs"}]}. What is not known is null.
  [[nodiscard]] nlohmann::json toJson() const;
};

// A context that its participants do not hold alike, although nothing about it is under way: one of them lost
// what it had said to hold.
struct OrphanedContext {
  std::string contextId;
  std::string transactionId;  // of the newest decision
  std::uint64_t version = 0;  // of that decision
  // Participants that do not hold it: but nothing, an older state, or a damaged one.
  std::vector<std::string> missing;

  [[nodiscard]] nlohmann::json toJson() const {
    return {{"contextId", cleanText(contextId)},
            {"transactionId", transactionId},
            {"version", version},
            {"missing", missing}};
  }
};

// What a round of recovery did.
struct RecoveryReport {
  std::uint64_t committed = 0;  // participants' intents that were committed, because the log has the decision
  std::uint64_t aborted = 0;    // participants' intents that were aborted, because it has none
  std::uint64_t left = 0;       // intents that stay: foreign, or their participant did not answer
  std::uint64_t compared = 0;   // contexts whose copies were compared with the newest decision
  std::uint64_t orphaned = 0;   // of these, the ones that some participant does not hold as it should
};

inline nlohmann::json HistoryEntry::toJson() const {
  const auto milliseconds = [](const std::optional<Duration>& time) {
    return time ? nlohmann::json(std::chrono::duration<double, std::milli>(*time).count()) : nlohmann::json();
  };
  nlohmann::json list = nlohmann::json::array();
  for (const ParticipantAnswer& answer : answers) {
    list.push_back({{"name", answer.participant},
                    {"preparedMs", milliseconds(answer.preparedAfter)},
                    {"appliedMs", milliseconds(answer.appliedAfter)}});
  }
  return {{"contextId", cleanText(contextId)}, {"transactionId", transactionId},
          {"decisionId", decisionId},          {"version", version},
          {"decidedAt", toRfc3339(decidedAt)}, {"forgets", forgets},
          {"participants", std::move(list)}};
}

// Events.
struct TransactionPrepared {
  std::string transactionId;
  std::string contextId;
};
struct TransactionCommitted {
  std::string transactionId;
  std::string contextId;
  std::uint64_t version = 0;
  std::vector<std::string> pending;
};
struct TransactionRolledBack {
  std::string transactionId;
  std::string contextId;
  std::string error;
};
struct TransactionRecovered {
  std::string transactionId;
  std::string contextId;
  std::string participant;
  bool committed = false;  // otherwise aborted
};

}  // namespace lukhas
