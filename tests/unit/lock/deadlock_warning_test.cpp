#include "lukhas/lock/deadlock_warning.hpp"

#include <sstream>

#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::DeadlockWarning;
using lukhas::FencingToken;

namespace {

std::string written(const DeadlockWarning& warning) {
  std::ostringstream out;
  out << warning;
  return out.str();
}

}  // namespace

TEST_CASE("a deadlock warning is written as one sentence", "[lock]") {
  CHECK(written({"session:42", "importer", 10s, 3, FencingToken(7)}) ==
        "lock \"session:42\" is held for 10.0 s by \"importer\" (token 7), 3 waiting: possible deadlock");
}

TEST_CASE("a warning without a holder names none", "[lock]") {
  CHECK(written({"a", "", 12'340ms, 0, FencingToken(1)}) ==
        "lock \"a\" is held for 12.3 s (token 1), 0 waiting: possible deadlock");
}

TEST_CASE("names from outside cannot break the sentence", "[lock]") {
  CHECK(written({"a\"\n\xFF", "", 1s, 0, FencingToken(1)}) ==
        "lock \"a\\\"\\n\xEF\xBF\xBD\" is held for 1.0 s (token 1), 0 waiting: possible deadlock");
}
