#include "lukhas/core/json_bytes.hpp"

#include <cmath>
#include <limits>
#include <string>

#include "support/catch.hpp"

namespace json_bytes_test {

using lukhas::Bytes;
using lukhas::JsonFormat;
using nlohmann::json;

namespace {

constexpr JsonFormat formats[] = {JsonFormat::text, JsonFormat::cbor, JsonFormat::messagePack};

json nested(std::size_t depth) {
  json value = 1;
  for (std::size_t i = 0; i < depth; ++i) {
    json outer = i % 2 == 0 ? json::array() : json::object();
    if (i % 2 == 0) {
      outer.push_back(std::move(value));
    } else {
      outer["k"] = std::move(value);
    }
    value = std::move(outer);
  }
  return value;
}

template <class Call>
std::error_code codeOf(Call call) {
  try {
    call();
  } catch (const lukhas::Error& error) {
    return error.code();
  }
  return {};
}

}  // namespace

TEST_CASE("the binary formats keep what text cannot", "[core]") {
  const json infinite = std::numeric_limits<double>::infinity();
  const json bytes = json::binary({1, 0, 255});
  for (const JsonFormat format : {JsonFormat::cbor, JsonFormat::messagePack}) {
    CHECK(lukhas::jsonFrom(lukhas::jsonBytes(infinite, format), format) == infinite);
    CHECK(lukhas::jsonFrom(lukhas::jsonBytes(bytes, format), format) == bytes);
  }
  CHECK(lukhas::jsonText(infinite) == "null");
}

TEST_CASE("a message in CBOR or MessagePack is smaller than in text", "[core]") {
  json message;
  message["role"] = "user";
  message["numbers"] = {1, 2, 3, 100000};
  const std::size_t text = lukhas::jsonBytes(message, JsonFormat::text).size();
  CHECK(lukhas::jsonBytes(message, JsonFormat::cbor).size() < text);
  CHECK(lukhas::jsonBytes(message, JsonFormat::messagePack).size() < text);
}

TEST_CASE("values lie in each other as deep as the limit and no deeper", "[core]") {
  for (const JsonFormat format : formats) {
    const json deepest = nested(lukhas::maxJsonDepth);
    const Bytes bytes = lukhas::jsonBytes(deepest, format);
    CHECK(lukhas::jsonFrom(bytes, format) == deepest);
    CHECK(codeOf([&] { (void)lukhas::jsonBytes(nested(lukhas::maxJsonDepth + 1), format); }) ==
          lukhas::Errc::invalid_argument);
  }
  CHECK(codeOf([] { (void)lukhas::jsonText(nested(100'000)); }) == lukhas::Errc::invalid_argument);
}

TEST_CASE("a million brackets do not use up the stack", "[core]") {
  const std::size_t levels = 1'000'000;
  const std::string text = std::string(levels, '[') + std::string(levels, ']');
  const std::string cbor = std::string(levels, '\x81') + '\x01';
  const std::string objects = [&] {
    std::string bytes;
    for (std::size_t i = 0; i < levels; ++i) bytes += "\xa1\x61k";
    return bytes + '\x01';
  }();
  const std::string messagePack = std::string(levels, '\x91') + '\x01';
  const auto decode = [](const std::string& bytes, JsonFormat format) {
    return codeOf([&] { (void)lukhas::jsonFrom(lukhas::asBytes(bytes), format); });
  };
  CHECK(decode(text, JsonFormat::text) == lukhas::Errc::decode_failed);
  CHECK(decode(cbor, JsonFormat::cbor) == lukhas::Errc::decode_failed);
  CHECK(decode(objects, JsonFormat::cbor) == lukhas::Errc::decode_failed);
  CHECK(decode(messagePack, JsonFormat::messagePack) == lukhas::Errc::decode_failed);
}

TEST_CASE("a million strings that begin in each other do not use up the stack", "[core]") {
  const std::size_t levels = 1'000'000;
  const auto decode = [](const std::string& bytes) {
    return codeOf([&] { (void)lukhas::jsonFrom(lukhas::asBytes(bytes), JsonFormat::cbor); });
  };
  for (const char begin : {'\x7f', '\x5f'}) {
    const std::string run(levels, begin);
    const std::string ends(levels, '\xff');
    CHECK(decode(run) == lukhas::Errc::decode_failed);
    CHECK(decode(run + ends) == lukhas::Errc::decode_failed);
    CHECK(decode("\x81" + run + ends) == lukhas::Errc::decode_failed);
    CHECK(decode("\xa1" + run + ends + "\x01") == lukhas::Errc::decode_failed);
    CHECK(decode("\x82\x63" + std::string("abc") + run + ends) == lukhas::Errc::decode_failed);
    CHECK(decode("\x9f\x7f\x61" + std::string("a\xff") + run + ends) == lukhas::Errc::decode_failed);
  }
}

TEST_CASE("strings in CBOR may come in chunks but chunks have none of their own", "[core]") {
  const auto read = [](const std::string& bytes) {
    return lukhas::jsonFrom(lukhas::asBytes(bytes), JsonFormat::cbor);
  };
  CHECK(read("\x7f\x62"
             "ab\x61"
             "c\xff") == json("abc"));
  CHECK(read("\x7f\xff") == json(""));
  CHECK(read("\x5f\x41\x7f\x42\x5f\x5f\xff") == json::binary({0x7f, 0x5f, 0x5f}));
  // What looks like the beginning of a string in chunks, inside strings and numbers.
  CHECK(read("\x62\x7f\x7f") == json("\x7f\x7f"));
  CHECK(read("\x78\x02\x7f\x7f") == json("\x7f\x7f"));
  CHECK(read("\x19\x7f\x7f") == json(0x7f7f));
  CHECK(read("\x7f\x62\x7f\x7f\xff") == json("\x7f\x7f"));
  CHECK(read("\x9f\x7f\x61"
             "a\xff\x7f\x61"
             "b\xff\xff") == json({"a", "b"}));
  for (const std::string bytes : {"\x7f\x7f\x61"
                                  "a\xff\xff",
                                  "\x5f\x5f\x41"
                                  "a\xff\xff",
                                  "\x7f\x41"
                                  "a\xff",
                                  "\x5f\x61"
                                  "a\xff",
                                  "\x7f\x01\xff",
                                  "\x7f\x81\x61"
                                  "a\xff"}) {
    CHECK(codeOf([&] { (void)read(bytes); }) == lukhas::Errc::decode_failed);
  }
}

TEST_CASE("bytes that are more or less than one value fail to decode", "[core]") {
  const json value = {1, "two", nullptr};
  for (const JsonFormat format : formats) {
    Bytes bytes = lukhas::jsonBytes(value, format);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CHECK(codeOf([&] { (void)lukhas::jsonFrom(lukhas::ByteView(bytes).first(size), format); }) ==
            lukhas::Errc::decode_failed);
    }
    bytes.push_back(std::byte{'1'});
    CHECK(codeOf([&] { (void)lukhas::jsonFrom(bytes, format); }) == lukhas::Errc::decode_failed);
  }
}

TEST_CASE("lengths that nothing follows are refused and not allocated", "[core]") {
  const std::string cborArray("\x9b\x7f\xff\xff\xff\xff\xff\xff\xff", 9);
  const std::string cborText("\x7b\x7f\xff\xff\xff\xff\xff\xff\xff", 9);
  const std::string packArray("\xdd\xff\xff\xff\xff", 5);
  const std::string packText("\xdb\xff\xff\xff\xff", 5);
  const auto decode = [](const std::string& bytes, JsonFormat format) {
    return codeOf([&] { (void)lukhas::jsonFrom(lukhas::asBytes(bytes), format); });
  };
  for (const std::string& bytes : {cborArray, cborText}) {
    CHECK(decode(bytes, JsonFormat::cbor) == lukhas::Errc::decode_failed);
  }
  for (const std::string& bytes : {packArray, packText}) {
    CHECK(decode(bytes, JsonFormat::messagePack) == lukhas::Errc::decode_failed);
  }
}

}  // namespace json_bytes_test
