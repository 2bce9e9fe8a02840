// LockHolder: who holds a key, and how.
#pragma once

#include <cstdint>
#include <string>

#include "lukhas/async/world.hpp"
#include "lukhas/lock/fencing_token.hpp"

namespace lukhas {

enum class LockMode : std::uint8_t {
  exclusive,  // nobody else holds the key
  shared,     // others may hold it too, all of them shared
};

// One of AsyncLock::holders(key), for diagnosis: the moment after, it may be gone.
struct LockHolder {
  std::string label;  // of the call, or of its scope; empty when neither has one
  LockMode mode{};
  FencingToken token;
  Duration held{};  // so far
};

}  // namespace lukhas
