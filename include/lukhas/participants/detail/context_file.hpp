// How a stored context lies in a file: a head with a checksum of its own, then the payload. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"
#include "lukhas/preserve/participant.hpp"

namespace lukhas::detail {

// Everything of a stored context but its payload, as CBOR: ids may be any bytes.
[[nodiscard]] inline Bytes encodeContextFacts(const StoredContext& context) {
  const nlohmann::json facts{{"t", context.transactionId}, {"c", context.contextId},
                             {"v", context.version},       {"p", context.participants.names()},
                             {"h", context.payloadHash},   {"f", context.forgets}};
  const std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(facts);
  return toBytes({reinterpret_cast<const char*>(cbor.data()), cbor.size()});
}

// Throws Errc::decode_failed.
[[nodiscard]] inline StoredContext decodeContextFacts(ByteView bytes) {
  try {
    const nlohmann::json facts = nlohmann::json::from_cbor(asText(bytes));
    StoredContext context;
    context.transactionId = facts.at("t").get<std::string>();
    context.contextId = facts.at("c").get<std::string>();
    context.version = facts.at("v").get<std::uint64_t>();
    context.participants = NameList(facts.at("p").get<std::vector<std::string>>());
    context.payloadHash = facts.at("h").get<std::uint64_t>();
    context.forgets = facts.at("f").get<bool>();
    return context;
  } catch (const nlohmann::json::exception&) {
    throw Error(Errc::decode_failed, "its facts do not decode", {{"type", "StoredContext"}});
  }
}

//    0  magic, 8 bytes
//    8  format version, 4 bytes, little-endian as all numbers
//   12  size of the facts, 4 bytes
//   16  size of the payload, 8 bytes
//   24  facts
//       XXH3-64 of all before, 8 bytes
//       payload
//
// The head says by itself whether it is whole. The payload is guarded by the payloadHash in the facts: a
// damaged one is given as it is, so that whoever checks the hash still learns which version was damaged.
class ContextFile {
 public:
  static constexpr std::string_view magic = "LUKHASCX";
  static constexpr std::uint32_t formatVersion = 1;
  static constexpr std::size_t fixedSize = 24;

  [[nodiscard]] static Bytes encode(const StoredContext& context) {
    const Bytes facts = encodeContextFacts(context);
    Bytes file = toBytes(magic);
    putNumber(file, formatVersion);
    putNumber(file, static_cast<std::uint32_t>(facts.size()));
    putNumber(file, static_cast<std::uint64_t>(context.payload.size()));
    file.insert(file.end(), facts.begin(), facts.end());
    putNumber(file, hash64(file));
    const ByteView payload = asBytes(context.payload);
    file.insert(file.end(), payload.begin(), payload.end());
    return file;
  }

  // How many bytes the head has, as far as the first fixedSize bytes can say.
  [[nodiscard]] static std::size_t headSize(ByteView file) {
    if (file.size() < fixedSize || asText(file.first(magic.size())) != magic)
      damaged(file.size(), "it does not begin like a context's file");
    const auto version = getNumber<std::uint32_t>(file, 8);
    if (version != formatVersion)
      damaged(file.size(), fmt::format("it has format {}; this program reads {}", version, formatVersion));
    return fixedSize + getNumber<std::uint32_t>(file, 12) + sizeof(std::uint64_t);
  }

  // All but the payload. `file` holds at least the head. Throws Errc::decode_failed that says what is wrong.
  [[nodiscard]] static StoredContext decodeHead(ByteView file) {
    const std::size_t size = headSize(file);
    if (file.size() < size) damaged(file.size(), "its head is cut off");
    const ByteView summed = file.first(size - sizeof(std::uint64_t));
    if (getNumber<std::uint64_t>(file, summed.size()) != hash64(summed))
      damaged(file.size(), "its head does not match its checksum");
    try {
      return decodeContextFacts(summed.subspan(fixedSize));
    } catch (const Error& error) {
      damaged(file.size(), error.what());
    }
  }

  [[nodiscard]] static StoredContext decode(ByteView file) {
    StoredContext context = decodeHead(file);
    const ByteView rest = file.subspan(headSize(file));
    const auto size = getNumber<std::uint64_t>(file, 16);
    context.payload = asText(rest.first(std::min<std::uint64_t>(size, rest.size())));
    return context;
  }

 private:
  [[noreturn]] static void damaged(std::size_t size, const std::string& cause) {
    throw Error(Errc::decode_failed, cause, {{"type", "ContextFile"}, {"size", size}});
  }
  template <class Number>
  static void putNumber(Bytes& bytes, Number number) {
    for (std::size_t i = 0; i < sizeof(Number); ++i)
      bytes.push_back(static_cast<std::byte>((number >> (8 * i)) & 0xFFU));
  }
  template <class Number>
  static Number getNumber(ByteView bytes, std::size_t offset) {
    Number number = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i)
      number |= static_cast<Number>(std::to_integer<Number>(bytes[offset + i]) << (8 * i));
    return number;
  }
};

}  // namespace lukhas::detail
