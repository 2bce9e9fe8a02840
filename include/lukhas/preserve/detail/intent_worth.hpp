// What an intent that was found at a participant means for this coordinator.
#pragma once

#include <algorithm>
#include <mutex>
#include <string>
#include <vector>

#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/read_copies.hpp"

namespace lukhas::detail {

enum class IntentWorth {
  decided,         // to be committed
  undecided,       // to be aborted
  in_other_hands,  // not to be touched
};

// Of an own one, or of nobody's that this coordinator decides for. With the mutex held.
[[nodiscard]] inline IntentWorth worthOfOwn(const PreserverState& state, const TransactionRef& intent,
                                            bool isDecided) {
  if (!state.isOwn(intent.transactionId) || state.isInOtherHands(intent.transactionId)) {
    return IntentWorth::in_other_hands;
  }
  return isDecided ? IntentWorth::decided : IntentWorth::undecided;
}

// Whether that participant has applied the transaction. A forget is asked of those alone that hold the
// context: one that has neither a copy nor the intent has done it.
[[nodiscard]] inline bool hasApplied(const ContextCopies& copy, const StoredContext& intent, bool isNamed) {
  if (copy.committed) return copy.committed->transactionId == intent.transactionId;
  const bool holdsIntent = copy.intent && copy.intent->transactionId == intent.transactionId;
  return intent.forgets && isNamed && !holdsIntent;
}

// Of a lost coordinator's, whose log nobody can read. A participant that has applied the transaction proves
// that it was decided; when all that take part can be asked and none of them has, nobody was ever told, and
// it may be aborted. (With a copy of a later version the transaction changes nothing for a reader any more.)
// With the mutex held.
[[nodiscard]] inline IntentWorth worthOfAdopted(const PreserverState& state, const StoredContext& intent,
                                                const CopiesByParticipant& copies) {
  const std::vector<std::string>& named = intent.participants.names();
  for (const auto& [participant, copy] : copies) {
    const bool isNamed = std::find(named.begin(), named.end(), participant->name()) != named.end();
    if (hasApplied(copy, intent, isNamed)) return IntentWorth::decided;
  }
  for (const std::string& name : named) {
    if (!state.participants.contains(name)) return IntentWorth::in_other_hands;
  }
  return IntentWorth::undecided;
}

// `reading` is that of the intent's context.
[[nodiscard]] inline IntentWorth worthOf(const PreserverState& state, const StoredContext& intent,
                                         const ContextReading& reading) {
  const std::lock_guard lock(state.mutex);
  if (state.isAdopted(intent.transactionId)) return worthOfAdopted(state, intent, reading.copies);
  const TransactionRef reference(intent);
  return worthOfOwn(state, reference, reading.isDecided(state, reference));
}

}  // namespace lukhas::detail
