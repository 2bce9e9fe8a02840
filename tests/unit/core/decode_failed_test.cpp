#include "lukhas/core/decode_failed.hpp"

#include <string>

#include "support/catch.hpp"

TEST_CASE("the error of a failed decode names the type and the size", "[core]") {
  try {
    lukhas::throwDecodeFailed("Session", 3);
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::decode_failed);
    CHECK(error.what() == std::string("3 bytes do not decode as Session"));
    CHECK(error.details().dump() == R"({"size":3,"type":"Session"})");
  }
}
