// The errors of a participant that keeps its contexts at a path.
#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/preserve_error.hpp"

namespace lukhas::detail {

// Each names the participant and the path.
class ParticipantErrors {
 public:
  ParticipantErrors(std::string participant, std::string path)
      : participant_(std::move(participant)), path_(std::move(path)) {}

  [[nodiscard]] const std::string& participant() const noexcept { return participant_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  // It may pass: a full disk, a lock, a failing device, not being open.
  [[nodiscard]] Error unavailable(const std::string& cause) const {
    return make(PreserveErrc::participant_unavailable, fmt::format("is not available: {}", cause),
                {{"cause", cause}});
  }
  [[nodiscard]] Error locked(const std::string& cause) const {
    return make(PreserveErrc::participant_locked, fmt::format("is held by another process: {}", cause),
                {{"cause", cause}});
  }
  // What is stored is damaged. `where`: the file, or the record in it.
  [[nodiscard]] Error corrupt(const std::string& where, const std::string& cause) const {
    return make(PreserveErrc::corrupt_snapshot, fmt::format("has damage in '{}': {}", where, cause),
                {{"damaged", where}, {"cause", cause}});
  }
  [[nodiscard]] Error refused(const std::string& transactionId, const std::string& cause) const {
    return make(PreserveErrc::refused, fmt::format("refuses transaction {}: {}", transactionId, cause),
                {{"transactionId", transactionId}, {"cause", cause}});
  }
  [[nodiscard]] Error heldByIntent(const StoredContext& asked, const std::string& holder) const {
    return make(PreserveErrc::conflict,
                fmt::format("refuses transaction {}: the context is prepared for transaction {}",
                            asked.transactionId, holder),
                {{"transactionId", asked.transactionId}, {"holder", holder}});
  }
  [[nodiscard]] Error staleVersion(const StoredContext& asked, std::uint64_t committed) const {
    return make(PreserveErrc::conflict,
                fmt::format("refuses version {} of transaction {}: version {} is committed", asked.version,
                            asked.transactionId, committed),
                {{"transactionId", asked.transactionId},
                 {"version", asked.version},
                 {"committedVersion", committed}});
  }
  [[nodiscard]] Error unknownTransaction(const TransactionRef& asked) const {
    return make(PreserveErrc::unknown_transaction,
                fmt::format("knows neither an intent nor the result of transaction {}", asked.transactionId),
                {{"transactionId", asked.transactionId}, {"version", asked.version}});
  }

 private:
  [[nodiscard]] Error make(PreserveErrc code, const std::string& sentence, nlohmann::json details) const {
    details["participant"] = participant_;
    details["path"] = path_;
    return Error(code, fmt::format("participant '{}' at '{}' {}", participant_, path_, sentence),
                 std::move(details));
  }

  std::string participant_;
  std::string path_;
};

}  // namespace lukhas::detail
