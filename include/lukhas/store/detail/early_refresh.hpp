// EarlyRefresh: when to load a value anew although it has not expired yet.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "lukhas/async/world.hpp"

namespace lukhas::detail {

// Probabilistic early expiration (Vattani, Chierichetti, Lowenstein: "Optimal Probabilistic Cache Stampede
// Prevention", VLDB 2015, figure 2, XFetch): a read takes a value for expired when
//
//   now - loadTime * beta * ln(u) >= end,      u drawn from (0, 1]
//
// The closer the end, and the longer a load takes, the sooner one read of many does; with beta = 1 it is, in
// the mean, once in the time that a load takes before the end.
//
// The last load time of a key is kept in one of 1,024 places, by the key's hash, and not in its entry: that
// would cost every entry some bytes, and where two keys share a place one is only refreshed too early or too
// late. A key that was never loaded, and shares its place with none, is never refreshed.
//
// Takes 4 KiB when it is switched on. Pure. Any thread may call.
class EarlyRefresh {
 public:
  // beta = 0: never.
  explicit EarlyRefresh(double beta) : beta_(beta) {
    if (beta_ > 0) seconds_ = std::make_unique<Places>();
  }

  [[nodiscard]] bool isOn() const noexcept { return seconds_ != nullptr; }

  void loaded(std::uint32_t keyHash, Duration took) noexcept {
    if (isOn()) place(keyHash).store(std::chrono::duration<float>(took).count(), std::memory_order_relaxed);
  }
  // Whether one read, with 64 random bits of its own, takes it for expired. Precondition: isOn().
  [[nodiscard]] bool isDue(std::uint32_t keyHash, Duration remaining, std::uint64_t random) const noexcept {
    const double took = place(keyHash).load(std::memory_order_relaxed);
    if (took <= 0) return false;
    const double u = (static_cast<double>(random >> 11U) + 1) * 0x1p-53;
    return -took * beta_ * std::log(u) >= std::chrono::duration<double>(remaining).count();
  }

 private:
  static constexpr std::size_t places = 1024;
  using Places = std::array<std::atomic<float>, places>;

  [[nodiscard]] std::atomic<float>& place(std::uint32_t keyHash) const noexcept {
    return (*seconds_)[(keyHash >> 16U) % places];  // other bits than those by which the table finds entries
  }

  double beta_;
  std::unique_ptr<Places> seconds_;
};

}  // namespace lukhas::detail
