// PreserveLedger: what a test knows of the contexts it preserves, and what must then hold after any crash.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace test {

// One writer a context. Before a call the new state is noted as possible, after it as certain or as void; so
// at any moment each participant may hold the certain state or the possible one, and all must hold the same.
class PreserveLedger {
 public:
  using State = std::optional<nlohmann::json>;  // nullopt: there is no such context

  explicit PreserveLedger(std::vector<std::string> participants) : participants_(std::move(participants)) {}

  [[nodiscard]] lukhas::NameList names() const { return lukhas::NameList(participants_); }
  [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acknowledged_; }
  [[nodiscard]] std::uint64_t aborted() const noexcept { return aborted_; }

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
        CHECK(snapshot.participants == participants_);
      } else {
        (void)co_await preserver.forget(context, options);
      }
    } catch (const lukhas::Error& error) {
      if (error.code() == lukhas::PreserveErrc::outcome_unknown) co_return false;
      CHECK(error.code() == lukhas::PreserveErrc::aborted);
      aborted = true;
    }
    Entry& after = entries_[context];
    if (!aborted) after.certain = after.possible.value();
    after.possible.reset();
    ++(aborted ? aborted_ : acknowledged_);
    co_return true;
  }

  // What an earlier life left open: the first read of a new one decides it. False when it cannot be read now.
  asio::awaitable<bool> settle(lukhas::AtomicContextPreserver& preserver, std::string context) {
    const bool known = co_await read(preserver, context);
    if (!known) co_return false;
    entries_[context].certain = lastRead_;
    entries_[context].possible.reset();
    co_return true;
  }

  // A read gives the certain state or the possible one.
  asio::awaitable<bool> read(lukhas::AtomicContextPreserver& preserver, std::string context) {
    const Entry before = entries_[context];
    std::optional<lukhas::ContextSnapshot> found;
    try {
      found = co_await preserver.restoreContext(context);
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == lukhas::PreserveErrc::participant_unavailable);
      co_return false;
    }
    const Entry after = entries_[context];
    const State seen = found ? State(found->data) : std::nullopt;
    const bool fits = before.allows(seen) || after.allows(seen);
    CHECK(fits);
    lastRead_ = seen;
    co_return true;
  }

  // After the faults are over and recovery had its time.
  void checkAllOrNothing(lukhas::Simulation& world) {
    for (const std::string& name : participants_) {
      INFO("participant " << name);
      CHECK(world.participant(name)->intents() == 0);
    }
    for (auto& [context, entry] : entries_) {
      INFO("context " << context);
      const State first = world.participant(participants_.front())->committed(context);
      CHECK(entry.allows(first));
      for (const std::string& name : participants_) {
        INFO("participant " << name);
        CHECK(world.participant(name)->committed(context) == first);
      }
      entry.certain = first;  // what was possible is decided now
      entry.possible.reset();
    }
  }

 private:
  struct Entry {
    State certain;
    std::optional<State> possible;

    [[nodiscard]] bool allows(const State& state) const {
      return state == certain || (possible && state == *possible);
    }
  };

  std::vector<std::string> participants_;
  std::map<std::string, Entry> entries_;
  State lastRead_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t aborted_ = 0;
};

}  // namespace test
