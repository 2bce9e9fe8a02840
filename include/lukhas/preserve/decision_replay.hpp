// DecisionReplay: what a start makes of the transaction log. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lukhas/core/bytes.hpp"
#include "lukhas/preserve/decision_log.hpp"
#include "lukhas/preserve/transaction_id.hpp"

namespace lukhas {

// What the log says of earlier lives, record by record: the decisions, and which participants may not have
// done them.
//
// A participant has surely done a decision when a later one about the same context names it too, because it
// takes no second intent before it has done with the first. Later is by transaction id, not by place: a
// decision that stays open for long is written again further on.
class DecisionReplay {
 public:
  struct Open {
    Decision decision;
    std::uint64_t lsn = 0;
    std::set<std::string> remaining;
  };

  // Records of other types are not its concern. Throws Errc::decode_failed.
  void add(std::uint8_t type, std::uint64_t lsn, ByteView payload) {
    if (type == static_cast<std::uint8_t>(DecisionRecord::end)) {
      DecisionEnd end = DecisionEnd::decode(payload);
      const std::string id = end.transactionId;
      ended_.insert_or_assign(id, std::move(end));
    }
    if (type == static_cast<std::uint8_t>(DecisionRecord::adopt)) {
      adopted_.insert_or_assign(Adoption::decode(payload).coordinator, lsn);
    }
    for (Decision& decision : Decision::decodeAll(type, payload)) add(std::move(decision), lsn);
  }

  // The coordinators that were adopted, each with the place of its newest record.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& adopted() const noexcept { return adopted_; }
  [[nodiscard]] const std::unordered_map<std::string, DecisionEnd>& ended() const noexcept { return ended_; }

  // Every decision, oldest first.
  [[nodiscard]] std::vector<Decision> all() const {
    std::vector<Decision> decisions;
    for (const std::string& id : order_) decisions.push_back(decisions_.at(id).decision);
    return decisions;
  }

  // Null when there is none of that transaction.
  [[nodiscard]] const Decision* find(const std::string& transactionId) const {
    const auto found = decisions_.find(transactionId);
    return found == decisions_.end() ? nullptr : &found->second.decision;
  }

  // Those that some participant may not have done.
  [[nodiscard]] std::vector<Open> open() const {
    std::map<std::string, std::vector<const Decision*>> byContext;
    for (const auto& [id, found] : decisions_) {
      byContext[found.decision.transaction.contextId].push_back(&found.decision);
    }
    std::vector<Open> left;
    for (const std::string& id : order_) {
      if (ended_.contains(id)) continue;
      Open candidate = decisions_.at(id);
      for (const Decision* other : byContext[candidate.decision.transaction.contextId]) {
        if (!isLater(*other, candidate.decision)) continue;
        for (const std::string& name : other->participants) candidate.remaining.erase(name);
      }
      if (!candidate.remaining.empty()) left.push_back(std::move(candidate));
    }
    return left;
  }

 private:
  void add(Decision decision, std::uint64_t lsn) {
    Open found;
    found.decision = std::move(decision);
    found.lsn = lsn;
    found.remaining.insert(found.decision.participants.begin(), found.decision.participants.end());
    const std::string id = found.decision.transaction.transactionId;
    if (!decisions_.contains(id)) order_.push_back(id);
    decisions_.insert_or_assign(id, std::move(found));
  }
  [[nodiscard]] static bool isLater(const Decision& a, const Decision& b) {
    const std::optional<TransactionId> first = TransactionId::parse(a.transaction.transactionId);
    const std::optional<TransactionId> second = TransactionId::parse(b.transaction.transactionId);
    if (!first || !second) return false;
    return std::pair(first->epoch, first->sequence) > std::pair(second->epoch, second->sequence);
  }

  std::unordered_map<std::string, Open> decisions_;     // by transaction id
  std::vector<std::string> order_;                      // of their first records
  std::unordered_map<std::string, DecisionEnd> ended_;  // by transaction id
  std::map<std::string, std::uint64_t> adopted_;
};

}  // namespace lukhas
