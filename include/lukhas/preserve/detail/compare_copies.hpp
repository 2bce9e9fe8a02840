// Finding orphans: contexts that a participant does not hold any more, although it had said that it did.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/async/run_bounded.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/read_copies.hpp"

namespace lukhas::detail {

// The newest decision about a context that nobody is at; nothing when there is none to compare with. With the
// mutex held.
[[nodiscard]] inline std::optional<HistoryEntry> settledDecision(const PreserverState& state,
                                                                 const std::string& contextId) {
  const HistoryEntry* const newest = state.history.newestOf(contextId);
  if (newest == nullptr || state.newest.contains(contextId)) return std::nullopt;
  if (state.decided.containsContext(contextId) || state.unknownOutcome.contains(newest->transactionId)) {
    return std::nullopt;
  }
  return *newest;
}

[[nodiscard]] inline bool holdsAsDecided(const ContextCopies& copy, const HistoryEntry& decision) {
  if (decision.forgets) return !copy.committed;
  return copy.committed && copy.committed->version == decision.version &&
         copy.committed->payloadHash == hash64(asBytes(copy.committed->payload));
}

// Nothing when all is well, or when another coordinator has gone on with the context.
[[nodiscard]] inline std::optional<OrphanedContext> findOrphan(const CopiesByParticipant& copies,
                                                               const HistoryEntry& decision) {
  OrphanedContext orphan;
  orphan.contextId = decision.contextId;
  orphan.transactionId = decision.transactionId;
  orphan.version = decision.version;
  for (const auto& [participant, copy] : copies) {
    if (copy.committed && copy.committed->version > decision.version) return std::nullopt;
    const std::vector<std::string>& named = decision.participants;
    const bool isNamed = std::find(named.begin(), named.end(), participant->name()) != named.end();
    const bool isAnew = decision.forgets && copy.committed &&  // somebody else has begun it anew
                        coordinatorOf(copy.committed->transactionId) != coordinatorOf(decision.transactionId);
    if (isAnew) return std::nullopt;
    if (isNamed && !holdsAsDecided(copy, decision)) orphan.missing.push_back(participant->name());
  }
  if (orphan.missing.empty()) return std::nullopt;
  return orphan;
}

struct CompareRound {
  std::vector<std::string> contexts;
  std::uint64_t compared = 0;  // guarded by the state's mutex
  std::uint64_t orphaned = 0;
  std::atomic<bool> isBlind = false;  // a participant does not answer: nothing can be compared now
};
using CompareRoundPtr = std::shared_ptr<CompareRound>;

inline asio::awaitable<void> compareContext(PreserverStatePtr state, CompareRoundPtr round,
                                            std::size_t index) {
  const std::string& contextId = round->contexts[index];
  std::optional<HistoryEntry> before;
  {
    const std::lock_guard lock(state->mutex);
    if (state->stopping || round->isBlind) co_return;
    before = settledDecision(*state, contextId);
  }
  if (!before) co_return;
  CopiesByParticipant copies;
  try {
    copies = co_await readCopies(state, contextId);
  } catch (const Error&) {
    round->isBlind = true;
    co_return;
  }
  const std::lock_guard lock(state->mutex);
  const std::optional<HistoryEntry> after = settledDecision(*state, contextId);
  if (!after || after->transactionId != before->transactionId) co_return;  // it was changed meanwhile
  ++round->compared;
  std::optional<OrphanedContext> orphan = findOrphan(copies, *after);
  if (!orphan) {
    state->orphans.erase(contextId);
    co_return;
  }
  ++round->orphaned;
  state->orphans.insert_or_assign(contextId, std::move(*orphan));
}

// Compares the copies of up to `most` contexts of the history, in turn, and notes the orphans among them.
inline asio::awaitable<void> compareCopies(PreserverStatePtr state, std::size_t most,
                                           RecoveryReport& report) {
  const auto round = std::make_shared<CompareRound>();
  {
    const std::lock_guard lock(state->mutex);
    round->contexts = state->history.contextsFrom(state->nextCompared, most + 1);
    if (round->contexts.size() > most) {
      state->nextCompared = std::move(round->contexts.back());
      round->contexts.pop_back();
    }
    std::erase_if(state->orphans, [&state](const auto& orphan) {  // not remembered any more
      return state->history.newestOf(orphan.first) == nullptr;
    });
  }
  const auto compare = [state, round](std::size_t index) { return compareContext(state, round, index); };
  co_await runBounded(state->environment, round->contexts.size(), state->options.recoveryConcurrency,
                      compare);
  const std::lock_guard lock(state->mutex);
  report.compared = round->compared;
  report.orphaned = round->orphaned;
}

}  // namespace lukhas::detail
