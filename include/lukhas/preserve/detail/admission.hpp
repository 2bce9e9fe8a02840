// How transactions come among those under way, and leave them: bounds, waiting for a place, and the queues of
// contexts.
#pragma once

#include <algorithm>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/wait_list.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/participant_naming.hpp"

namespace lukhas::detail {

// One call that waits for a place for all its transactions.
struct WaitingCall {
  WaitingCall(const Environment& environment, const TransactionGroup& group)
      : transactions(group), changed(environment) {}

  TransactionGroup transactions;
  std::size_t bytes = 0;
  std::list<std::shared_ptr<WaitingCall>>::iterator place;
  bool settled = false;        // it has its places, or `failure` tells why not
  std::exception_ptr failure;  // guarded by the state's mutex, as `settled`
  WaitList changed;
};

inline void requireAccepting(const PreserverState& state) {
  if (state.accepting) return;
  throw Error(PreserveErrc::not_started,
              state.stopping ? "the preserver was stopped" : "the preserver is not started: call start()");
}

[[nodiscard]] inline std::size_t bytesOf(const TransactionGroup& group) {
  std::size_t bytes = 0;
  for (const TransactionPtr& transaction : group) bytes += transaction->context.payload.size();
  return bytes;
}

// Takes the transaction out of the queue of its context and from among the live, if it is there. Gives the
// one whose turn it is now, if that has changed. With the mutex held.
[[nodiscard]] inline TransactionPtr leaveQueue(PreserverState& state, const TransactionPtr& transaction) {
  const auto live = state.live.find(transaction->context.transactionId);
  if (live == state.live.end() || live->second != transaction) return nullptr;
  const TransactionPtr before = std::exchange(transaction->predecessor, nullptr);
  const TransactionPtr after = transaction->successor.lock();
  if (before) before->successor = after;
  if (after) after->predecessor = before;
  const auto newest = state.newest.find(transaction->context.contextId);
  if (newest != state.newest.end() && newest->second == transaction) {
    if (before) {
      newest->second = before;
    } else {
      state.newest.erase(newest);
    }
  }
  state.liveBytes -= transaction->context.payload.size();
  state.live.erase(live);
  return before ? nullptr : after;
}

// Gives the transaction its id and its place in the context's queue. With the mutex held; all or nothing.
inline void joinQueue(PreserverState& state, const TransactionPtr& transaction) {
  for (const ParticipantPtr& participant : transaction->participants) {
    if (!state.isRegistered(participant)) throwGone(participant->name());
  }
  const TransactionId id{state.options.nameSpace, state.journal->uuid(), state.journal->epoch(),
                         state.nextSequence++};
  transaction->context.transactionId = id.toString();
  const auto live = state.live.emplace(transaction->context.transactionId, transaction).first;
  try {
    TransactionPtr& newest = state.newest[transaction->context.contextId];
    if (newest) {
      transaction->predecessor = newest;
      newest->successor = transaction;
    }
    newest = transaction;
  } catch (...) {  // without memory
    state.live.erase(live);
    throw;
  }
  state.liveBytes += transaction->context.payload.size();
}

// All of a group, in one step, so that two groups never wait for each other. With the mutex held.
inline void joinQueues(PreserverState& state, const TransactionGroup& group) {
  std::size_t joined = 0;
  try {
    for (; joined < group.size(); ++joined) joinQueue(state, group[joined]);
  } catch (...) {
    // Nobody came behind them meanwhile.
    while (joined > 0) (void)leaveQueue(state, group[--joined]);
    throw;
  }
  state.counters.totalTransactions += group.size();
}

// Which bound leaves no place for the group now; nothing when there is one. With the mutex held.
struct ReachedBound {
  const char* what = nullptr;
  std::size_t maximum = 0;
};
[[nodiscard]] inline ReachedBound findBound(const PreserverState& state, std::size_t count,
                                            std::size_t bytes) {
  const AtomicContextPreserverOptions& options = state.options;
  if (state.live.size() + count > options.maxConcurrent) {
    return {"transactions are under way already", options.maxConcurrent};
  }
  if (state.decided.size() + count > options.maxInDoubt) {
    return {"transactions wait for participants that do not commit", options.maxInDoubt};
  }
  if (state.liveBytes + bytes > options.maxQueuedBytes) {
    return {"bytes of contexts are under way already", options.maxQueuedBytes};
  }
  return {};
}
[[noreturn]] inline void throwOverloaded(const ReachedBound& bound) {
  nlohmann::json details{{"maximum", bound.maximum}};
  throw Error(PreserveErrc::overloaded, fmt::format("{} {}", bound.maximum, bound.what), std::move(details));
}

// Gives places to those who wait, as far as there are any. Whoever frees one calls this without the mutex.
inline void admitWaiting(PreserverState& state) {
  std::list<std::shared_ptr<WaitingCall>> settled;  // its nodes are those of `waiting`: nothing can fail here
  {
    const std::lock_guard lock(state.mutex);
    while (!state.waiting.empty()) {
      WaitingCall& next = *state.waiting.front();
      if (state.accepting && findBound(state, next.transactions.size(), next.bytes).what != nullptr) break;
      try {
        if (!state.accepting) throw Error(PreserveErrc::not_started, "the preserver was stopped meanwhile");
        joinQueues(state, next.transactions);
      } catch (...) {
        next.failure = std::current_exception();
      }
      next.settled = true;
      state.waitingBytes -= next.bytes;
      settled.splice(settled.end(), state.waiting, state.waiting.begin());
    }
  }
  for (const std::shared_ptr<WaitingCall>& call : settled) call->changed.resumeAll();
}

// Ends the transactions' time in the queues and among the live, however they leave their coroutine.
class EndOfTransactions {
 public:
  EndOfTransactions(PreserverStatePtr state, TransactionGroup group)
      : state_(std::move(state)), group_(std::move(group)) {}
  EndOfTransactions(const EndOfTransactions&) = delete;
  EndOfTransactions& operator=(const EndOfTransactions&) = delete;

