// Error codes of the preserver and its participants.
#pragma once

#include "lukhas/core/error.hpp"

namespace lukhas {

enum class PreserveErrc {
  aborted = 1,            // a participant refused, failed or was too late while preparing: nobody holds it.
                          // details: transactionId, participant, cause
  outcome_unknown,        // the decision's own sync failed: the next start decides. details: transactionId
  unknown_participant,    // no participant of that name is registered. details: participant, registered
  duplicate_participant,  // that name is taken. details: participant
  no_participants,        // a transaction needs at least one
  invalid_context_id,     // empty or longer than 256 bytes. details: size, maximum
  context_too_large,      // the encoded context is over maxContextBytes. details: size, maximum
  not_started,            // start() has not completed, or stop() was called
  conflict,  // a participant holds another version, or another transaction's intent, of the context
  refused,   // a participant said no. details: participant, cause
  unknown_transaction,      // a participant knows neither the intent nor the result of a decided transaction
  participant_unavailable,  // a participant cannot be reached or opened now. details: participant, cause
  participant_locked,       // its storage is held by another process. details: participant, path
  // no participant has an undamaged copy of the newest version. details: contextId, participants
  corrupt_snapshot,
  overloaded,  // a bound of the options is reached: see maxConcurrent and those after it. details: maximum
  // the context has not the version that the call expects. details: contextId, expectedVersion, version
  version_conflict,
  participant_in_use,  // it cannot be removed now. details: participant, cause, transactionId
};

constexpr const char* errorCategoryName(PreserveErrc) noexcept { return "lukhas.preserve"; }

constexpr const char* describeError(PreserveErrc code) noexcept {
  switch (code) {
    case PreserveErrc::aborted: return "the transaction was aborted; no participant holds it";
    case PreserveErrc::outcome_unknown:
      return "the decision could not be made durable; the next start decides";
    case PreserveErrc::unknown_participant: return "no participant of that name is registered";
    case PreserveErrc::duplicate_participant: return "a participant of that name is registered already";
    case PreserveErrc::no_participants: return "a transaction needs at least one participant";
    case PreserveErrc::invalid_context_id: return "a context id has 1 to 256 bytes";
    case PreserveErrc::context_too_large: return "the context is over the size limit";
    case PreserveErrc::not_started: return "the preserver is not started";
    case PreserveErrc::conflict:
      return "the context was changed, or is being changed, by another transaction";
    case PreserveErrc::refused: return "the participant refused";
    case PreserveErrc::unknown_transaction: return "the participant does not know the transaction";
    case PreserveErrc::participant_unavailable: return "the participant is not available";
    case PreserveErrc::participant_locked: return "the participant's storage is held by another process";
    case PreserveErrc::corrupt_snapshot: return "every copy of the newest snapshot is damaged";
    case PreserveErrc::overloaded: return "too many transactions are under way";
    case PreserveErrc::participant_in_use: return "the participant has transactions that are not finished";
    case PreserveErrc::version_conflict: return "the context has not the version that was expected";
  }
  return "unknown error";
}

}  // namespace lukhas

template <>
struct std::is_error_code_enum<lukhas::PreserveErrc> : std::true_type {};
