#include "transfer_error.hpp"

#include <fmt/format.h>

#include "lukhas/core/quoted_text.hpp"

namespace lukhas::detail {

RouteErrc routeErrcOf(CURLcode code, std::string_view cause) noexcept {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST: return RouteErrc::name_not_resolved;
    case CURLE_PROXY:
    case CURLE_COULDNT_CONNECT: return RouteErrc::connect_failed;
    // No other time limit is set than the one for connecting.
    case CURLE_OPERATION_TIMEDOUT: return RouteErrc::connect_timed_out;

    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_USE_SSL_FAILED: return RouteErrc::tls_failed;

    // libcurl has no code of its own for broken chunks, only these words.
    case CURLE_RECV_ERROR:
      return cause.find("chunked-encoding") == std::string_view::npos ? RouteErrc::connection_lost
                                                                      : RouteErrc::bad_http;
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_SEND_FAIL_REWIND: return RouteErrc::connection_lost;

    // The scheme was checked before: this is an answer of HTTP/0.9 or of another protocol.
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_FILESIZE_EXCEEDED:
    case CURLE_RANGE_ERROR: return RouteErrc::bad_http;

    default: return RouteErrc::transport_failed;
  }
}

Error transferError(RouteErrc code, const std::string& origin, std::string_view cause) {
  constexpr std::size_t longestCause = 256;
  std::string message = fmt::format("{}: {}", origin, describeError(code));
  nlohmann::json details{{"origin", origin}};
  if (!cause.empty()) {
    message += fmt::format(" ({})", quotedText(cause, longestCause));
    details["cause"] = cleanText(cause, longestCause);
  }
  return Error(code, std::move(message), std::move(details));
}

}  // namespace lukhas::detail