  ~EndOfTransactions() {
    for (const TransactionPtr& transaction : group_) {
      TransactionPtr next;
      {
        const std::lock_guard lock(state_->mutex);
        next = leaveQueue(*state_, transaction);
      }
      if (next) next->call->progress.resumeAll();
    }
    state_->idle.resumeAll();
    admitWaiting(*state_);
  }

 private:
  PreserverStatePtr state_;
  TransactionGroup group_;
};

// A participant has applied a decision.
inline void noteApplied(PreserverState& state, const TransactionRef& transaction,
                        const std::string& participant) {
  state.markDone(transaction, participant);
  admitWaiting(state);
}

// Takes a call that does not wait any longer off the list, or gives back the places that it got meanwhile.
class WaitingPlace {
 public:
  WaitingPlace(PreserverStatePtr state, std::shared_ptr<WaitingCall> call)
      : state_(std::move(state)), call_(std::move(call)) {}
  WaitingPlace(const WaitingPlace&) = delete;
  WaitingPlace& operator=(const WaitingPlace&) = delete;
  void keepPlaces() noexcept { kept_ = true; }

  ~WaitingPlace() {
    if (kept_) return;
    {
      const std::lock_guard lock(state_->mutex);
      if (!call_->settled) {
        state_->waiting.erase(call_->place);
        state_->waitingBytes -= call_->bytes;
        call_->transactions.clear();
      }
    }
    // The first of those behind it may need less room than it did.
    const EndOfTransactions end(state_, std::move(call_->transactions));
  }

 private:
  PreserverStatePtr state_;
  std::shared_ptr<WaitingCall> call_;
  bool kept_ = false;
};

// Whether the group has its places; otherwise it waits. Throws for what can never have them, and where nobody
// waits. With the mutex held.
[[nodiscard]] inline std::shared_ptr<WaitingCall> joinOrWait(PreserverState& state,
                                                             const TransactionGroup& group) {
  requireAccepting(state);
  const std::size_t bytes = bytesOf(group);
  const ReachedBound bound = findBound(state, group.size(), bytes);
  const bool waits = state.options.whenFull == PreserveOverload::wait;
  if (bound.what == nullptr && state.waiting.empty()) {
    joinQueues(state, group);
    return nullptr;
  }
  if (!waits) throwOverloaded(bound);
  if (state.waiting.size() >= state.options.maxWaiting) {
    throwOverloaded({"calls wait for a place already", state.options.maxWaiting});
  }
  if (state.waitingBytes + bytes > state.options.maxQueuedBytes) {
    throwOverloaded({"bytes of contexts wait for a place already", state.options.maxQueuedBytes});
  }
  const auto call = std::make_shared<WaitingCall>(state.environment, group);
  call->bytes = bytes;
  call->place = state.waiting.insert(state.waiting.end(), call);
  state.waitingBytes += bytes;
  return call;
}

// What a call waits for.
[[nodiscard]] inline ReachedBound boundOf(const PreserverState& state, const WaitingCall& call) {
  const std::lock_guard lock(state.mutex);
  const ReachedBound bound = findBound(state, call.transactions.size(), call.bytes);
  if (bound.what != nullptr) return bound;
  return {"calls wait for a place", state.waiting.size()};
}

// The group is among the live when this returns.
inline asio::awaitable<void> admit(PreserverStatePtr state, TransactionGroup group) {
  PreserverState* const shared = state.get();
  const TimePoint deadline = group.front()->call->turnBy;
  std::shared_ptr<WaitingCall> call;
  {
    const std::lock_guard lock(state->mutex);
    call = joinOrWait(*state, group);
  }
  if (!call) co_return;
  WaitingPlace place(state, call);
  WaitingCall* const mine = call.get();
  const auto isSettled = [shared, mine] {
    const std::lock_guard lock(shared->mutex);
    return mine->settled;
  };
  while (!isSettled()) {
    const WaitResult result = co_await call->changed.waitUntil(deadline, isSettled);
    if (result == WaitResult::timed_out && !isSettled()) throwOverloaded(boundOf(*state, *call));
  }
  std::exception_ptr failure;
  {
    const std::lock_guard lock(state->mutex);
    failure = call->failure;
  }
  if (failure) std::rethrow_exception(failure);
  place.keepPlaces();
}

}  // namespace lukhas::detail
