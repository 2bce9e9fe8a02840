#include "lukhas/journal/journal_error.hpp"

#include <set>
#include <string>

#include "support/catch.hpp"

using namespace lukhas;

TEST_CASE("each error of the journal has a sentence of its own and is told from the others", "[journal]") {
  std::set<std::string> sentences;
  for (const JournalErrc code :
       {JournalErrc::locked, JournalErrc::not_found, JournalErrc::not_writable, JournalErrc::disk_full,
        JournalErrc::io_failed, JournalErrc::corrupt, JournalErrc::foreign_segment,
        JournalErrc::missing_segment, JournalErrc::poisoned, JournalErrc::record_too_large,
        JournalErrc::overloaded, JournalErrc::closed}) {
    const Error error(code, "text");
    CHECK(error.code() == code);
    CHECK(error.code().category().name() == std::string("lukhas.journal"));
    CHECK(error.code().message() != "unknown error");
    CHECK(sentences.insert(error.code().message()).second);
  }
  CHECK(Error(JournalErrc::closed, "text").code() != Errc::closed);
}
