// The rounds of recovery that go on beside the calls.
#pragma once

#include <algorithm>
#include <mutex>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/preserve/detail/backlog.hpp"
#include "lukhas/preserve/detail/compare_copies.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/recovery.hpp"

namespace lukhas::detail {

// Writes the adoptions into the log once more, see carryForward. False when the log takes no more.
inline asio::awaitable<bool> carryAdoptions(PreserverStatePtr state) {
  std::vector<std::string> coordinators;
  {
    const std::lock_guard lock(state->mutex);
    for (const auto& [coordinator, lsn] : state->adopted) coordinators.push_back(coordinator);
  }
  for (const std::string& coordinator : coordinators) {
    const Adoption adoption{coordinator, state->environment.wallNow()};
    try {
      const Lsn lsn = co_await state->journal->appendDurable(static_cast<std::uint8_t>(DecisionRecord::adopt),
                                                             adoption.encode());
      const std::lock_guard lock(state->mutex);
      state->adopted[coordinator] = lsn;
    } catch (const Error&) {
      co_return false;
    }
  }
  co_return true;
}

// False when the log takes no more: the old records still serve.
inline asio::awaitable<bool> writeAgain(PreserverStatePtr state, std::vector<Decision> decisions) {
  try {
    std::vector<asio::awaitable<Lsn>> writes;
    for (const Decision& decision : decisions) {
      writes.push_back(state->journal->appendDurable(static_cast<std::uint8_t>(DecisionRecord::commit),
                                                     decision.encode()));
    }
    for (std::size_t i = 0; i < writes.size(); ++i) {
      const Lsn lsn = co_await std::move(writes[i]);
      const TransactionRef& transaction = decisions[i].transaction;
      const std::lock_guard lock(state->mutex);
      if (!state->decided.moveTo(transaction.transactionId, lsn)) {
        // it ended while its copy was written
        state->writeEnd(transaction.contextId, DecisionEnd{transaction.transactionId, {}});
      }
    }
  } catch (const Error&) {
    co_return false;
  }
  co_return true;
}

// Writes decisions that have been open for long into the log once more, so that the old end of the log can be
// dropped: a participant that never comes back does not make the log grow.
inline asio::awaitable<void> carryForward(PreserverStatePtr state) {
  constexpr std::uint64_t longLog = 4;  // segments
  if (state->journal->getMetrics().segments <= longLog) co_return;
  const bool carried = co_await carryAdoptions(state);
  if (!carried) co_return;  // the old records still serve
  std::vector<Decision> open;
  {
    const std::lock_guard lock(state->mutex);
    for (const auto& [id, decision] : state->decided) open.push_back(decision.decision);
  }
  constexpr std::size_t atOnce = 256;  // one wait for the disk serves them all
  for (std::size_t begin = 0; begin < open.size(); begin += atOnce) {
    const std::size_t end = std::min(begin + atOnce, open.size());
    std::vector<Decision> some(open.begin() + static_cast<std::ptrdiff_t>(begin),
                               open.begin() + static_cast<std::ptrdiff_t>(end));
    const bool written = co_await writeAgain(state, std::move(some));
    if (!written) co_return;
  }
  const std::lock_guard lock(state->mutex);
  state->journal->dropBefore(state->firstNeeded());
}

inline asio::awaitable<void> compareAndTidy(PreserverStatePtr state) {
  try {
    retryRefused(*state);
    pickUpLost(*state);
    RecoveryReport report = co_await recoverOnce(state);
    co_await compareCopies(state, state->options.comparedContexts, report);
    co_await carryForward(state);
  } catch (const std::bad_alloc&) {
    // the next time does what this one could not
  }
}

inline asio::awaitable<void> driveRecovery(LoopMarkPtr mark) {
  const PreserverStatePtr state = mark->state();
  PreserverState* const shared = state.get();
  const auto isStopping = [shared] { return shared->isStopping(); };
  for (;;) {
    co_await compareAndTidy(state);
    const TimePoint next = state->environment.after(state->options.recoveryInterval);
    const bool ends = co_await pauseUntil(state, next, isStopping);
    if (ends) co_return;
  }
}

}  // namespace lukhas::detail
