// Why a transaction is aborted, and the errors that its caller gets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/quoted_text.hpp"
#include "lukhas/preserve/detail/transaction.hpp"
#include "lukhas/preserve/preserve_error.hpp"

namespace lukhas::detail {

struct Refusal {
  std::string participant;  // empty when it was none of them
  std::string cause;
  std::optional<std::uint64_t> version = std::nullopt;  // the one there is, where another was expected
  TransactionPtr of = nullptr;  // the one of a group that cannot be; null when it is not a single one

  [[nodiscard]] std::string inWords() const {
    return participant.empty() ? cause : fmt::format("participant '{}': {}", participant, cause);
  }
};

[[noreturn]] inline void throwAborted(const StoredContext& context, const Refusal& refusal) {
  nlohmann::json details{{"transactionId", context.transactionId}, {"cause", refusal.cause}};
  details["participant"] =
      refusal.participant.empty() ? nlohmann::json() : nlohmann::json(refusal.participant);
  details["contextId"] = cleanText(context.contextId);
  throw Error(PreserveErrc::aborted,
              fmt::format("transaction {} was aborted: {}", context.transactionId, refusal.inWords()),
              std::move(details));
}

[[noreturn]] inline void throwVersionConflict(const std::string& contextId, std::uint64_t expected,
                                              std::uint64_t version) {
  const auto inWords = [](std::uint64_t number) {
    return number == 0 ? std::string("no such context") : fmt::format("version {}", number);
  };
  nlohmann::json details{
      {"contextId", cleanText(contextId)}, {"expectedVersion", expected}, {"version", version}};
  throw Error(PreserveErrc::version_conflict,
              fmt::format("context {}: {} was expected, and there is {}", quotedText(contextId),
                          inWords(expected), inWords(version)),
              std::move(details));
}

[[noreturn]] inline void throwUnknown(const TransactionGroup& group, const std::string& cause) {
  const std::string& first = group.front()->context.transactionId;
  nlohmann::json details{{"transactionId", first}, {"cause", cause}};
  std::string others;
  if (group.size() > 1) {
    for (const TransactionPtr& transaction : group) {
      details["transactionIds"].push_back(transaction->context.transactionId);
    }
    others = fmt::format(", with {} more,", group.size() - 1);
  }
  throw Error(PreserveErrc::outcome_unknown,
              fmt::format("whether transaction {}{} is committed is not known yet: {}", first, others, cause),
              std::move(details));
}

}  // namespace lukhas::detail
