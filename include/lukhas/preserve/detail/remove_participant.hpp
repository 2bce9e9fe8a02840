// Taking a participant out of a preserver that is at work.
#pragma once

#include <algorithm>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/preserve/detail/recovery.hpp"
#include "lukhas/preserve/detail/participant_naming.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"

namespace lukhas::detail {

// While it lives, no new transaction names the participant, and its name is not given to another one.
class LeavingParticipant {
 public:
  // With the mutex held.
  LeavingParticipant(PreserverStatePtr state, std::string name)
      : state_(std::move(state)), name_(std::move(name)) {
    state_->leaving.insert(name_);
  }
  LeavingParticipant(const LeavingParticipant&) = delete;
  LeavingParticipant& operator=(const LeavingParticipant&) = delete;
  ~LeavingParticipant() {
    const std::lock_guard lock(state_->mutex);
    state_->leaving.erase(name_);
  }

 private:
  PreserverStatePtr state_;
  std::string name_;
};

[[noreturn]] inline void throwInUse(const std::string& name, const std::string& cause,
                                    const std::string& transactionId) {
  nlohmann::json details{{"participant", name}, {"cause", cause}, {"transactionId", transactionId}};
  throw Error(PreserveErrc::participant_in_use,
              fmt::format("participant '{}' cannot be removed now: {} ({})", name, cause, transactionId),
              std::move(details));
}

// As far as the books say. With the mutex held.
inline void requireUnused(const PreserverState& state, const ParticipantPtr& participant) {
  const std::string& name = participant->name();
  for (const auto& [id, transaction] : state.live) {
    const std::vector<ParticipantPtr>& named = transaction->participants;
    // A forget that has not found out yet who holds the context may find this one.
    const bool mayName = transaction->context.forgets && named.empty();
    if (mayName || std::find(named.begin(), named.end(), participant) != named.end()) {
      throwInUse(name, "a transaction with it is under way", id);
    }
  }
  for (const auto& [id, open] : state.decided) {
    if (open.remaining.contains(name)) throwInUse(name, "it has not applied what was decided", id);
  }
}

// Goes on when the caller does not wait any more: the name is free when the participant is closed, not
// before.
inline asio::awaitable<void> takeOut(PreserverStatePtr state, ParticipantPtr participant) {
  const std::string name = participant->name();
  std::optional<LeavingParticipant> leaving;
  {
    const std::lock_guard lock(state->mutex);
    if (!state->isRegistered(participant) || state->leaving.contains(name)) throwGone(name);
    requireUnused(*state, participant);
    leaving.emplace(state, name);
  }
  const std::optional<std::vector<StoredContext>> intents = co_await listIntents(state, participant);
  if (!intents) {
    throw Error(PreserveErrc::participant_unavailable,
                fmt::format("participant '{}' does not say what it holds in doubt: it is not removed", name),
                {{"participant", name}, {"cause", "no answer"}});
  }
  if (!intents->empty()) throwInUse(name, "it holds an intent", intents->front().transactionId);

  PreserverState* const shared = state.get();
  {
    const std::lock_guard lock(state->mutex);
    requireUnused(*state, participant);
    state->participants.erase(name);
    state->times.participants.erase(name);
    state->backlog.erase(name);
  }
  state->wake.resumeAll();
  const auto isQuiet = [shared, &participant] {
    const std::lock_guard lock(shared->mutex);
    return !shared->driven.contains(participant->name());
  };
  while (!isQuiet()) (void)co_await state->idle.wait(isQuiet);
  (void)co_await tellToClose(state, participant);
}

inline asio::awaitable<void> removeParticipantFrom(PreserverStatePtr state, std::string name) {
  ParticipantPtr participant = state->find(name);
  if (!participant) throwNotToBeNamed(*state, name);
  ChildTask<void> removal(state->environment, takeOut(state, std::move(participant)));
  struct GoesOn {
    ~GoesOn() { task.detach(); }
    ChildTask<void>& task;
  };
  const GoesOn goesOn{removal};
  co_await removal.join();
}

}  // namespace lukhas::detail
