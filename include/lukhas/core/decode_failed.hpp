// throwDecodeFailed: the error of bytes that are not what a codec expects.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lukhas/core/error.hpp"

namespace lukhas {

// For the decode of a type of your own. Throws Errc::decode_failed; never quotes the bytes, for they are the
// user's.
[[noreturn]] inline void throwDecodeFailed(std::string_view type, std::size_t size) {
  nlohmann::json details;
  details["type"] = type;
  details["size"] = size;
  throw Error(Errc::decode_failed, fmt::format("{} bytes do not decode as {}", size, type),
              std::move(details));
}

}  // namespace lukhas
