#include "lukhas/participants/detail/context_file.hpp"

#include <set>
#include <string>

#include "lukhas/participants/detail/context_file_name.hpp"
#include "support/catch.hpp"

using namespace lukhas;
using namespace lukhas::detail;

namespace {

StoredContext sample() {
  StoredContext context;
  context.transactionId = "lukhas:c0ffee:1:2";
  context.contextId = std::string("session:\0\xff", 10);
  context.version = 7;
  context.participants = NameList("db", "files");
  context.payload = R"({"turns":[1,2,3]})";
  context.payloadHash = hash64(asBytes(context.payload));
  return context;
}

bool headIsRefused(ByteView file) {
  try {
    (void)ContextFile::decode(file);
  } catch (const Error& error) {
    return error.code() == Errc::decode_failed;
  }
  return false;
}

std::size_t headSizeOf(const Bytes& file) { return ContextFile::headSize(file); }

}  // namespace

TEST_CASE("a context's file gives back what was written", "[participants]") {
  const StoredContext written = sample();
  const StoredContext read = ContextFile::decode(ContextFile::encode(written));
  CHECK(read.transactionId == written.transactionId);
  CHECK(read.contextId == written.contextId);
  CHECK(read.version == written.version);
  CHECK(read.participants == written.participants);
  CHECK(read.payload == written.payload);
  CHECK(read.payloadHash == written.payloadHash);
  CHECK_FALSE(read.forgets);
}

TEST_CASE("every flipped bit in the head of a context's file is seen", "[participants]") {
  const Bytes whole = ContextFile::encode(sample());
  for (std::size_t bit = 0; bit < 8 * headSizeOf(whole); ++bit) {
    Bytes damaged = whole;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    REQUIRE(headIsRefused(damaged));
  }
}

TEST_CASE("a context's file that ends in its head is refused", "[participants]") {
  const Bytes whole = ContextFile::encode(sample());
  for (std::size_t size = 0; size < headSizeOf(whole); ++size)
    REQUIRE(headIsRefused(ByteView(whole).first(size)));
}

TEST_CASE("a damaged payload is given with the hash that does not match it", "[participants]") {
  const Bytes whole = ContextFile::encode(sample());
  for (std::size_t at = headSizeOf(whole); at < whole.size(); ++at) {
    Bytes damaged = whole;
    damaged[at] ^= std::byte{1};
    const StoredContext flipped = ContextFile::decode(damaged);
    CHECK(flipped.version == 7);
    CHECK(flipped.payloadHash != hash64(asBytes(flipped.payload)));
    const StoredContext cut = ContextFile::decode(ByteView(whole).first(at));
    CHECK(cut.payloadHash != hash64(asBytes(cut.payload)));
  }
}

TEST_CASE("bytes behind a context's payload are not part of it", "[participants]") {
  Bytes longer = ContextFile::encode(sample());
  longer.resize(longer.size() + 100);
  CHECK(ContextFile::decode(longer).payload == sample().payload);
}

TEST_CASE("a context's file of another format is refused by its number", "[participants]") {
  Bytes newer = ContextFile::encode(sample());
  newer[8] = std::byte{2};
  try {
    (void)ContextFile::decode(newer);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.what() == std::string("it has format 2; this program reads 1"));
  }
}

TEST_CASE("a file name keeps what is plain and escapes the rest", "[participants]") {
  CHECK(contextFileName("session-42_a") == "session-42_a");
  CHECK(contextFileName("Session:42/..") == "%53ession%3A42%2F%2E%2E");
  CHECK(contextFileName(std::string("\0~", 2)) == "%00%7E");
}

TEST_CASE("different contexts have different file names that fit a file system", "[participants]") {
  std::set<std::string> names;
  std::size_t count = 0;
  for (std::size_t size = 1; size <= 256; ++size) {
    for (const char c : {'a', 'A', '.', '%', '~', '\0'}) {
      const std::string name = contextFileName(std::string(size, c));
      CHECK(name.size() <= 180);
      names.insert(name);
      ++count;
    }
  }
  CHECK(names.size() == count);
  CHECK(contextFileName(std::string(255, 'x') + "a") != contextFileName(std::string(255, 'x') + "b"));
}
