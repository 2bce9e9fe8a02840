// The preserver's life: participants are added, it starts and stops.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/journal/posix_disk.hpp"
#include "lukhas/preserve/decision_replay.hpp"
#include "lukhas/preserve/detail/background.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"

namespace lukhas::detail {

// Begins the loops of a participant's backlog, later and elsewhere. With the mutex held. The mark is put into
// `marks`, which outlives that: where there is no memory for the rest, it is the last one, and it takes the
// mutex.
inline void beginBacklogLoops(const PreserverStatePtr& state, const ParticipantPtr& participant,
                              std::vector<LoopMarkPtr>& marks) {
  for (unsigned i = 0; i < state->options.recoveryConcurrency; ++i) {
    marks.reserve(marks.size() + 1);
    const LoopMarkPtr& mark =
        marks.emplace_back(std::make_shared<const LoopMark>(state, participant->name()));
    state->environment.post([mark, participant, isFirst = i == 0] {
      const asio::any_io_executor executor = mark->state()->environment.executor();
      asio::co_spawn(executor, driveBacklog(mark, participant, isFirst), asio::detached);
    });
  }
}
inline void beginRecoveryLoop(const PreserverStatePtr& state, std::vector<LoopMarkPtr>& marks) {
  marks.reserve(marks.size() + 1);
  const LoopMarkPtr& mark = marks.emplace_back(std::make_shared<const LoopMark>(state));
  state->environment.post([mark] {
    const asio::any_io_executor executor = mark->state()->environment.executor();
    asio::co_spawn(executor, driveRecovery(mark), asio::detached);
  });
}

inline asio::awaitable<void> openInTime(PreserverStatePtr state, ParticipantPtr participant) {
  std::string slow;
  try {
    const Duration limit = state->options.openTimeout;
    co_await withTimeLimit(state->environment, limit, "open", participant->open(state->environment));
  } catch (const Error& error) {
    if (error.code() != Errc::deadline_exceeded) throw;
    slow = error.what();
  }
  if (slow.empty()) co_return;
  const std::string& name = participant->name();
  throw Error(PreserveErrc::participant_unavailable, fmt::format("participant '{}': {}", name, slow),
              {{"participant", name}, {"cause", slow}});
}

inline asio::awaitable<void> addParticipantTo(PreserverStatePtr state, ParticipantPtr participant) {
  if (!participant) throw Error(Errc::invalid_argument, "addParticipant: the participant is null");
  const std::string name = participant->name();
  const auto requireUnused = [&state, &name] {
    if (!state->participants.contains(name) && !state->leaving.contains(name)) return;
    throw Error(PreserveErrc::duplicate_participant,
                fmt::format("a participant called '{}' is registered already", name),
                {{"participant", name}});
  };
  {
    const std::lock_guard lock(state->mutex);
    requireUnused();
  }
  co_await openInTime(state, participant);
  std::exception_ptr failure;
  std::vector<LoopMarkPtr> marks;
  try {
    const std::lock_guard lock(state->mutex);
    if (state->stopping) throw Error(PreserveErrc::not_started, "the preserver was stopped");
    requireUnused();  // another call may have been quicker
    state->times.participants.try_emplace(name);
    state->participants.emplace(name, participant);
    if (state->accepting) beginBacklogLoops(state, participant, marks);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  (void)co_await tellToClose(state, participant);
  std::rethrow_exception(failure);
}

// Takes over what the log says of earlier lives. With the mutex held.
inline void takeOver(PreserverState& state, const std::vector<Record>& records) {
  DecisionReplay replay;
  for (const Record& record : records) replay.add(record.type, record.lsn.value, record.payload);
  for (const Decision& decision : replay.all()) state.history.add(decision);
  for (const auto& [id, end] : replay.ended()) {
    if (const Decision* const decision = replay.find(id)) {
      state.history.note(decision->transaction.contextId, end);
    }
  }
  for (const auto& [coordinator, lsn] : replay.adopted()) state.adopted.emplace(coordinator, Lsn{lsn});
  for (DecisionReplay::Open& left : replay.open()) {
    for (const std::string& name : left.remaining) {
      state.backlog[name].commits.push_back(left.decision.transaction);
    }
    state.keep(left.decision, Lsn{left.lsn}, std::move(left.remaining));
  }
  state.journal->dropBefore(state.firstNeeded());
}

// As if nothing had been taken over. With the mutex held.
inline void forgetLog(PreserverState& state) noexcept {
  state.accepting = false;
  state.history.clear();
  state.decided.clear();
  state.backlog.clear();
  state.adopted.clear();
  state.journal.reset();
}

// All of it or, where there is no memory, nothing. With the mutex held.
inline void beginWork(const PreserverStatePtr& state, std::unique_ptr<Journal> journal,
                      const std::vector<Record>& records, std::vector<LoopMarkPtr>& marks) {
  state->journal = std::move(journal);
  try {
    takeOver(*state, records);
    state->accepting = true;
    for (const auto& [name, participant] : state->participants) beginBacklogLoops(state, participant, marks);
    beginRecoveryLoop(state, marks);
  } catch (...) {
    forgetLog(*state);
    throw;
  }
}

inline asio::awaitable<void> startIn(PreserverStatePtr state) {
  {
    const std::lock_guard lock(state->mutex);
    if (state->accepting) co_return;
    if (state->stopping) throw Error(PreserveErrc::not_started, "the preserver was stopped for good");
    if (std::exchange(state->started, true)) {
      throw Error(PreserveErrc::not_started, "another start() of the preserver is under way");
    }
  }
  std::exception_ptr failure;
  std::vector<LoopMarkPtr> marks;
  try {
    std::shared_ptr<Disk> disk = state->options.disk;
    if (!disk) disk = std::make_shared<PosixDisk>(state->environment);
    const JournalOptions options{.segmentBytes = state->options.journalSegmentBytes,
                                 .restTime = state->options.journalRestTime};
    std::string directory = state->options.journalDirectory;
    std::unique_ptr<Journal> journal =
        co_await Journal::open(state->environment, std::move(disk), std::move(directory), options);
    const std::vector<Record> records = journal->takeRecovered();
    const std::lock_guard lock(state->mutex);
    if (state->stopping) throw Error(PreserveErrc::not_started, "the preserver was stopped meanwhile");
    beginWork(state, std::move(journal), records, marks);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  const std::lock_guard lock(state->mutex);
  state->started = false;
  std::rethrow_exception(failure);
}

inline asio::awaitable<void> closeLog(PreserverStatePtr state) { co_await state->journal->close(); }

// How long the calls that are under way may still take, if all but the log keeps to its limits.
[[nodiscard]] inline Duration longestCall(const AtomicContextPreserverOptions& options) {
  return options.queueTimeout + 4 * options.prepareTimeout + 2 * options.commitTimeout;
}

inline asio::awaitable<void> stopIn(PreserverStatePtr state) {
  PreserverState* const shared = state.get();
  {
    const std::lock_guard lock(state->mutex);
    state->accepting = false;
  }
  admitWaiting(*state);  // nobody is, any more
  const auto isIdle = [shared] {
    const std::lock_guard lock(shared->mutex);
    return shared->live.empty();
  };
  const TimePoint patience = state->environment.after(longestCall(state->options));
  while (!isIdle()) {
    const WaitResult result = co_await state->idle.waitUntil(patience, isIdle);
    if (result == WaitResult::timed_out) break;
  }
  {
    const std::lock_guard lock(state->mutex);
    state->stopping = true;
  }
  state->wake.resumeAll();
  const auto isQuiet = [shared] {
    const std::lock_guard lock(shared->mutex);
    return shared->loops == 0;
  };
  while (!isQuiet()) (void)co_await state->idle.wait(isQuiet);
  const std::vector<ParticipantPtr> participants = state->allParticipants();
  for (const ParticipantPtr& participant : participants) {
    (void)co_await tellToClose(state, participant);
  }
  if (!state->journal) co_return;
  const Duration limit = state->options.openTimeout;
  co_await withTimeLimit(state->environment, limit, "closing the transaction log", closeLog(state));
}

}  // namespace lukhas::detail
