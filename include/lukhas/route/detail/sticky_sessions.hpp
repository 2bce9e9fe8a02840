// StickySessions: which model answered a session last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace lukhas::detail {

// The `capacity` sessions that were used last. O(1).
class StickySessions {
 public:
  explicit StickySessions(std::size_t capacity) : capacity_(capacity) {}

  // The number of the model's registration; 0 when there is none.
  [[nodiscard]] std::uint64_t find(const std::string& session) {
    const auto found = bySession_.find(session);
    if (found == bySession_.end()) return 0;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
  }
  void stick(const std::string& session, std::uint64_t model) {
    if (capacity_ == 0) return;
    if (find(session) != 0) {
      order_.front().second = model;
      return;
    }
    if (order_.size() == capacity_) {
      bySession_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(session, model);
    bySession_.emplace(order_.front().first, order_.begin());
  }
  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }

 private:
  using Order = std::list<std::pair<std::string, std::uint64_t>>;  // the latest first

  std::size_t capacity_;
  Order order_;
  std::unordered_map<std::string_view, Order::iterator> bySession_;  // the keys are those in order_
};

}  // namespace lukhas::detail
