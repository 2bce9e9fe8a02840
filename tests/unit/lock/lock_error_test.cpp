#include "lukhas/lock/lock_error.hpp"

#include <iterator>
#include <set>
#include <string>

#include "support/catch.hpp"

using lukhas::LockErrc;

TEST_CASE("every lock error has a sentence of its own", "[lock]") {
  std::set<std::string> sentences;
  const LockErrc all[] = {LockErrc::timeout,      LockErrc::lock_closed, LockErrc::empty_key,
                          LockErrc::key_too_long, LockErrc::overloaded,  LockErrc::deadlock_detected};
  for (const LockErrc code : all) {
    CHECK(make_error_code(code).category().name() == std::string("lukhas.lock"));
    sentences.insert(make_error_code(code).message());
  }
  CHECK(sentences.size() == std::size(all));
  CHECK(sentences.count("unknown error") == 0);
}
