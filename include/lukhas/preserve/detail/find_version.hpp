// Finding out which version a transaction makes, and settling what earlier ones left of the context.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/preserve/detail/admission.hpp"
#include "lukhas/preserve/detail/intent_worth.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/read_copies.hpp"
#include "lukhas/preserve/detail/tell_participant.hpp"
#include "lukhas/preserve/detail/transaction_failure.hpp"

namespace lukhas::detail {

[[nodiscard]] inline asio::awaitable<std::optional<Refusal>> settle(PreserverStatePtr state,
                                                                    ParticipantPtr participant,
                                                                    TransactionRef intent,
                                                                    IntentWorth worth) {
  if (worth == IntentWorth::in_other_hands) co_return std::nullopt;  // it will refuse, and name it
  const Duration limit = state->options.prepareTimeout;
  Told told;
  if (worth == IntentWorth::decided) {
    told = co_await tellCommit(state, participant, intent, limit);
  } else {
    told = co_await tellAbort(state, participant, intent, limit);
  }
  if (told.result != Told::Result::done) co_return Refusal{participant->name(), told.cause};
  if (worth == IntentWorth::decided) noteApplied(*state, intent, participant->name());
  co_return std::nullopt;
}

// Who holds a context that is to be forgotten has to be asked, all of them.
[[nodiscard]] inline std::optional<Refusal> requireRegistered(
    const PreserverState& state, const std::vector<const StoredContext*>& states) {
  for (const StoredContext* stored : states) {
    for (const std::string& name : stored->participants) {
      if (!state.find(name)) return Refusal{name, "it has the context and is not registered"};
    }
  }
  return std::nullopt;
}

// The version is one more than the newest that any participant holds for certain. What is left of earlier
// transactions of the context is settled on the way, as no participant takes a second intent.
[[nodiscard]] inline asio::awaitable<std::optional<Refusal>> findVersion(PreserverStatePtr state,
                                                                         TransactionPtr transaction) {
  StoredContext& mine = transaction->context;
  ContextReading reading;
  try {
    reading = co_await readContext(state, mine.contextId);
  } catch (const Error& error) {
    co_return Refusal{error.details().value("participant", ""), error.what()};
  }
  // Before anything is settled: what ends a decision also forgets that it was one.
  const std::vector<const StoredContext*> states = certainStates(*state, reading);
  std::vector<ParticipantPtr> holders;
  for (const auto& [participant, copy] : reading.copies) {
    bool holds = copy.committed.has_value();
    if (copy.intent) {
      const TransactionRef intent(*copy.intent);
      const IntentWorth worth = worthOf(*state, *copy.intent, reading);
      std::optional<Refusal> refusal = co_await settle(state, participant, intent, worth);
      if (refusal) co_return refusal;
      if (worth == IntentWorth::decided) holds = !intent.forgets;
      if (worth == IntentWorth::in_other_hands) holds = true;
    }
    if (holds) holders.push_back(participant);
  }
  mine.version = newestVersion(states) + 1;
  if (const std::optional<std::uint64_t> expected = transaction->expectedVersion) {
    const std::uint64_t present = existingVersion(states);
    if (present != *expected) {
      co_return Refusal{{}, fmt::format("version {} was expected, it is {}", *expected, present), present};
    }
  }
  if (mine.forgets) {
    if (std::optional<Refusal> refusal = requireRegistered(*state, states)) co_return refusal;
    const std::lock_guard lock(state->mutex);
    transaction->participants = std::move(holders);
  }
  std::vector<std::string> names;
  for (const ParticipantPtr& participant : transaction->participants) names.push_back(participant->name());
  mine.participants = NameList(std::move(names));
  co_return std::nullopt;
}

}  // namespace lukhas::detail
