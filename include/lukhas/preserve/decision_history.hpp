// DecisionHistory: the latest decisions, by context. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "lukhas/preserve/context_snapshot.hpp"
#include "lukhas/preserve/decision_log.hpp"

namespace lukhas {

// Decisions by context, newest last: at most `maxEntries` over all contexts, the oldest go first.
class DecisionHistory {
 public:
  explicit DecisionHistory(std::size_t maxEntries) : maxEntries_(maxEntries) {}

  void add(const Decision& decision) {
    if (maxEntries_ == 0) return;
    if (order_.size() == maxEntries_) dropOldest();
    order_.push_back(decision.transaction.contextId);
    byContext_[decision.transaction.contextId].push_back(decision.toHistory());
  }
  // What became known of when participants had applied it. Nothing for a decision that is not remembered.
  void note(const std::string& contextId, const DecisionEnd& end) {
    const auto found = byContext_.find(contextId);
    if (found == byContext_.end()) return;
    for (HistoryEntry& entry : found->second) {
      if (entry.transactionId != end.transactionId) continue;
      for (ParticipantAnswer& answer : entry.answers) {
        const auto after = end.appliedAfter.find(answer.participant);
        if (after != end.appliedAfter.end()) answer.appliedAfter = after->second;
      }
    }
  }
  [[nodiscard]] std::vector<HistoryEntry> of(const std::string& contextId) const {
    const auto found = byContext_.find(contextId);
    if (found == byContext_.end()) return {};
    return {found->second.begin(), found->second.end()};
  }
  // The newest about that context; null when none is remembered.
  [[nodiscard]] const HistoryEntry* newestOf(const std::string& contextId) const {
    const auto found = byContext_.find(contextId);
    return found == byContext_.end() ? nullptr : &found->second.back();
  }
  [[nodiscard]] bool contains(const std::string& contextId, const std::string& transactionId) const {
    const auto found = byContext_.find(contextId);
    if (found == byContext_.end()) return false;
    for (const HistoryEntry& entry : found->second) {
      if (entry.transactionId == transactionId) return true;
    }
    return false;
  }
  // Oldest first.
  [[nodiscard]] std::vector<HistoryEntry> all() const {
    std::vector<HistoryEntry> entries;
    entries.reserve(order_.size());
    std::unordered_map<std::string, std::size_t> next;
    for (const std::string& context : order_) entries.push_back(byContext_.at(context)[next[context]++]);
    return entries;
  }
  // The contexts from the given one on, in the order of their ids, around the end and on from the beginning.
  [[nodiscard]] std::vector<std::string> contextsFrom(const std::string& first, std::size_t most) const {
    std::vector<std::string> contexts;
    auto place = byContext_.lower_bound(first);
    const std::size_t count = std::min(most, byContext_.size());
    while (contexts.size() < count) {
      if (place == byContext_.end()) place = byContext_.begin();
      contexts.push_back(place->first);
      ++place;
    }
    return contexts;
  }
  void clear() noexcept {
    byContext_.clear();
    order_.clear();
  }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }
  [[nodiscard]] std::size_t contexts() const noexcept { return byContext_.size(); }

 private:
  void dropOldest() {
    const auto oldest = byContext_.find(order_.front());
    oldest->second.pop_front();
    if (oldest->second.empty()) byContext_.erase(oldest);
    order_.pop_front();
  }

  std::size_t maxEntries_;
  std::map<std::string, std::deque<HistoryEntry>> byContext_;  // none is empty
  std::deque<std::string> order_;                              // of the decisions, oldest first
};

}  // namespace lukhas
