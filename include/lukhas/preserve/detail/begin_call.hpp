// How a call becomes transactions: its rules, and the caller that may leave.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/core/codec.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/context_change.hpp"
#include "lukhas/preserve/detail/admission.hpp"
#include "lukhas/preserve/detail/participant_naming.hpp"
#include "lukhas/preserve/detail/preserver_state.hpp"
#include "lukhas/preserve/detail/transaction_run.hpp"

namespace lukhas::detail {

inline constexpr std::size_t maxContextIdBytes = 256;
inline constexpr std::size_t maxContextsOfOneDecision = 1'000;

inline void requireContextId(const std::string& contextId) {
  if (!contextId.empty() && contextId.size() <= maxContextIdBytes) return;
  nlohmann::json details{{"size", contextId.size()}, {"minimum", 1}, {"maximum", maxContextIdBytes}};
  throw Error(
      PreserveErrc::invalid_context_id,
      fmt::format("a context id of {} bytes; allowed is 1 to {}", contextId.size(), maxContextIdBytes),
      std::move(details));
}

[[nodiscard]] inline std::shared_ptr<TransactionCall> beginCall(const PreserverState& state,
                                                                PreserveUntil until) {
  const auto call = std::make_shared<TransactionCall>(state.environment);
  call->until = until;
  call->begun = state.environment.now();
  call->turnBy = state.environment.after(state.options.queueTimeout);
  return call;
}

// Throws what preserveContext throws for a call that breaks its rules.
[[nodiscard]] inline TransactionPtr makeTransaction(const PreserverState& state,
                                                    std::shared_ptr<TransactionCall> call,
                                                    const std::string& contextId, const nlohmann::json& data,
                                                    const NameList& names) {
  requireContextId(contextId);
  const auto transaction = std::make_shared<Transaction>(std::move(call));
  transaction->participants = findParticipants(state, names);
  StoredContext& stored = transaction->context;
  stored.contextId = contextId;
  stored.payload = Codec<nlohmann::json>::encodeText(data);
  stored.payloadHash = hash64(asBytes(stored.payload));
  if (const std::size_t maximum = state.options.maxContextBytes; stored.payload.size() > maximum) {
    nlohmann::json details{
        {"contextId", cleanText(contextId)}, {"size", stored.payload.size()}, {"maximum", maximum}};
    throw Error(
        PreserveErrc::context_too_large,
        fmt::format("the context has {} bytes as JSON; allowed is up to {}", stored.payload.size(), maximum),
        std::move(details));
  }
  return transaction;
}

// What can be seen to be impossible before anybody is asked.
inline void checkChanges(const PreserverState& state, const std::vector<ContextChange>& changes) {
  const auto refuse = [](const std::string& what, nlohmann::json details) {
    throw Error(Errc::invalid_argument, "preserveMany: " + what, std::move(details));
  };
  const std::size_t maximum =
      std::min({state.options.maxConcurrent, state.options.maxInDoubt, maxContextsOfOneDecision});
  if (changes.size() > maximum) {
    nlohmann::json details{{"argument", "changes"}, {"size", changes.size()}, {"maximum", maximum}};
    refuse(fmt::format("{} contexts; allowed is up to {}", changes.size(), maximum), std::move(details));
  }
  std::set<std::string_view> seen;
  for (const ContextChange& change : changes) {
    if (seen.insert(change.contextId()).second) continue;
    nlohmann::json details{{"argument", "changes"}, {"contextId", cleanText(change.contextId())}};
    refuse(fmt::format("context {} stands twice in one call", quotedText(change.contextId())),
           std::move(details));
  }
}

// The transactions run to their end by themselves. This tells them when nobody waits for the answer any more.
class CallerMark {
 public:
  CallerMark(std::shared_ptr<TransactionCall> call, ChildTask<TransactionRun::Outcomes>& run)
      : call_(std::move(call)), run_(run) {}
  CallerMark(const CallerMark&) = delete;
  CallerMark& operator=(const CallerMark&) = delete;
  ~CallerMark() {
    call_->callerLeft = true;
    call_->progress.resumeAll();
    run_.detach();
  }

 private:
  std::shared_ptr<TransactionCall> call_;
  ChildTask<TransactionRun::Outcomes>& run_;
};

inline asio::awaitable<TransactionRun::Outcomes> transact(PreserverStatePtr state, TransactionGroup group) {
  co_await admit(state, group);
  std::optional<ChildTask<TransactionRun::Outcomes>> run;
  try {
    run.emplace(state->environment, TransactionRun::run(state, group));
  } catch (...) {  // without memory
    const EndOfTransactions end(state, group);
    throw;
  }
  const CallerMark mark(group.front()->call, *run);
  co_return co_await run->join();
}

}  // namespace lukhas::detail
