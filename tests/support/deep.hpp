// How hard the random suites try: `tests/run --deep` sets LUKHAS_DEEP=1.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace test {

[[nodiscard]] inline bool deep() {
  const char* wanted = std::getenv("LUKHAS_DEEP");
  return wanted != nullptr && std::strcmp(wanted, "1") == 0;
}

// How many runs: `usual`, a tenth of it where a sanitizer makes each of them slow, `most` when asked to go
// deep.
[[nodiscard]] inline std::uint64_t runs(std::uint64_t usual, std::uint64_t most) {
  if (deep()) return most;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return (usual + 9) / 10;
#else
  return usual;
#endif
}

}  // namespace test
