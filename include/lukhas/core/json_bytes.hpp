// JSON values as bytes: text, CBOR or MessagePack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/decode_failed.hpp"
#include "lukhas/core/error.hpp"

namespace lukhas {

// How a JSON value is written. The binary forms keep what text cannot: binary values, infinities, NaN. All
// three need strings to be UTF-8 only in text.
enum class JsonFormat {
  text,         // readable
  cbor,         // RFC 8949
  messagePack,  // the MessagePack specification of 2013
};

// Arrays and objects may lie in each other this deep, on the way in and on the way out: writers and binary
// readers of JSON call themselves for each level, and text from outside could otherwise use up the stack.
inline constexpr std::size_t maxJsonDepth = 512;

namespace detail {

// O(n) over what the value consists of; visits nothing below the limit.
[[nodiscard]] inline bool isDeeper(const nlohmann::json& value, std::size_t limit) noexcept {
  if (!value.is_structured()) return false;
  if (limit == 0) return true;
  for (const nlohmann::json& child : value) {
    if (child.is_structured() && isDeeper(child, limit - 1)) return true;
  }
  return false;
}

// Follows a reader of JSON and stops it below maxJsonDepth, before its recursion gets anywhere. Builds
// nothing.
class JsonDepthGuard : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return ++depth_ <= maxJsonDepth; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return leave(); }
  bool start_array(std::size_t) override { return ++depth_ <= maxJsonDepth; }
  bool end_array() override { return leave(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override {
    return false;
  }

 private:
  bool leave() noexcept {
    --depth_;
    return true;
  }
  std::size_t depth_ = 0;
};

// Whether a CBOR string of indefinite length has a chunk that is no definite string of its kind, which
// RFC 8949 section 3.2.3 forbids. nlohmann_json allows such a string as a chunk of another, and calls itself
// for each without telling a JsonDepthGuard. O(n), without recursion: reads the heads one after the other,
// whatever they belong to. Where a head is none or the bytes end too early the reader stops too, and it is no
// matter what this says.
[[nodiscard]] inline bool hasForbiddenChunk(ByteView cbor) noexcept {
  constexpr unsigned byteString = 2, textString = 3, indefinite = 31;
  unsigned open = 0;  // the kind of the string that chunks are read of; 0: none
  for (std::size_t at = 0; at < cbor.size();) {
    const auto head = std::to_integer<unsigned>(cbor[at++]);
    const unsigned kind = head >> 5U;
    const unsigned info = head & 31U;
    const bool isString = kind == byteString || kind == textString;
    if (head == 0xFF) {  // "break"
      open = 0;
      continue;
    }
    if (open != 0 && (kind != open || info == indefinite)) return true;
    if (isString && info == indefinite) {
      open = kind;
      continue;
    }
    std::uint64_t argument = info;
    if (info >= 24 && info <= 27) {  // it follows, in 1, 2, 4 or 8 bytes
      std::size_t left = std::size_t{1} << (info - 24U);
      if (cbor.size() - at < left) return false;
      for (argument = 0; left > 0; --left) argument = argument << 8U | std::to_integer<unsigned>(cbor[at++]);
    }
    if (!isString) continue;
    if (argument > cbor.size() - at) return false;
    at += static_cast<std::size_t>(argument);
  }
  return false;
}

[[noreturn]] inline void throwJsonRefused(const char* why) {
  nlohmann::json details;
  details["argument"] = "json";
  throw Error(Errc::invalid_argument, fmt::format("the JSON value {}", why), std::move(details));
}

inline void requireJsonDepth(const nlohmann::json& value) {
  if (isDeeper(value, maxJsonDepth)) {
    throwJsonRefused("holds arrays or objects in each other deeper than 512 levels");
  }
}

}  // namespace detail

// NaN and infinities have no form in text and become null. Text that is not UTF-8 has none either and is
// refused: Errc::invalid_argument; so is a value deeper than maxJsonDepth.
[[nodiscard]] inline std::string jsonText(const nlohmann::json& value) {
  detail::requireJsonDepth(value);
  try {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::strict);
  } catch (const nlohmann::json::exception&) {  // its text quotes a byte of the value: not passed on
    detail::throwJsonRefused("holds a string that is not UTF-8");
  }
}

// Throws Errc::invalid_argument as jsonText does.
[[nodiscard]] inline Bytes jsonBytes(const nlohmann::json& value, JsonFormat format) {
  if (format == JsonFormat::text) return toBytes(jsonText(value));
  detail::requireJsonDepth(value);
  std::vector<std::uint8_t> written;
  try {
    format == JsonFormat::cbor ? nlohmann::json::to_cbor(value, written)
                               : nlohmann::json::to_msgpack(value, written);
  } catch (const nlohmann::json::exception&) {  // a string, a key or a list that the format has no length for
    detail::throwJsonRefused("has no binary form");
  }
  const ByteView view = std::as_bytes(std::span(written));
  return {view.begin(), view.end()};
}

// Throws Errc::decode_failed on bytes that are not one value of that format, no more and no less.
[[nodiscard]] inline nlohmann::json jsonFrom(ByteView bytes, JsonFormat format) {
  using nlohmann::json;
  const std::string_view text = asText(bytes);
  json value(json::value_t::discarded);
  const char* name = "JSON";
  if (format == JsonFormat::text) {
    value = json::parse(text.begin(), text.end(), nullptr, false);  // without recursion
    if (!value.is_discarded() && detail::isDeeper(value, maxJsonDepth))
      value = json(json::value_t::discarded);
  } else {
    const bool isCbor = format == JsonFormat::cbor;
    name = isCbor ? "JSON in CBOR" : "JSON in MessagePack";
    detail::JsonDepthGuard guard;
    const auto input = isCbor ? json::input_format_t::cbor : json::input_format_t::msgpack;
    const bool isBounded = !isCbor || !detail::hasForbiddenChunk(bytes);
    if (isBounded && json::sax_parse(text.begin(), text.end(), &guard, input)) {
      value = isCbor ? json::from_cbor(text.begin(), text.end(), true, false)
                     : json::from_msgpack(text.begin(), text.end(), true, false);
    }
  }
  if (value.is_discarded()) throwDecodeFailed(name, bytes.size());
  return value;
}

}  // namespace lukhas
