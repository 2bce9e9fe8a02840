// AbortFence: remembers which transactions were aborted, so that a prepare that arrives late is refused.
// Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"
#include "lukhas/preserve/transaction_id.hpp"

namespace lukhas::detail {

// A tombstone for each aborted transaction would grow for ever. What lies in a transaction's id bounds them:
//
//   epoch     grows with each start of a coordinator, and the log's lock lets one life run at a time. So when
//             something of a newer epoch is seen, everything older is refused, and its tombstones can go.
//   sequence  grows within an epoch. Beyond `maxAborted` tombstones the lowest one goes, and everything up to
//             it is refused: at worst a prepare that is much slower than all the others is refused too, which
//             is always allowed.
//
// So what was aborted is never admitted, and the memory is bounded. Two exceptions, both out of a
// coordinator's reach: of ids that are no TransactionId, the newest `maxAborted` are remembered; of
// coordinators, the `maxCoordinators` that aborted something, or began a new epoch, last.
//
// Rejected: forgetting by age. It needs a clock that the sender and we agree on.
class AbortFence {
 public:
  static constexpr std::size_t maxAborted = 1024;
  static constexpr std::size_t maxCoordinators = 64;

  // Whether its tombstone is there.
  [[nodiscard]] bool wasAborted(std::string_view transactionId) const {
    const std::optional<TransactionId> id = TransactionId::parse(transactionId);
    if (!id) return std::find(unordered_.begin(), unordered_.end(), transactionId) != unordered_.end();
    const auto known = find(*id);
    return known != coordinators_.end() && known->epoch == id->epoch && known->aborted.contains(id->sequence);
  }

  // Why a prepare of this transaction is refused; nullptr when it is not.
  [[nodiscard]] const char* refusal(std::string_view transactionId) const {
    if (wasAborted(transactionId)) return "it was aborted";
    const std::optional<TransactionId> id = TransactionId::parse(transactionId);
    if (!id) return nullptr;
    const auto known = find(*id);
    if (known == coordinators_.end() || id->epoch > known->epoch) return nullptr;
    if (id->epoch < known->epoch) return "its coordinator has started anew since";
    if (id->sequence < known->floor) return "it is older than many transactions that were aborted since";
    return nullptr;
  }

  // The transaction was aborted. Whether that changed anything.
  bool add(std::string_view transactionId) {
    if (refusal(transactionId) != nullptr) return false;
    const std::optional<TransactionId> id = TransactionId::parse(transactionId);
    if (!id) {
      unordered_.emplace_back(transactionId);
      if (unordered_.size() > maxAborted) unordered_.pop_front();
      return true;
    }
    Coordinator& coordinator = touch(*id);
    coordinator.aborted.insert(id->sequence);
    if (coordinator.aborted.size() > maxAborted) {
      coordinator.floor = *coordinator.aborted.begin() + 1;
      coordinator.aborted.erase(coordinator.aborted.begin());
    }
    return true;
  }

  // A prepare of this transaction is accepted: earlier epochs of its coordinator are over. Whether that
  // changed anything. Precondition: no refusal.
  bool accept(std::string_view transactionId) {
    const std::optional<TransactionId> id = TransactionId::parse(transactionId);
    if (!id) return false;
    const auto known = find(*id);
    if (known != coordinators_.end() && id->epoch <= known->epoch) return false;
    touch(*id);
    return true;
  }

  [[nodiscard]] Bytes encode() const {
    nlohmann::json coordinators = nlohmann::json::array();
    for (const Coordinator& known : coordinators_)
      coordinators.push_back(nlohmann::json::array({known.key, known.epoch, known.floor, known.aborted}));
    const nlohmann::json all = nlohmann::json::array({coordinators, unordered_});
    const std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(all);
    return toBytes({reinterpret_cast<const char*>(cbor.data()), cbor.size()});
  }
  // Throws Errc::decode_failed.
  [[nodiscard]] static AbortFence decode(ByteView bytes) {
    try {
      const nlohmann::json all = nlohmann::json::from_cbor(asText(bytes));
      AbortFence fence;
      for (const nlohmann::json& one : all.at(0)) {
        Coordinator known;
        known.key = one.at(0).get<std::string>();
        known.epoch = one.at(1).get<std::uint64_t>();
        known.floor = one.at(2).get<std::uint64_t>();
        known.aborted = one.at(3).get<std::set<std::uint64_t>>();
        fence.coordinators_.push_back(std::move(known));
      }
      fence.unordered_ = all.at(1).get<std::deque<std::string>>();
      return fence;
    } catch (const nlohmann::json::exception&) {
      throw Error(Errc::decode_failed, "the record of aborted transactions does not decode",
                  {{"type", "AbortFence"}});
    }
  }

 private:
  struct Coordinator {
    std::string key;
    std::uint64_t epoch = 0;          // the newest that was seen
    std::uint64_t floor = 0;          // of that epoch, every sequence below is refused
    std::set<std::uint64_t> aborted;  // of that epoch, from the floor on
  };
  using Coordinators = std::vector<Coordinator>;

  static std::string keyOf(const TransactionId& id) { return id.nameSpace + ':' + id.coordinator; }

  [[nodiscard]] Coordinators::const_iterator find(const TransactionId& id) const {
    return std::find_if(coordinators_.begin(), coordinators_.end(),
                        [key = keyOf(id)](const Coordinator& known) { return known.key == key; });
  }
  // The coordinator, in this epoch at least, moved to the end of the order.
  Coordinator& touch(const TransactionId& id) {
    const auto known = find(id);
    Coordinator coordinator;
    if (known != coordinators_.end()) {
      coordinator = *known;
      coordinators_.erase(known);
    } else if (coordinators_.size() == maxCoordinators) {
      coordinators_.erase(coordinators_.begin());
    }
    if (coordinator.key.empty() || coordinator.epoch < id.epoch) coordinator = {keyOf(id), id.epoch, 0, {}};
    coordinators_.push_back(std::move(coordinator));
    return coordinators_.back();
  }

  Coordinators coordinators_;          // the one that changed last is the last
  std::deque<std::string> unordered_;  // ids that are no TransactionId, oldest first
};

}  // namespace lukhas::detail
