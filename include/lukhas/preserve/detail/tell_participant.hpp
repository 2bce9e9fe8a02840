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

// Every failure becomes a value, also one that `call` throws before there is anything to wait for. (A
// cancelled caller is thrown out by its next co_await.)
template <class Call>
[[nodiscard]] asio::awaitable<Told> tell(Environment environment, Duration limit, std::string operation,
                                         Call call) {
  Told told;
  try {
    asio::awaitable<void> answer = call();
    co_await withTimeLimit(std::move(environment), limit, std::move(operation), std::move(answer));
  } catch (const std::system_error& error) {
    told.result = classifyFailure(error.code());
    told.cause = error.what();
  } catch (...) {
    told.result = Told::Result::unavailable;
    told.cause = causeOf(std::current_exception());
  }
  co_return told;
}

[[nodiscard]] inline asio::awaitable<Told> tellCommit(PreserverStatePtr state, ParticipantPtr participant,
                                                      TransactionRef transaction, Duration limit) {
  const TimePoint begun = state->environment.now();
  auto commit = [participant, transaction] { return participant->commit(transaction); };
  Told told = co_await tell(state->environment, limit, "commit", std::move(commit));
  const std::lock_guard lock(state->mutex);
  if (PreserverTimes::OfParticipant* const times = state->times.find(participant->name())) {
    if (told.result == Told::Result::done) {
      times->commit.record(state->environment.now() - begun);
    } else {
      ++times->failures;
    }
  }
  co_return told;
}

[[nodiscard]] inline asio::awaitable<Told> tellAbort(PreserverStatePtr state, ParticipantPtr participant,
                                                     TransactionRef transaction, Duration limit) {
  auto abort = [participant, transaction] { return participant->abort(transaction); };
  return tell(state->environment, limit, "abort", std::move(abort));
}

[[nodiscard]] inline asio::awaitable<Told> tellToClose(PreserverStatePtr state, ParticipantPtr participant) {
  auto close = [participant] { return participant->close(); };
  return tell(state->environment, state->options.openTimeout, "close", std::move(close));
}

}  // namespace lukhas::detail
