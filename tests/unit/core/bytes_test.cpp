#include "lukhas/core/bytes.hpp"

#include <string>

#include "support/catch.hpp"

#ifdef XXH_INLINE_ALL
#error "lukhas/core/bytes.hpp must not change how the program's own code includes xxhash.h"
#endif

using namespace lukhas;

TEST_CASE("text survives the way to bytes and back", "[core]") {
  const std::string text("a\0\xff z", 5);
  CHECK(asText(toBytes(text)) == text);
  CHECK(asText(asBytes(text)) == text);
  CHECK(asBytes(text).data() == reinterpret_cast<const std::byte*>(text.data()));
}

TEST_CASE("empty text and empty bytes are each other", "[core]") {
  CHECK(toBytes("").empty());
  CHECK(asBytes({}).empty());
  CHECK(asText({}).empty());
  CHECK(hash64({}) == hash64(asBytes("")));
}

TEST_CASE("each byte has two hexadecimal digits", "[core]") {
  CHECK(lukhas::toHex(lukhas::toBytes(std::string_view("\x00\x0f\xa5\xff", 4))) == "000fa5ff");
  CHECK(lukhas::toHex({}).empty());
}

TEST_CASE("the hash is XXH3 of 64 bits", "[core]") {
  // The value that xxHash gives for no input; stored data depends on it.
  CHECK(hash64({}) == 0x2d06800538d394c2);
  CHECK(hash64(asBytes("lukhas")) == XXH3_64bits("lukhas", 6));
}

TEST_CASE("one flipped bit or another seed gives another hash", "[core]") {
  for (const std::size_t size : {1U, 8U, 16U, 100U, 200U, 1000U}) {  // each of XXH3's ways to read
    Bytes bytes(size, std::byte{0x5a});
    const std::uint64_t hash = hash64(bytes);
    CHECK(hash64(bytes, 1) != hash);
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] ^= std::byte{1};
      CHECK(hash64(bytes) != hash);
      bytes[i] ^= std::byte{1};
    }
    CHECK(hash64(bytes) == hash);
  }
}
