#include "request_check.hpp"

#include <algorithm>
#include <memory>
#include <string_view>

#include <curl/curl.h>
#include <fmt/format.h>

#include "lukhas/core/error.hpp"

namespace lukhas::detail {

namespace {

// No value is shown: it may be, or be next to, a secret.
[[noreturn]] void refuse(std::string_view argument, std::string_view rule) {
  throw Error(Errc::invalid_argument, fmt::format("CurlTransport: {} of the request {}", argument, rule),
              {{"argument", argument}, {"allowed", rule}});
}

bool isToken(std::string_view text) {
  static constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           marks.find(c) != std::string_view::npos;
  });
}

bool hasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7F;
  });
}

class Url {
 public:
  explicit Url(const std::string& text) : parts_(curl_url(), &curl_url_cleanup) {
    if (!parts_) throw std::bad_alloc();
    valid_ = curl_url_set(parts_.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  }

  [[nodiscard]] bool valid() const { return valid_; }
  // Empty when the URL has no such part.
  [[nodiscard]] std::string part(CURLUPart which) const {
    char* text = nullptr;
    if (curl_url_get(parts_.get(), which, &text, 0) != CURLUE_OK) return {};
    const std::unique_ptr<char, void (*)(void*)> owner(text, &curl_free);
    return text;
  }

 private:
  std::unique_ptr<CURLU, void (*)(CURLU*)> parts_;
  bool valid_ = false;
};

std::string checkUrl(const std::string& text) {
  if (hasControl(text) || text.find_first_of(" \t") != std::string::npos)
    refuse("url", "holds no blanks and no control characters");
  const Url url(text);
  if (!url.valid()) refuse("url", "is an absolute URL");
  const std::string scheme = url.part(CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") refuse("url", "begins with http:// or https://");
  if (!url.part(CURLUPART_USER).empty() || !url.part(CURLUPART_PASSWORD).empty())
    refuse("url", "holds no user name and no password");
  const std::string port = url.part(CURLUPART_PORT);
  return scheme + "://" + url.part(CURLUPART_HOST) + (port.empty() ? "" : ":" + port);
}

}  // namespace

std::string checkRequest(const HttpRequest& request) {
  if (!isToken(request.method)) refuse("method", "is a token of HTTP");
  std::string origin = checkUrl(request.url);
  for (const HttpHeader& header : request.headers) {
    if (!isToken(header.name)) refuse("headers", "have tokens of HTTP as names");
    if (hasControl(header.value)) refuse("headers", "have values without control characters");
    for (const std::string_view own : {"content-length", "transfer-encoding", "connection", "expect"}) {
      if (sameHeaderName(header.name, own))
        refuse("headers", "leave content-length, transfer-encoding, connection and expect to the transport");
    }
  }
  if (request.connectTimeout <= std::chrono::nanoseconds::zero()) refuse("connectTimeout", "is above zero");
  if (request.maxHeaderBytes == 0) refuse("maxHeaderBytes", "is above zero");
  if (request.maxBufferedBytes == 0) refuse("maxBufferedBytes", "is above zero");
  return origin;
}

}  // namespace lukhas::detail
