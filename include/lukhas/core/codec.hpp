// Codec<T>: turns a T into bytes and back.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <ranges>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"

namespace lukhas {

// Values are kept and sent as bytes; the codec of a type is where the two meet.
//
//   nlohmann::json              as text
//   std::string, Bytes          as they are
//   std::string_view, ByteView  as they are; to write only, for what would a view that was read refer to?
//   trivially copyable structs  as they lie in memory, padding included: for one program on one machine,
//                               not for storage that outlives it, and not for a struct that holds a pointer
//
// A type of your own takes a dozen lines:
//
//   template <>
//   struct lukhas::Codec<Session> {
//     static lukhas::Bytes encode(const Session& session) {
//       nlohmann::json json;
//       json["user"] = session.user;
//       return lukhas::Codec<nlohmann::json>::encode(json);
//     }
//     static Session decode(lukhas::ByteView bytes) {
//       const nlohmann::json json = lukhas::Codec<nlohmann::json>::decode(bytes);
//       if (!json.contains("user") || !json["user"].is_string()) throwDecodeFailed("Session", bytes.size());
//       return Session{json["user"]};
//     }
//   };
//
// encode and decode may throw. On bytes that no encode can have made, decode throws Errc::decode_failed with
// details {type, size}; no error ever quotes the bytes, for they are the user's.
template <class T>
struct Codec;

// For the decode of a type of your own.
[[noreturn]] inline void throwDecodeFailed(std::string_view type, std::size_t size) {
  nlohmann::json details;
  details["type"] = type;
  details["size"] = size;
  throw Error(Errc::decode_failed, fmt::format("{} bytes do not decode as {}", size, type),
              std::move(details));
}

namespace detail {

// The name of T as the compiler writes it in the signature of this function: "… [with T = app::Point; …"
// (g++) or "… [T = app::Point]" (clang).
template <class T>
constexpr std::string_view typeName() noexcept {
  constexpr std::string_view signature = __PRETTY_FUNCTION__;
  constexpr std::string_view mark = "T = ";
  constexpr std::size_t first = signature.find(mark) + mark.size();
  return signature.substr(first, signature.find_first_of(";]", first) - first);
}

// What may be kept as it lies in memory. Pointers and views (the borrowed ranges) would keep an address.
template <class T>
concept PlainStruct = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> &&
                      !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T> && !std::is_array_v<T> &&
                      !std::ranges::borrowed_range<T> && std::is_same_v<T, std::remove_cv_t<T>>;

}  // namespace detail

template <>
struct Codec<nlohmann::json> {
  // NaN and infinities have no JSON form and become null. Text that is not UTF-8 has none either and is
  // refused: Errc::invalid_argument.
  [[nodiscard]] static Bytes encode(const nlohmann::json& value) { return toBytes(encodeText(value)); }

  [[nodiscard]] static std::string encodeText(const nlohmann::json& value) {
    try {
      return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::strict);
    } catch (const nlohmann::json::exception&) {  // its text quotes a byte of the value: not passed on
      nlohmann::json details;
      details["argument"] = "json";
      throw Error(Errc::invalid_argument, "the JSON value holds a string that is not UTF-8",
                  std::move(details));
    }
  }

  [[nodiscard]] static nlohmann::json decode(ByteView bytes) {
    const std::string_view text = asText(bytes);
    nlohmann::json value = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
    if (value.is_discarded()) throwDecodeFailed("JSON", bytes.size());
    return value;
  }
};

template <>
struct Codec<std::string> {
  [[nodiscard]] static Bytes encode(const std::string& value) { return toBytes(value); }
  [[nodiscard]] static std::string decode(ByteView bytes) { return std::string(asText(bytes)); }
};

template <>
struct Codec<std::string_view> {
  [[nodiscard]] static Bytes encode(std::string_view value) { return toBytes(value); }
};

template <>
struct Codec<Bytes> {
  [[nodiscard]] static Bytes encode(const Bytes& value) { return value; }
  [[nodiscard]] static Bytes decode(ByteView bytes) { return {bytes.begin(), bytes.end()}; }
};

template <>
struct Codec<ByteView> {
  [[nodiscard]] static Bytes encode(ByteView value) { return {value.begin(), value.end()}; }
};

template <detail::PlainStruct T>
struct Codec<T> {
  [[nodiscard]] static Bytes encode(const T& value) {
    const ByteView view = std::as_bytes(std::span(&value, 1));
    return {view.begin(), view.end()};
  }
  [[nodiscard]] static T decode(ByteView bytes) {
    if (bytes.size() != sizeof(T)) throwDecodeFailed(detail::typeName<T>(), bytes.size());
    std::array<std::byte, sizeof(T)> copy;
    std::memcpy(copy.data(), bytes.data(), sizeof(T));
    return std::bit_cast<T>(copy);
  }
};

// clang-format off
// What has a codec that writes it, and one that reads it back.
template <class T>
concept Encodable = requires(const T& value) {
  { Codec<T>::encode(value) } -> std::convertible_to<Bytes>;
};
template <class T>
concept Decodable = requires(ByteView bytes) {
  { Codec<T>::decode(bytes) } -> std::convertible_to<T>;
};
// clang-format on

}  // namespace lukhas
