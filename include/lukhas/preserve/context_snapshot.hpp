// What the preserver gives: snapshots, what is in doubt, the history of decisions, and its events.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/async/world.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/core/quoted_text.hpp"

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
  return {{"transactionId", transactionId}, {"contextId", cleanText(contextId)}, {"version", version},
          {"reason", toString(reason)},     {"participants", participants},      {"cause", cause}};
}

// One decision about a context, as the log has it.
struct HistoryEntry {
  std::string transactionId;
  std::uint64_t version = 0;
  WallTime decidedAt{};
  std::vector<std::string> participants;
  bool forgets = false;  // the context was removed
};

// What a round of recovery did.
struct RecoveryReport {
  std::uint64_t committed = 0;  // participants' intents that were committed, because the log has the decision
  std::uint64_t aborted = 0;    // participants' intents that were aborted, because it has none
  std::uint64_t left = 0;       // intents that stay: foreign, or their participant did not answer
};

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
