#include "lukhas/lock/fencing_token.hpp"

#include <sstream>

#include "support/catch.hpp"

using lukhas::FencingToken;

TEST_CASE("no grant is before every grant", "[lock]") {
  CHECK(FencingToken() < FencingToken(1));
  CHECK(FencingToken() == FencingToken(0));
}

TEST_CASE("a later token is greater", "[lock]") {
  CHECK(FencingToken(9) < FencingToken(10));
  CHECK(FencingToken(10).value() == 10);
}

TEST_CASE("a token is written as its number", "[lock]") {
  std::ostringstream out;
  out << FencingToken(42);
  CHECK(out.str() == "42");
}
