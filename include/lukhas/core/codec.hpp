// Codec<T>: turns a T into bytes and back.
#pragma once

#include <concepts>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"

namespace lukhas {

// There are codecs for nlohmann::json (as text), std::string, std::string_view (to write), Bytes, and trivially copyable
// structs (as they lie in memory: for one program on one machine, not for storage that outlives it). A type of your own:
//
//   template <>
//   struct lukhas::Codec<Session> {
//     static lukhas::Bytes encode(const Session& session) { return lukhas::Codec<nlohmann::json>::encode(session.toJson()); }
//     static Session decode(lukhas::ByteView bytes) { return Session(lukhas::Codec<nlohmann::json>::decode(bytes)); }
//   };
//
// encode and decode may throw; decode throws Errc::decode_failed on bytes that no encode gave. Errors never quote the bytes.
template <class T>
struct Codec;

[[noreturn]] inline void throwDecodeFailed(std::string_view type, std::size_t size) {
  nlohmann::json details{{"type", type}, {"size", size}};
  throw Error(Errc::decode_failed, fmt::format("{} bytes do not decode as {}", size, type), std::move(details));
}

template <>
struct Codec<nlohmann::json> {
  [[nodiscard]] static Bytes encode(const nlohmann::json& value) { return toBytes(encodeText(value)); }
  // Text that is not UTF-8 has no JSON form: Errc::invalid_argument.
  [[nodiscard]] static std::string encodeText(const nlohmann::json& value) {
    try {
      return value.dump();
    } catch (const nlohmann::json::exception&) {
      throw Error(Errc::invalid_argument, "the JSON value holds a string that is not UTF-8", {{"argument", "json"}});
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

template <class T>
  requires(std::is_trivially_copyable_v<T> && !std::is_pointer_v<T> && !std::is_same_v<T, std::string_view>)
struct Codec<T> {
  [[nodiscard]] static Bytes encode(const T& value) {
    const auto* first = reinterpret_cast<const std::byte*>(&value);
    return {first, first + sizeof(T)};
  }
  [[nodiscard]] static T decode(ByteView bytes) {
    if (bytes.size() != sizeof(T)) throwDecodeFailed("a structure of another size", bytes.size());
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
};

}  // namespace lukhas
