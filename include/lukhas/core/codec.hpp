// Codec<T>: turns a T into bytes and back.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/decode_failed.hpp"
#include "lukhas/core/json_bytes.hpp"
#include "lukhas/core/plain_struct.hpp"

namespace lukhas {

// Values are kept and sent as bytes; the codec of a type is where the two meet.
//
//   nlohmann::json              as text; as CBOR or MessagePack where a component has an option for it
//   std::string, Bytes          as they are
//   std::string_view, spans of  as they are; to write only, for what would a view that was read refer to?
//   bytes or characters
//   trivially copyable structs  as they lie in memory, padding included: for one program on one machine,
//                               not for storage that outlives it, and not for a struct that holds a pointer.
//                               What is known to hold one is refused: see PlainStruct
//
// A type of your own takes ten lines:
//
//   template <>
//   struct lukhas::Codec<Session> {
//     static lukhas::Bytes encode(const Session& session) { return lukhas::toBytes(session.user); }
//     static Session decode(lukhas::ByteView bytes) {
//       if (bytes.empty()) lukhas::throwDecodeFailed("Session", bytes.size());
//       return Session{std::string(lukhas::asText(bytes))};
//     }
//   };
//
// encode and decode may throw. On bytes that no encode can have made, decode throws Errc::decode_failed with
// details {type, size}; no error ever quotes the bytes, for they are the user's.
template <class T>
struct Codec;

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

template <class T>
inline constexpr bool isByteLike =
    std::is_same_v<T, std::byte> || std::is_same_v<T, char> || std::is_same_v<T, unsigned char>;

}  // namespace detail

// Errors: see core/json_bytes.hpp.
template <>
struct Codec<nlohmann::json> {
  [[nodiscard]] static Bytes encode(const nlohmann::json& value, JsonFormat format = JsonFormat::text) {
    return jsonBytes(value, format);
  }
  [[nodiscard]] static std::string encodeText(const nlohmann::json& value) { return jsonText(value); }
  [[nodiscard]] static nlohmann::json decode(ByteView bytes, JsonFormat format = JsonFormat::text) {
    return jsonFrom(bytes, format);
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

template <class Element, std::size_t extent>
requires detail::isByteLike<std::remove_cv_t<Element>>
struct Codec<std::span<Element, extent>> {
  [[nodiscard]] static Bytes encode(std::span<Element, extent> value) {
    const ByteView view = std::as_bytes(value);
    return {view.begin(), view.end()};
  }
};

template <PlainStruct T>
struct Codec<T> {
  [[nodiscard]] static Bytes encode(const T& value) {
    const ByteView view = std::as_bytes(std::span(&value, 1));
    return {view.begin(), view.end()};
  }
  [[nodiscard]] static T decode(ByteView bytes) {
    if (bytes.size() != sizeof(T)) throwDecodeFailed(detail::typeName<T>(), bytes.size());
    if constexpr (std::is_same_v<T, bool>) {  // any other byte would be no bool
      if (bytes[0] > std::byte{1}) throwDecodeFailed("bool", bytes.size());
    }
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
