// RecentRequests: how the latest requests ended, for the router's health.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lukhas::detail {

enum class RequestEnd : std::uint8_t { success, failure, time_out };

// A ring of the last hundred ends. O(1), fixed memory.
class RecentRequests {
 public:
  static constexpr std::size_t capacity = 100;
  // With fewer than these a rate says nothing.
  static constexpr std::size_t enough = 20;

  void add(RequestEnd end) noexcept {
    if (size_ == capacity) {
      --counts_[static_cast<std::size_t>(ring_[next_])];
    } else {
      ++size_;
    }
    ring_[next_] = end;
    ++counts_[static_cast<std::size_t>(end)];
    next_ = (next_ + 1) % capacity;
  }

  // 0 to 100; zero when there are not enough requests.
  [[nodiscard]] double percent(RequestEnd end) const noexcept {
    if (size_ < enough) return 0;
    return 100.0 * static_cast<double>(counts_[static_cast<std::size_t>(end)]) / static_cast<double>(size_);
  }

 private:
  std::array<RequestEnd, capacity> ring_{};
  std::array<std::size_t, 3> counts_{};
  std::size_t size_ = 0;
  std::size_t next_ = 0;
};

}  // namespace lukhas::detail
