// What is thrown when a conversation cannot be said in another protocol.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "lukhas/core/error.hpp"
#include "lukhas/core/quoted_text.hpp"
#include "lukhas/route/route_error.hpp"

namespace lukhas::detail {

// `field` is a name of the protocol or an unknown one, which is shown bounded; no content of a message is.
[[nodiscard]] inline Error notExpressible(std::string_view field, std::string_view why) {
  return {RouteErrc::not_expressible,
          fmt::format("{}: {} {}", make_error_code(RouteErrc::not_expressible).message(),
                      quotedText(field, 64), why),
          {{"field", cleanText(field, 64)}}};
}

}  // namespace lukhas::detail
