// The records that the coordinator writes to its journal. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"
#include "lukhas/preserve/context_snapshot.hpp"
#include "lukhas/preserve/participant.hpp"

namespace lukhas {

namespace detail {

[[nodiscard]] inline Bytes toCborBytes(const nlohmann::json& record) {
  const std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(record);
  return toBytes(std::string_view(reinterpret_cast<const char*>(cbor.data()), cbor.size()));
}

// What `read` makes of the record. Throws Errc::decode_failed for bytes that are none of that kind.
template <class Read>
[[nodiscard]] auto fromCbor(const char* type, ByteView bytes, Read read) {
  try {
    return read(nlohmann::json::from_cbor(asText(bytes)));
  } catch (const nlohmann::json::exception&) {
    throw Error(Errc::decode_failed, std::string("a record of the transaction log is no ") + type,
                {{"type", type}});
  }
}

}  // namespace detail

// Numbers of the record types in the journal; never reused for another meaning.
enum class DecisionRecord : std::uint8_t {
  commit = 1,       // the decision: from here on the transaction is committed, whatever happens
  end = 2,          // every participant has done it; written without waiting for the disk
  commit_many = 3,  // one decision about several transactions
  adopt = 4,        // from here on this coordinator decides for another one, which is lost
};

// The decision to commit one transaction.
struct Decision {
  TransactionRef transaction;
  std::string decisionId;  // of the first transaction of those that were decided together; empty: its own
  std::vector<std::string> participants;
  std::vector<Duration> votes;  // how long each participant took to say yes; empty: not known
  std::uint64_t payloadHash = 0;
  WallTime decidedAt{};

  // CBOR, because a context id may be any bytes.
  [[nodiscard]] Bytes encode() const { return detail::toCborBytes(toRecord()); }
  [[nodiscard]] static Bytes encodeMany(const std::vector<Decision>& decisions) {
    nlohmann::json records = nlohmann::json::array();
    for (const Decision& decision : decisions) records.push_back(decision.toRecord());
    return detail::toCborBytes(records);
  }

  // Throws Errc::decode_failed. The journal has checked the bytes; this guards against a record of another
  // program.
  [[nodiscard]] static Decision decode(ByteView bytes) {
    return detail::fromCbor("Decision", bytes, &Decision::fromRecord);
  }
  // What a record of that type decides; nothing when it is no decision. Throws as decode().
  [[nodiscard]] static std::vector<Decision> decodeAll(std::uint8_t type, ByteView bytes) {
    if (type == static_cast<std::uint8_t>(DecisionRecord::commit)) return {decode(bytes)};
    if (type != static_cast<std::uint8_t>(DecisionRecord::commit_many)) return {};
    return detail::fromCbor("Decision", bytes, [](const nlohmann::json& records) {
      std::vector<Decision> decisions;
      for (const nlohmann::json& record : records.get_ref<const nlohmann::json::array_t&>()) {
        decisions.push_back(fromRecord(record));
      }
      return decisions;
    });
  }

  [[nodiscard]] HistoryEntry toHistory() const {
    HistoryEntry entry;
    entry.contextId = transaction.contextId;
    entry.transactionId = transaction.transactionId;
    entry.decisionId = decisionId.empty() ? transaction.transactionId : decisionId;
    entry.version = transaction.version;
    entry.decidedAt = decidedAt;
    entry.participants = participants;
    for (std::size_t i = 0; i < participants.size(); ++i) {
      ParticipantAnswer answer;
      answer.participant = participants[i];
      if (i < votes.size()) answer.preparedAfter = votes[i];
      entry.answers.push_back(std::move(answer));
    }
    entry.forgets = transaction.forgets;
    return entry;
  }

 private:
  [[nodiscard]] nlohmann::json toRecord() const {
    nlohmann::json record{{"t", transaction.transactionId},
                          {"c", transaction.contextId},
                          {"v", transaction.version},
                          {"f", transaction.forgets},
                          {"p", participants},
                          {"h", payloadHash},
                          {"w", decidedAt.time_since_epoch().count()}};
    if (!decisionId.empty()) record["g"] = decisionId;
    for (const Duration vote : votes) record["a"].push_back(vote.count());
    return record;
  }
  [[nodiscard]] static Decision fromRecord(const nlohmann::json& record) {
    Decision decision;
    decision.transaction.transactionId = record.at("t").get<std::string>();
    decision.transaction.contextId = record.at("c").get<std::string>();
    decision.transaction.version = record.at("v").get<std::uint64_t>();
    decision.transaction.forgets = record.at("f").get<bool>();
    decision.participants = record.at("p").get<std::vector<std::string>>();
    decision.payloadHash = record.at("h").get<std::uint64_t>();
    decision.decidedAt = WallTime(Duration(record.at("w").get<std::int64_t>()));
    decision.decisionId = record.value("g", "");
    if (const auto votes = record.find("a"); votes != record.end()) {
      for (const auto count : votes->get<std::vector<std::int64_t>>()) decision.votes.emplace_back(count);
    }
    return decision;
  }
};

// That every participant has done what was decided, and how long after the decision each one had.
struct DecisionEnd {
  std::string transactionId;
  std::map<std::string, Duration> appliedAfter;  // of those whose answer was seen

  [[nodiscard]] Bytes encode() const {
    nlohmann::json record{{"t", transactionId}};
    for (const auto& [name, after] : appliedAfter) record["d"][name] = after.count();
    return detail::toCborBytes(record);
  }
  // Throws Errc::decode_failed.
  [[nodiscard]] static DecisionEnd decode(ByteView bytes) {
    return detail::fromCbor("DecisionEnd", bytes, [](const nlohmann::json& record) {
      DecisionEnd end;
      end.transactionId = record.at("t").get<std::string>();
      if (const auto times = record.find("d"); times != record.end()) {
        for (const auto& [name, after] : times->items()) {
          end.appliedAfter[name] = Duration(after.template get<std::int64_t>());
        }
      }
      return end;
    });
  }
};

// That an operator handed the transactions of a lost coordinator to this one.
struct Adoption {
  std::string coordinator;  // the uuid of its journal
  WallTime adoptedAt{};

  [[nodiscard]] Bytes encode() const {
    return detail::toCborBytes({{"c", coordinator}, {"w", adoptedAt.time_since_epoch().count()}});
  }
  // Throws Errc::decode_failed.
  [[nodiscard]] static Adoption decode(ByteView bytes) {
    return detail::fromCbor("Adoption", bytes, [](const nlohmann::json& record) {
      Adoption adoption;
      adoption.coordinator = record.at("c").get<std::string>();
      adoption.adoptedAt = WallTime(Duration(record.at("w").get<std::int64_t>()));
      return adoption;
    });
  }
};

}  // namespace lukhas
