#include "lukhas/core/quoted_text.hpp"

#include "support/catch.hpp"

using lukhas::cleanText;
using lukhas::quotedText;
using lukhas::withoutSecret;

TEST_CASE("a secret is masked wherever it stands", "[route]") {
  CHECK(withoutSecret("key sk-12345, again sk-12345sk-12345", "sk-12345") == "key ***, again ******");
  CHECK(withoutSecret("nothing here", "sk-12345") == "nothing here");
  CHECK(withoutSecret("no secret", "") == "no secret");
  CHECK(withoutSecret("", "sk-12345") == "");
}

TEST_CASE("a secret that the end of the text cuts off is masked too", "[route]") {
  CHECK(withoutSecret("Bearer sk-1234", "sk-12345") == "Bearer ***");
  CHECK(withoutSecret("Bearer sk-1", "sk-12345") == "Bearer ***");
  CHECK(withoutSecret("a task: sk-", "sk-12345") == "a task: sk-");
}

TEST_CASE("the cut cannot leave a part of a secret behind", "[route]") {
  const std::string text = "the key is sk-secret-12345 as sent";
  for (std::size_t bound = 0; bound <= text.size(); ++bound) {
    CHECK(cleanText(text, bound, "sk-secret-12345").find("sk-") == std::string::npos);
  }
}

TEST_CASE("long text is cut between characters at its bound and one past it", "[route]") {
  CHECK(cleanText("abcdef", 6) == "abcdef");
  CHECK(cleanText("abcdefg", 6) == "abcdef…");
  CHECK(cleanText("äöü", 3) == "ä…");
  CHECK(cleanText("äöü", 4) == "äö…");
  CHECK(cleanText("ä", 0) == "…");
}

TEST_CASE("what is not UTF-8 is replaced", "[route]") {
  CHECK(cleanText("a\xff"
                  "b",
                  100) ==
        "a\xef\xbf\xbd"
        "b");
  CHECK(lukhas::isUtf8("äöü"));
  CHECK_FALSE(lukhas::isUtf8("\xc3"));
}

TEST_CASE("quoted text keeps to its line and its quotation marks", "[route]") {
  CHECK(quotedText("say \"hi\"\n\x1b[2J", 100) == "\"say \\\"hi\\\"\\n\\u001b[2J\"");
}
