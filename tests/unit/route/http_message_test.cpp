#include "lukhas/route/http_message.hpp"

#include "support/catch.hpp"

TEST_CASE("headers are found whatever the case of their names", "[route]") {
  const std::vector<lukhas::HttpHeader> headers{
      {"Content-Type", "a"}, {"X-Two", "first"}, {"x-two", "second"}};
  CHECK(lukhas::findHeader(headers, "content-TYPE") == std::optional<std::string_view>("a"));
  CHECK(lukhas::findHeader(headers, "x-two") == std::optional<std::string_view>("first"));
  CHECK_FALSE(lukhas::findHeader(headers, "content"));
  CHECK_FALSE(lukhas::findHeader(headers, "content-type2"));
  CHECK_FALSE(lukhas::findHeader(headers, ""));
}

TEST_CASE("only letters have a case", "[route]") {
  CHECK(lukhas::sameHeaderName("aZ-9", "Az-9"));
  CHECK_FALSE(lukhas::sameHeaderName("[", "{"));
  CHECK_FALSE(lukhas::sameHeaderName("@", "`"));
}
