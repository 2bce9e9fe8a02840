// What is refused before anything is sent.
#pragma once

#include <string>

#include "lukhas/route/http_message.hpp"

namespace lukhas::detail {

// Throws Errc::invalid_argument when the request cannot be sent as it is. Gives scheme, host and port of its
// URL, for error messages: path and query may hold a secret.
[[nodiscard]] std::string checkRequest(const HttpRequest& request);

}  // namespace lukhas::detail
