// Which participants a call means, and the errors for names that mean nobody.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"

namespace lukhas::detail {

[[noreturn]] inline void throwUnknownParticipant(const PreserverState& state, const std::string& name) {
  std::vector<std::string> registered;
  for (const ParticipantPtr& other : state.allParticipants()) registered.push_back(other->name());
  nlohmann::json details{{"participant", cleanText(name)}, {"registered", registered}};
  throw Error(PreserveErrc::unknown_participant,
              fmt::format("no participant is called {}; registered are: {}", quotedText(name),
                          registered.empty() ? "none" : fmt::format("{}", fmt::join(registered, ", "))),
              std::move(details));
}

[[noreturn]] inline void throwGone(const std::string& name) {
  throw Error(PreserveErrc::participant_in_use, fmt::format("participant '{}' is being removed", name),
              {{"participant", name}, {"cause", "it is being removed"}});
}
// Why a transaction cannot name it.
[[noreturn]] inline void throwNotToBeNamed(const PreserverState& state, const std::string& name) {
  bool isLeaving = false;
  {
    const std::lock_guard lock(state.mutex);
    isLeaving = state.leaving.contains(name);
  }
  isLeaving ? throwGone(name) : throwUnknownParticipant(state, name);
}

[[nodiscard]] inline std::vector<ParticipantPtr> findParticipants(const PreserverState& state,
                                                                  const NameList& names) {
  if (names.empty()) throw Error(PreserveErrc::no_participants, "no participant was named");
  std::vector<ParticipantPtr> found;
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (!seen.insert(name).second) continue;
    ParticipantPtr participant = state.find(name);
    if (!participant) throwNotToBeNamed(state, name);
    found.push_back(std::move(participant));
  }
  return found;
}

}  // namespace lukhas::detail
