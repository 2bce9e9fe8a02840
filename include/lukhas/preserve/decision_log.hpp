// The records that the coordinator writes to its journal, and what a start makes of them. Pure.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"
#include "lukhas/preserve/context_snapshot.hpp"
#include "lukhas/preserve/participant.hpp"
#include "lukhas/preserve/transaction_id.hpp"

namespace lukhas {

// Numbers of the record types in the journal; never reused for another meaning.
enum class DecisionRecord : std::uint8_t {
  commit = 1,  // the decision: from here on the transaction is committed, whatever happens
  end = 2,     // every participant has done it; written without waiting for the disk
};

// The decision to commit one transaction.
struct Decision {
  TransactionRef transaction;
  std::vector<std::string> participants;
  std::uint64_t payloadHash = 0;
  WallTime decidedAt{};

  // CBOR, because a context id may be any bytes.
  [[nodiscard]] Bytes encode() const {
    const nlohmann::json record{{"t", transaction.transactionId},
                                {"c", transaction.contextId},
                                {"v", transaction.version},
                                {"f", transaction.forgets},
                                {"p", participants},
                                {"h", payloadHash},
                                {"w", decidedAt.time_since_epoch().count()}};
    const std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(record);
    const std::string_view text(reinterpret_cast<const char*>(cbor.data()), cbor.size());
    return toBytes(text);
  }

  // Throws Errc::decode_failed. The journal has checked the bytes; this guards against a record of another
  // program.
  [[nodiscard]] static Decision decode(ByteView bytes) {
    try {
      const nlohmann::json record = nlohmann::json::from_cbor(asText(bytes));
      Decision decision;
      decision.transaction.transactionId = record.at("t").get<std::string>();
      decision.transaction.contextId = record.at("c").get<std::string>();
      decision.transaction.version = record.at("v").get<std::uint64_t>();
      decision.transaction.forgets = record.at("f").get<bool>();
      decision.participants = record.at("p").get<std::vector<std::string>>();
      decision.payloadHash = record.at("h").get<std::uint64_t>();
      decision.decidedAt = WallTime(Duration(record.at("w").get<std::int64_t>()));
      return decision;
    } catch (const nlohmann::json::exception&) {
      throw Error(Errc::decode_failed, "a record of the transaction log is not a decision",
                  {{"type", "Decision"}});
    }
  }

  [[nodiscard]] HistoryEntry toHistory() const {
    return {transaction.transactionId, transaction.version, decidedAt, participants, transaction.forgets};
  }
};

// Decisions by context, newest last: at most `maxEntries` over all contexts, the oldest go first.
class DecisionHistory {
 public:
  explicit DecisionHistory(std::size_t maxEntries) : maxEntries_(maxEntries) {}

  void add(const Decision& decision) {
    if (maxEntries_ == 0) return;
    if (order_.size() == maxEntries_) {
      const auto oldest = byContext_.find(order_.front());
      oldest->second.pop_front();
      if (oldest->second.empty()) byContext_.erase(oldest);
      order_.pop_front();
    }
    byContext_[decision.transaction.contextId].push_back(decision.toHistory());
    order_.push_back(decision.transaction.contextId);
  }
  [[nodiscard]] std::vector<HistoryEntry> of(const std::string& contextId) const {
    const auto found = byContext_.find(contextId);
    if (found == byContext_.end()) return {};
    return {found->second.begin(), found->second.end()};
  }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }

 private:
  std::size_t maxEntries_;
  std::unordered_map<std::string, std::deque<HistoryEntry>> byContext_;
  std::deque<std::string> order_;
};

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
      ended_.insert(std::string(asText(payload)));
    }
    if (type != static_cast<std::uint8_t>(DecisionRecord::commit)) return;
    Open found;
    found.decision = Decision::decode(payload);
    found.lsn = lsn;
    found.remaining.insert(found.decision.participants.begin(), found.decision.participants.end());
    const std::string id = found.decision.transaction.transactionId;
    if (!decisions_.contains(id)) order_.push_back(id);
    decisions_.insert_or_assign(id, std::move(found));
  }

  // Every decision, oldest first.
  [[nodiscard]] std::vector<Decision> all() const {
    std::vector<Decision> decisions;
    for (const std::string& id : order_) decisions.push_back(decisions_.at(id).decision);
    return decisions;
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
  [[nodiscard]] static bool isLater(const Decision& a, const Decision& b) {
    const std::optional<TransactionId> first = TransactionId::parse(a.transaction.transactionId);
    const std::optional<TransactionId> second = TransactionId::parse(b.transaction.transactionId);
    if (!first || !second) return false;
    return std::pair(first->epoch, first->sequence) > std::pair(second->epoch, second->sequence);
  }

  std::unordered_map<std::string, Open> decisions_;  // by transaction id
  std::vector<std::string> order_;                   // of their first records
  std::set<std::string> ended_;
};

}  // namespace lukhas
