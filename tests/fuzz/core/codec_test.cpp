#include "lukhas/core/codec.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "lukhas/async/split_mix.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"

namespace codec_test {

using lukhas::Bytes;
using lukhas::ByteView;
using lukhas::Codec;
using lukhas::JsonFormat;
using nlohmann::json;

namespace {

constexpr JsonFormat formats[] = {JsonFormat::text, JsonFormat::cbor, JsonFormat::messagePack};

json anyValue(lukhas::SplitMix& chance, int depth) {
  switch (chance.below(depth > 0 ? 9 : 6)) {
    case 0: return nullptr;
    case 1: return chance.below(2) == 0;
    case 2: return static_cast<std::int64_t>(chance.next());
    case 3: return chance.next() >> chance.below(64);
    case 4: return static_cast<double>(chance.next()) / 3e9;
    case 5: return std::string(chance.below(40), static_cast<char>('a' + chance.below(26)));
    case 6:
    case 7: {
      json array = json::array();
      for (auto left = chance.below(6); left > 0; --left) array.push_back(anyValue(chance, depth - 1));
      return array;
    }
    default: {
      json object = json::object();
      for (auto left = chance.below(6); left > 0; --left) {
        object["k" + std::to_string(chance.below(100))] = anyValue(chance, depth - 1);
      }
      return object;
    }
  }
}

// Flips, cuts, repeats and inserts; or bytes of no origin at all.
Bytes spoilt(Bytes bytes, lukhas::SplitMix& chance) {
  if (chance.below(8) == 0) {
    bytes.resize(chance.below(64));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(chance.next());
    return bytes;
  }
  for (auto left = 1 + chance.below(4); left > 0; --left) {
    const auto at = static_cast<std::ptrdiff_t>(chance.below(bytes.size() + 1));
    const bool inside = static_cast<std::size_t>(at) < bytes.size();
    switch (chance.below(4)) {
      case 0:
        if (inside) bytes[static_cast<std::size_t>(at)] ^= static_cast<std::byte>(1U << chance.below(8));
        break;
      case 1: bytes.resize(static_cast<std::size_t>(at)); break;
      case 2: bytes.insert(bytes.begin() + at, static_cast<std::byte>(chance.next())); break;
      default: {
        const Bytes tail(bytes.begin() + at, bytes.end());
        bytes.insert(bytes.end(), tail.begin(), tail.end());
      }
    }
  }
  return bytes;
}

// What decodes; anything but decode_failed escapes and fails the test.
template <class T, class... Format>
std::optional<T> decoded(ByteView bytes, Format... format) {
  try {
    return Codec<T>::decode(bytes, format...);
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::Errc::decode_failed);
    return std::nullopt;
  }
}

// NaN and strings that are no text too.
bool equal(const json& a, const json& b) { return json::to_cbor(a) == json::to_cbor(b); }

}  // namespace

TEST_CASE("whatever bytes come in JSON decodes or fails and what decodes comes back", "[core]") {
  lukhas::SplitMix chance(20260101);
  std::uint64_t good = 0;
  std::uint64_t bad = 0;
  for (std::uint64_t run = 0; run < test::runs(20'000, 2'000'000); ++run) {
    const JsonFormat format = formats[chance.below(3)];
    const json value = anyValue(chance, 4);
    const Bytes bytes = Codec<json>::encode(value, format);
    REQUIRE(Codec<json>::decode(bytes, format) == value);
    const std::optional<json> read = decoded<json>(spoilt(bytes, chance), format);
    if (!read) {
      ++bad;
      continue;
    }
    ++good;
    try {
      const Bytes again = Codec<json>::encode(*read, format);
      const bool same = equal(Codec<json>::decode(again, format), *read);
      REQUIRE(same);
    } catch (const lukhas::Error& error) {
      REQUIRE(error.code() == lukhas::Errc::invalid_argument);
    }
  }
  CHECK(good > 1000);
  CHECK(bad > 1000);
}

TEST_CASE("a million beginnings of anything anywhere use up no stack", "[core]") {
  lukhas::SplitMix chance(3);
  constexpr std::string_view beginnings = "\x5f\x7f\x81\x91\x9f\xa1\xbf\xc1\xc7\xd9[{\"";
  for (const JsonFormat format : formats) {
    for (const char begin : beginnings) {
      const std::string run(1'000'000, begin);
      (void)decoded<json>(lukhas::asBytes(run), format);
      Bytes bytes = Codec<json>::encode(anyValue(chance, 4), format);
      const auto at = static_cast<std::ptrdiff_t>(chance.below(bytes.size() + 1));
      bytes.insert(bytes.begin() + at, run.size(), static_cast<std::byte>(begin));
      (void)decoded<json>(bytes, format);
    }
  }
}

TEST_CASE("whatever bytes come in plain types decode by their size alone", "[core]") {
  struct Odd {
    char a;
    double b;
    std::array<std::uint16_t, 3> c;
  };
  lukhas::SplitMix chance(7);
  for (std::uint64_t run = 0; run < test::runs(20'000, 2'000'000); ++run) {
    Bytes bytes(chance.below(40));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(chance.next());
    REQUIRE(decoded<Odd>(bytes).has_value() == (bytes.size() == sizeof(Odd)));
    REQUIRE(decoded<std::uint64_t>(bytes).has_value() == (bytes.size() == 8));
    const bool isBool = bytes.size() == 1 && bytes[0] <= std::byte{1};
    REQUIRE(decoded<bool>(bytes).has_value() == isBool);
    REQUIRE(decoded<Bytes>(bytes) == bytes);
    REQUIRE(decoded<std::string>(bytes) == std::string(lukhas::asText(bytes)));
  }
}

}  // namespace codec_test
