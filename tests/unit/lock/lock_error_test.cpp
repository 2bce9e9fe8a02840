#include "lukhas/lock/lock_error.hpp"

#include <set>
#include <string>

#include "support/catch.hpp"

using lukhas::LockErrc;

TEST_CASE("every lock error has a sentence of its own", "[lock]") {
  std::set<std::string> sentences;
  const LockErrc all[] = {LockErrc::timeout, LockErrc::closed, LockErrc::empty_key, LockErrc::key_too_long,
                          LockErrc::overloaded};
  for (const LockErrc code : all) {
    CHECK(make_error_code(code).category().name() == std::string("lukhas.lock"));
    sentences.insert(make_error_code(code).message());
  }
  CHECK(sentences.size() == 5);
  CHECK(sentences.count("unknown error") == 0);
}
