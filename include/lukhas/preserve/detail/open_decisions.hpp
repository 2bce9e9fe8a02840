// OpenDecisions: the decisions that are not applied everywhere yet.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lukhas/journal/journal.hpp"
#include "lukhas/preserve/decision_log.hpp"

namespace lukhas::detail {

struct OpenDecision {
  Decision decision;
  Lsn lsn{};
  std::set<std::string> remaining;              // participants that have not done it
  std::map<std::string, std::string> refusals;  // participant → cause: it will not do it by itself
  std::map<std::string, std::string> retried;   // refusals of before that are asked about once more
  // By participant that has done it: how long after the decision.
  std::map<std::string, Duration> appliedAfter;
};

// The books of what is decided: by transaction, by context, and by place in the log, each in O(log n).
//
// A participant has surely done a decision once a later one about the same context names it too: it takes no
// second intent before it has done with the first. It may have done it without anybody knowing, when its
// answer was lost; telling it again would then meet a context that has moved on, or is gone.
class OpenDecisions {
 public:
  using ById = std::map<std::string, OpenDecision>;

  // Begins to keep a decision, and gives those of the same context that have ended by it.
  [[nodiscard]] std::vector<DecisionEnd> add(OpenDecision open) {
    std::vector<DecisionEnd> ended;
    const std::string id = open.decision.transaction.transactionId;
    const std::string contextId = open.decision.transaction.contextId;
    if (const auto earlier = byContext_.find(contextId); earlier != byContext_.end()) {
      const std::set<std::string> ids = earlier->second;
      for (const std::string& other : ids) {
        for (const std::string& participant : open.decision.participants) {
          std::optional<DecisionEnd> end = done(other, participant, std::nullopt);
          if (end) ended.push_back(std::move(*end));
        }
      }
    }
    places_.insert(open.lsn);
    byContext_[contextId].insert(id);
    byId_.emplace(id, std::move(open));
    return ended;
  }

  // That participant has done it, so long after the decision, if that is known. Gives the end when it was the
  // last one: the decision is then forgotten.
  [[nodiscard]] std::optional<DecisionEnd> done(const std::string& id, const std::string& participant,
                                                std::optional<Duration> after) {
    const auto found = byId_.find(id);
    if (found == byId_.end()) return std::nullopt;
    if (after && found->second.remaining.contains(participant)) {
      found->second.appliedAfter[participant] = *after;
    }
    found->second.remaining.erase(participant);
    found->second.refusals.erase(participant);
    found->second.retried.erase(participant);
    if (!found->second.remaining.empty()) return std::nullopt;
    DecisionEnd end{id, std::move(found->second.appliedAfter)};
    places_.erase(places_.find(found->second.lsn));
    const auto context = byContext_.find(found->second.decision.transaction.contextId);
    context->second.erase(id);
    if (context->second.empty()) byContext_.erase(context);
    byId_.erase(found);
    return end;
  }

  // The decision stands in the log once more, further on. False when it has ended meanwhile.
  bool moveTo(const std::string& id, Lsn lsn) {
    const auto found = byId_.find(id);
    if (found == byId_.end()) return false;
    if (lsn <= found->second.lsn) return true;
    places_.insert(lsn);
    places_.erase(places_.find(found->second.lsn));
    found->second.lsn = lsn;
    return true;
  }

  // Null when it is not open.
  [[nodiscard]] OpenDecision* find(const std::string& id) {
    const auto found = byId_.find(id);
    return found == byId_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const OpenDecision* find(const std::string& id) const {
    const auto found = byId_.find(id);
    return found == byId_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool contains(const std::string& id) const { return byId_.contains(id); }
  // The transactions of those about that context.
  [[nodiscard]] std::set<std::string> of(const std::string& contextId) const {
    const auto found = byContext_.find(contextId);
    return found == byContext_.end() ? std::set<std::string>() : found->second;
  }
  [[nodiscard]] bool containsContext(const std::string& contextId) const {
    return byContext_.contains(contextId);
  }
  // Whether that participant has still to do it.
  [[nodiscard]] bool isLeftTo(const std::string& id, const std::string& participant) const {
    const OpenDecision* const open = find(id);
    return open != nullptr && open->remaining.contains(participant);
  }

  void clear() noexcept {
    byId_.clear();
    byContext_.clear();
    places_.clear();
  }
  // The place of the oldest in the log.
  [[nodiscard]] std::optional<Lsn> oldest() const {
    return places_.empty() ? std::nullopt : std::optional(*places_.begin());
  }
  [[nodiscard]] std::size_t size() const noexcept { return byId_.size(); }
  [[nodiscard]] ById::const_iterator begin() const noexcept { return byId_.begin(); }
  [[nodiscard]] ById::const_iterator end() const noexcept { return byId_.end(); }
  // For a change of refusals. Whom a decision is left to is changed by done() alone.
  [[nodiscard]] ById::iterator begin() noexcept { return byId_.begin(); }
  [[nodiscard]] ById::iterator end() noexcept { return byId_.end(); }

 private:
  ById byId_;
  std::unordered_map<std::string, std::set<std::string>> byContext_;
  std::multiset<Lsn> places_;
};

}  // namespace lukhas::detail
