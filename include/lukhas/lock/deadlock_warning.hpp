// DeadlockWarning: a lock that is held suspiciously long.
#pragma once

#include <chrono>
#include <cstddef>
#include <ostream>
#include <string>

#include <fmt/format.h>

#include "lukhas/async/world.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/lock/fencing_token.hpp"

namespace lukhas {

// What AsyncLock::onDeadlock tells, once for each hold that lasts longer than AsyncLockOptions::heldWarning.
// It is a suspicion: the holder may just be slow. `std::cerr << warning` writes
//
//   lock "session:42" is held for 10.0 s by "importer" (token 7), 3 waiting: possible deadlock
struct DeadlockWarning {
  std::string key;
  std::string holder;       // its label, or that of its scope; empty when it has neither
  Duration held{};          // so far
  std::size_t waiters = 0;  // for this key, at this moment
  FencingToken token;       // of the hold

  friend std::ostream& operator<<(std::ostream& out, const DeadlockWarning& warning) {
    const std::string by =
        warning.holder.empty() ? std::string() : fmt::format(" by {}", quotedText(warning.holder));
    return out << fmt::format("lock {} is held for {:.1f} s{} (token {}), {} waiting: possible deadlock",
                              quotedText(warning.key), std::chrono::duration<double>(warning.held).count(),
                              by, warning.token.value(), warning.waiters);
  }
};

}  // namespace lukhas
