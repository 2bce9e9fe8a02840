// How hard the random suites try: `tests/run --deep` sets LUKHAS_DEEP=1.
#pragma once

#include <cstdlib>
#include <cstring>

namespace test {

[[nodiscard]] inline bool deep() {
  const char* wanted = std::getenv("LUKHAS_DEEP");
  return wanted != nullptr && std::strcmp(wanted, "1") == 0;
}

}  // namespace test
