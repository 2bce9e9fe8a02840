// FencingToken: which of two holders of a lock came later.
#pragma once

#include <compare>
#include <cstdint>
#include <ostream>

namespace lukhas {

// Each grant of an AsyncLock has one, greater than that of every earlier grant, whatever the keys. A holder
// hands it to what the lock protects, and that refuses whoever comes with a smaller one than it has seen: so
// a holder whose lock was forced free does no harm, even when it does not know yet (Martin Kleppmann, "How to
// do distributed locking", 2016).
//
//   if (guard.token() < newestSeen) throw Outdated();
//
// Only tokens of the same AsyncLock compare: another one begins at 1 again.
class FencingToken {
 public:
  // No grant: smaller than every grant's.
  constexpr FencingToken() = default;
  explicit constexpr FencingToken(std::uint64_t value) noexcept : value_(value) {}

  [[nodiscard]] constexpr std::uint64_t value() const noexcept { return value_; }

  friend constexpr auto operator<=>(FencingToken, FencingToken) = default;
  friend std::ostream& operator<<(std::ostream& out, FencingToken token) { return out << token.value_; }

 private:
  std::uint64_t value_ = 0;
};

}  // namespace lukhas
