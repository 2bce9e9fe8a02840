// What a libcurl error means for the router.
#pragma once

#include <string>
#include <string_view>

#include <curl/curl.h>

#include "lukhas/route/route_error.hpp"

namespace lukhas::detail {

// `cause` is libcurl's own sentence; empty when it gave none.
[[nodiscard]] RouteErrc routeErrcOf(CURLcode code, std::string_view cause) noexcept;

// One sentence with scheme, host and port of the peer; `cause` in quotation marks, as text from outside.
// details: origin, cause
[[nodiscard]] Error transferError(RouteErrc code, const std::string& origin, std::string_view cause);

}  // namespace lukhas::detail
