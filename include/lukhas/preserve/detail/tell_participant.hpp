// Telling one participant what was decided, with a time limit, and what came of it.
#pragma once

#include <string>
#include <utility>

#include "lukhas/async/child_task.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"

namespace lukhas::detail {

struct Told {
  enum class Result {
    done,         // it has done it, now or before
    unavailable,  // it may do it later: try again
    refused,      // it will not do it by itself: an operator has to look
  };
  Result result = Result::done;
  std::string cause;
};

[[nodiscard]] inline Told::Result classifyFailure(const std::error_code& code) {
  const bool final = code == PreserveErrc::unknown_transaction || code == PreserveErrc::refused ||
                     code == PreserveErrc::conflict || code == PreserveErrc::corrupt_snapshot;
  return final ? Told::Result::refused : Told::Result::unavailable;
}

// Every failure becomes a value. (A cancelled caller is thrown out by its next co_await.)
[[nodiscard]] inline asio::awaitable<Told> tell(Environment environment, Duration limit,
                                                std::string operation, asio::awaitable<void> call) {
  Told told;
  try {
    co_await withTimeLimit(std::move(environment), limit, std::move(operation), std::move(call));
  } catch (const std::system_error& error) {
    told.result = classifyFailure(error.code());
    told.cause = error.what();
  } catch (const std::exception& error) {
    told.result = Told::Result::unavailable;
    told.cause = error.what();
  }
  co_return told;
}

[[nodiscard]] inline asio::awaitable<Told> tellCommit(PreserverStatePtr state, ParticipantPtr participant,
                                                      TransactionRef transaction, Duration limit) {
  return tell(state->environment, limit, "commit", participant->commit(std::move(transaction)));
}

[[nodiscard]] inline asio::awaitable<Told> tellAbort(PreserverStatePtr state, ParticipantPtr participant,
                                                     TransactionRef transaction, Duration limit) {
  return tell(state->environment, limit, "abort", participant->abort(std::move(transaction)));
}

}  // namespace lukhas::detail
