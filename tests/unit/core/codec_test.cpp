#include "lukhas/core/codec.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <span>
#include <string>

#include "support/catch.hpp"

namespace {

struct Point {
  std::int32_t x;
  std::int32_t y;
  bool operator==(const Point&) const = default;
};
struct NoDefault {
  explicit NoDefault(int given) : value(given) {}
  int value;
};
struct Session {
  std::string user;
};
struct Own {  // trivially copyable, with a codec of its own all the same
  char letter;
};

template <class T>
concept Encodes = requires(const T& value) {
  lukhas::Codec<T>::encode(value);
};
template <class T>
concept Decodes = requires(lukhas::ByteView bytes) {
  lukhas::Codec<T>::decode(bytes);
};

// What `call` throws, which must be a lukhas::Error.
template <class Call>
lukhas::Error errorOf(Call&& call) {
  try {
    call();
  } catch (const lukhas::Error& error) {
    return error;
  }
  FAIL("nothing was thrown");
  throw std::logic_error("unreachable");
}

}  // namespace

// As codec.hpp shows it.
template <>
struct lukhas::Codec<Session> {
  static lukhas::Bytes encode(const Session& session) { return lukhas::toBytes(session.user); }
  static Session decode(lukhas::ByteView bytes) {
    if (bytes.empty()) lukhas::throwDecodeFailed("Session", bytes.size());
    return Session{std::string(lukhas::asText(bytes))};
  }
};

template <>
struct lukhas::Codec<Own> {
  static lukhas::Bytes encode(const Own&) { return lukhas::toBytes("own"); }
  static Own decode(lukhas::ByteView) { return {'o'}; }
};

using namespace lukhas;

static_assert(Encodes<std::string_view> && !Decodes<std::string_view>);
static_assert(Encodes<ByteView> && !Decodes<ByteView>);
static_assert(Encodes<std::span<std::byte>> && Encodes<std::span<const char, 3>> &&
              Encodes<std::span<unsigned char>>);
static_assert(Encodes<int> && Decodes<double> && Encodes<Point>);
static_assert(!Encodes<int*> && !Encodes<const char*> && !Encodes<std::span<int>> && !Encodes<int[3]>);
static_assert(!Encodes<std::nullptr_t> && !Encodes<std::shared_ptr<int>> && !Encodes<int Point::*>);

TEST_CASE("JSON is encoded as text and comes back equal", "[core]") {
  const auto value = nlohmann::json::parse(R"({"a":[1,2.5,null,true],"b":{"c":"ü"}})");
  const Bytes bytes = Codec<nlohmann::json>::encode(value);
  CHECK(asText(bytes) == R"({"a":[1,2.5,null,true],"b":{"c":"ü"}})");
  CHECK(Codec<nlohmann::json>::decode(bytes) == value);
}

TEST_CASE("JSON with a string that is not UTF-8 is refused", "[core]") {
  nlohmann::json value;
  value["secret"] = "hunter2\xff";
  const Error error = errorOf([&] { (void)Codec<nlohmann::json>::encode(value); });
  CHECK(error.code() == Errc::invalid_argument);
  CHECK(error.details()["argument"] == "json");
  CHECK_THAT(std::string(error.what()),
             !Catch::Matchers::Contains("hunter2") && Catch::Matchers::Contains("UTF-8"));
}

TEST_CASE("NaN becomes null in JSON text", "[core]") {
  const nlohmann::json value = std::numeric_limits<double>::quiet_NaN();
  CHECK(asText(Codec<nlohmann::json>::encode(value)) == "null");
}

TEST_CASE("JSON is encoded in each format and comes back equal", "[core]") {
  const auto value = nlohmann::json::parse(R"({"a":[1,-2,2.5,null,true],"b":{"c":"\u00fc"}})");
  for (const JsonFormat format : {JsonFormat::text, JsonFormat::cbor, JsonFormat::messagePack}) {
    const Bytes bytes = Codec<nlohmann::json>::encode(value, format);
    CHECK(Codec<nlohmann::json>::decode(bytes, format) == value);
  }
}

