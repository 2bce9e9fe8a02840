// What TTLEnforcementEngine reports.
#pragma once

#include <string>

#include "lukhas/async/world.hpp"

namespace lukhas {

// The entry expired, its grace period is over, and it was removed.
struct EntryExpired {
  std::string key;
  std::string type;  // empty: registered without one
};

// The entry is still valid, and ends after `remaining` unless it is refreshed or extended.
struct EntryExpiringSoon {
  std::string key;
  std::string type;
  Duration remaining{};
};

}  // namespace lukhas
