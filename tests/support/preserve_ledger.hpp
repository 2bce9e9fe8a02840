// PreserveLedger: what a test knows of the contexts it preserves, and what must then hold after any crash.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"

namespace test {

// One writer a context. Before a call the new state is noted as possible, after it as certain or as void; so
// at any moment each participant may hold the certain state or the possible one, and all must hold the same.
// What a reader saw stays. Violations are collected, so that a run can end first.
class PreserveLedger {
 public:
  using State = std::optional<nlohmann::json>;  // nullopt: there is no such context
  using Participants = std::vector<std::shared_ptr<lukhas::Participant>>;

  explicit PreserveLedger(std::vector<std::string> participants) : participants_(std::move(participants)) {}

  [[nodiscard]] lukhas::NameList names() const { return lukhas::NameList(participants_); }
  [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  [[nodiscard]] std::uint64_t aborted() const noexcept { return aborted_; }
  // Empty when all is as it should be.
  [[nodiscard]] const std::string& violations() const noexcept { return violations_; }
  void require(bool holds, const std::string& rule) {
    if (!holds && violations_.size() < 2000) violations_ += rule + "; ";
  }

  // Preserves `next`, or forgets; an abort is an outcome like another. False when the outcome is unknown: the
  // writer must not go on then, as any state may be the certain one.
  asio::awaitable<bool> change(lukhas::AtomicContextPreserver& preserver, std::string context, State next,
                               lukhas::PreserveOptions options = {}) {
    Entry& entry = entries_[context];
    entry.possible = next;
    bool aborted = false;
    try {
      if (next) {
        nlohmann::json data = *next;
        const lukhas::ContextSnapshot snapshot =
            co_await preserver.preserveContext(context, std::move(data), names(), options);
        require(snapshot.participants == participants_, context + ": the answer names other participants");
      } else {
        (void)co_await preserver.forget(context, options);
      }
    } catch (const lukhas::Error& error) {
      if (error.code() == lukhas::PreserveErrc::outcome_unknown) co_return false;
      require(error.code() == lukhas::PreserveErrc::aborted,
              fmt::format("{}: a change ended with '{}'", context, error.what()));
      if (error.details().is_object()) {
        abortedIds_.insert(error.details().value("transactionId", std::string()));
      }
      aborted = true;
    }
    Entry& after = entries_[context];
    require(!aborted || !after.seen, context + ": was read, and aborted afterwards");
    if (aborted) {
      after.possible.reset();
      after.seen = false;
    } else {
      after.decide(after.possible.value());
    }
    ++(aborted ? aborted_ : acknowledged_);
    co_return true;
  }

  // What an earlier life left open: the first read of a new one decides it. False when it cannot be read now.
  asio::awaitable<bool> settle(lukhas::AtomicContextPreserver& preserver, std::string context) {
    const bool known = co_await read(preserver, context);
    if (!known) co_return false;
    entries_[context].decide(lastRead_);
    co_return true;
  }

  // A read gives a state that was certain or possible between its begin and its end; and who has given the
  // possible one gives no other from then on.
  asio::awaitable<bool> read(lukhas::AtomicContextPreserver& preserver, std::string context) {
    const std::optional<State> possibleBefore = entries_[context].possible;
    const std::size_t first = entries_[context].firstReadable();
    std::optional<lukhas::ContextSnapshot> found;
    try {
      found = co_await preserver.restoreContext(context);
    } catch (const lukhas::Error& error) {
      require(error.code() == lukhas::PreserveErrc::participant_unavailable,
              fmt::format("{}: a read ended with '{}'", context, error.what()));
      co_return false;
    }
    Entry& after = entries_[context];
    const State seen = found ? State(found->data) : std::nullopt;
    const bool wasCertain = after.wasCertainSince(first, seen);
    const bool isPossible = after.possible && seen == *after.possible;
    require(wasCertain || isPossible || (possibleBefore && seen == *possibleBefore),
            fmt::format("{}: read {} where {} is certain", context, inWords(seen), inWords(after.certain())));
    if (isPossible && !wasCertain) after.seen = true;
    lastRead_ = seen;
    co_return true;
  }

  // After the faults are over and recovery had its time. `foreign`: how many intents of somebody else each
  // participant holds, which must still be there.
  asio::awaitable<void> checkAllOrNothing(Participants participants, std::size_t foreign = 0) {
    for (const std::shared_ptr<lukhas::Participant>& participant : participants) {
      const std::vector<lukhas::StoredContext> intents = co_await participant->inDoubt();
      require(intents.size() == foreign,
              fmt::format("{} holds {} intents, of which {} are not its coordinator's", participant->name(),
                          intents.size(), foreign));
    }
    for (auto& [context, entry] : entries_) {
      std::optional<State> first;
      std::uint64_t version = 0;
      for (const std::shared_ptr<lukhas::Participant>& participant : participants) {
        const lukhas::ContextCopies copies = co_await participant->read(context);
        State held;
        if (copies.committed) held = nlohmann::json::parse(copies.committed->payload);
        const std::uint64_t heldVersion = copies.committed ? copies.committed->version : 0;
        if (!first) {
          first = held;
          version = heldVersion;
        }
        require(held == *first && version == heldVersion,
                fmt::format("{}: {} holds {}, version {}, and another one {}, version {}", context,
                            participant->name(), inWords(held), heldVersion, inWords(*first), version));
        require(entry.allows(held),
                fmt::format("{}: {} holds {} where {} is certain", context, participant->name(),
                            inWords(held), inWords(entry.certain())));
      }
      entry.decide(first.value_or(std::nullopt));  // what was possible is decided now
    }
  }
  // Of the world's participants.
  void checkAllOrNothing(lukhas::Simulation& world) {
    Participants participants;
    for (const std::string& name : participants_) participants.push_back(world.participant(name));
    world.spawn(checkAllOrNothing(std::move(participants)));
    world.runFor(std::chrono::seconds(10));
  }
  // No log has a decision to commit what was aborted.
  void checkHistory(const lukhas::AtomicContextPreserver& preserver) {
    for (const auto& [context, entry] : entries_) {
      for (const lukhas::HistoryEntry& decision : preserver.history(context)) {
        require(!abortedIds_.contains(decision.transactionId),
                fmt::format("{}: the history has the aborted {}", context, decision.transactionId));
      }
    }
  }

 private:
  struct Entry {
    std::vector<State> past{std::nullopt};  // all states that were certain, oldest first
    std::optional<State> possible;
    bool seen = false;  // somebody read the possible state

    [[nodiscard]] const State& certain() const { return past.back(); }
    [[nodiscard]] bool allows(const State& state) const {
      if (possible && state == *possible) return true;
      return !seen && state == certain();
    }
    // The oldest state that a read may give which begins now.
    [[nodiscard]] std::size_t firstReadable() const { return seen ? past.size() : past.size() - 1; }
    [[nodiscard]] bool wasCertainSince(std::size_t first, const State& state) const {
      for (std::size_t i = first; i < past.size(); ++i) {
        if (past[i] == state) return true;
      }
      return false;
    }
    void decide(State state) {
      past.push_back(std::move(state));
      possible.reset();
      seen = false;
    }
  };
  [[nodiscard]] static std::string inWords(const State& state) { return state ? state->dump() : "nothing"; }

  std::vector<std::string> participants_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> abortedIds_;
  State lastRead_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t aborted_ = 0;
  std::string violations_;
};

}  // namespace test
