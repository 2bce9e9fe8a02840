// Taking over what a coordinator left whose log is lost.
#pragma once

#include <mutex>
#include <string>

#include <fmt/format.h>

#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/detail/admission.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/recovery.hpp"
#include "lukhas/preserve/detail/write_decision.hpp"

namespace lukhas::detail {

inline constexpr std::size_t maxAdopted = 1'000;

// With the mutex held.
inline void requireAdoptable(const PreserverState& state, const std::string& coordinator) {
  requireAccepting(state);
  nlohmann::json details{{"argument", "coordinatorId"}, {"value", cleanText(coordinator)}};
  if (!TransactionId::isName(coordinator)) {
    throw Error(Errc::invalid_argument,
                fmt::format("adopt: {} is no coordinator's id; one has 1 to 64 of [A-Za-z0-9._-]",
                            quotedText(coordinator)),
                std::move(details));
  }
  if (coordinator == state.journal->uuid()) {
    throw Error(Errc::invalid_argument, fmt::format("adopt: {} is this coordinator itself", coordinator),
                std::move(details));
  }
  if (!state.adopted.contains(coordinator) && state.adopted.size() >= maxAdopted) {
    throwOverloaded({"coordinators are adopted already", maxAdopted});
  }
}

// The record comes before the deed: who decided about these transactions can be read afterwards.
inline asio::awaitable<RecoveryReport> adoptIn(PreserverStatePtr state, std::string coordinator) {
  {
    const std::lock_guard lock(state->mutex);
    requireAdoptable(*state, coordinator);
  }
  {
    const DecidingMark mark(state);  // the log keeps the record until it is in the books
    const Adoption adoption{coordinator, state->environment.wallNow()};
    const Lsn lsn = co_await state->journal->appendDurable(static_cast<std::uint8_t>(DecisionRecord::adopt),
                                                           adoption.encode());
    const std::lock_guard lock(state->mutex);
    state->adopted[coordinator] = lsn;
  }
  co_return co_await recoverOnce(state);
}

}  // namespace lukhas::detail
