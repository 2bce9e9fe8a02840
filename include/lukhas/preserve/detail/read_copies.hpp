// Reading one context from every participant, and choosing the newest state that is certain.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"

namespace lukhas::detail {

using CopiesByParticipant = std::vector<std::pair<ParticipantPtr, ContextCopies>>;

// What the participant throws comes out of the awaitable, also when it throws before it awaits anything.
inline asio::awaitable<ContextCopies> readOne(ParticipantPtr participant, std::string contextId) {
  co_return co_await participant->read(std::move(contextId));
}

// Asks all registered participants in parallel. Any that does not answer in time is an error that names it:
// the newest state may be held by that one alone, and an older one would be a stale read.
inline asio::awaitable<CopiesByParticipant> readCopies(std::shared_ptr<PreserverState> state,
                                                       std::string contextId) {
  const TimePoint deadline = state->environment.after(state->options.prepareTimeout);
  const std::vector<ParticipantPtr> participants = state->allParticipants();
  std::vector<ChildTask<ContextCopies>> reads;
  reads.reserve(participants.size());
  for (const ParticipantPtr& participant : participants) {
    std::string id = contextId;
    reads.emplace_back(state->environment, readOne(participant, std::move(id)));
  }
  CopiesByParticipant copies;
  copies.reserve(participants.size());
  for (std::size_t i = 0; i < reads.size(); ++i) {
    std::string cause;
    try {
      std::optional<ContextCopies> copy = co_await reads[i].joinUntil(deadline);
      if (copy) {
        copies.emplace_back(participants[i], std::move(*copy));
        continue;
      }
      cause = "no answer in time";
    } catch (const Error& error) {
      if (error.code() == asio::error::operation_aborted) throw;
      cause = error.what();
    } catch (...) {
      cause = causeOf(std::current_exception());
    }
    const std::string& name = participants[i]->name();
    nlohmann::json details{{"participant", name}, {"contextId", cleanText(contextId)}, {"cause", cause}};
    throw Error(PreserveErrc::participant_unavailable,
                fmt::format("participant '{}' cannot be read: {}", name, cause), std::move(details));
  }
  co_return copies;
}

// What was read, and what was decided before: while participants are asked a decision may end and be
// forgotten, and the intents that were seen before its end would then look as if nobody had ever decided
// them.
struct ContextReading {
  std::set<std::string> decidedBefore;  // transactions
  CopiesByParticipant copies;

  // With the state's mutex held.
  [[nodiscard]] bool isDecided(const PreserverState& state, const TransactionRef& intent) const {
    return decidedBefore.contains(intent.transactionId) || state.isDecided(intent);
  }
};

inline asio::awaitable<ContextReading> readContext(PreserverStatePtr state, std::string contextId) {
  ContextReading reading;
  {
    const std::lock_guard lock(state->mutex);
    reading.decidedBefore = state->decided.of(contextId);
  }
  reading.copies = co_await readCopies(state, std::move(contextId));
  co_return reading;
}

// The states in `reading` that are committed: what participants call committed, and intents whose decision is
// in the log.
inline std::vector<const StoredContext*> certainStates(const PreserverState& state,
                                                       const ContextReading& reading) {
  std::vector<const StoredContext*> states;
  const std::lock_guard lock(state.mutex);
  for (const auto& [participant, copy] : reading.copies) {
    if (copy.committed) states.push_back(&*copy.committed);
    if (copy.intent && reading.isDecided(state, TransactionRef(*copy.intent))) {
      states.push_back(&*copy.intent);
    }
  }
  return states;
}

// The version that a reader would get; 0 when the newest state is that there is no such context.
inline std::uint64_t existingVersion(const std::vector<const StoredContext*>& states) {
  const StoredContext* newest = nullptr;
  for (const StoredContext* stored : states) {
    if (!newest || stored->version > newest->version) newest = stored;
  }
  return newest && !newest->forgets ? newest->version : 0;
}

inline std::uint64_t newestVersion(const std::vector<const StoredContext*>& states) {
  std::uint64_t newest = 0;
  for (const StoredContext* stored : states) newest = std::max(newest, stored->version);
  return newest;
}

}  // namespace lukhas::detail