TEST_CASE("bytes that are not JSON fail to decode and are not quoted", "[core]") {
  for (const std::string text :
       {"", "{\"password\":", "{\"password\":1} x", "\"password\xff\"", "password"}) {
    const Error error = errorOf([&] { (void)Codec<nlohmann::json>::decode(asBytes(text)); });
    CHECK(error.code() == Errc::decode_failed);
    CHECK(error.details()["type"] == "JSON");
    CHECK(error.details()["size"] == text.size());
    CHECK_THAT(std::string(error.what()),
               Catch::Matchers::Contains("JSON") && !Catch::Matchers::Contains("password"));
  }
}

TEST_CASE("strings and bytes are encoded as they are", "[core]") {
  const std::string text("a\0\xff", 3);
  CHECK(asText(Codec<std::string>::encode(text)) == text);
  CHECK(Codec<std::string>::decode(asBytes(text)) == text);
  CHECK(Codec<std::string_view>::encode(text) == toBytes(text));
  CHECK(Codec<Bytes>::decode(Codec<Bytes>::encode(toBytes(text))) == toBytes(text));
  CHECK(Codec<ByteView>::encode(asBytes(text)) == toBytes(text));
  std::array<unsigned char, 2> octets{1, 255};
  CHECK(Codec<std::span<unsigned char, 2>>::encode(octets) == Bytes{std::byte{1}, std::byte{255}});
  CHECK(Codec<std::span<const char>>::encode(text) == toBytes(text));
}

TEST_CASE("a trivially copyable struct comes back equal", "[core]") {
  const Bytes bytes = Codec<Point>::encode({3, -4});
  CHECK(bytes.size() == sizeof(Point));
  CHECK(Codec<Point>::decode(bytes) == Point{3, -4});
  CHECK(Codec<NoDefault>::decode(Codec<NoDefault>::encode(NoDefault(7))).value == 7);
  CHECK(Codec<double>::decode(Codec<double>::encode(2.5)) == 2.5);
}

TEST_CASE("bytes need not be aligned to decode as a struct", "[core]") {
  Bytes shifted(1);
  const Bytes bytes = Codec<Point>::encode({5, 6});
  shifted.insert(shifted.end(), bytes.begin(), bytes.end());
  CHECK(Codec<Point>::decode(ByteView(shifted).subspan(1)) == Point{5, 6});
}

TEST_CASE("a struct of another size fails to decode and is named", "[core]") {
  for (const std::size_t size : {std::size_t{0}, sizeof(Point) - 1, sizeof(Point) + 1}) {
    const Error error = errorOf([&] { (void)Codec<Point>::decode(Bytes(size)); });
    CHECK(error.code() == Errc::decode_failed);
    CHECK_THAT(error.details()["type"].get<std::string>(), Catch::Matchers::EndsWith("::Point"));
    CHECK(error.details()["size"] == size);
    CHECK_THAT(std::string(error.what()), Catch::Matchers::EndsWith("::Point"));
  }
  CHECK(detail::typeName<int>() == "int");
}

TEST_CASE("a byte that is no bool fails to decode as one", "[core]") {
  CHECK(Codec<bool>::decode(Codec<bool>::encode(true)));
  CHECK_FALSE(Codec<bool>::decode(Codec<bool>::encode(false)));
  CHECK(errorOf([] { (void)Codec<bool>::decode(asBytes("\x02")); }).code() == Errc::decode_failed);
}

TEST_CASE("a type may bring its own codec", "[core]") {
  CHECK(Codec<Session>::decode(Codec<Session>::encode({"ann"})).user == "ann");
  CHECK(errorOf([] { (void)Codec<Session>::decode(asBytes("")); }).code() == Errc::decode_failed);
  CHECK(asText(Codec<Own>::encode({'x'})) == "own");
}
