// ResponseHead: status line and headers of an answer, from the lines that libcurl hands over.
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "lukhas/route/http_message.hpp"

namespace lukhas::detail {

// Takes line by line, with its line end. Interim answers (1xx) are skipped, but count towards the limit, as
// do the trailers that may follow a body. After the head is complete its fields never change.
class ResponseHead {
 public:
  enum class Fault { none, too_large, malformed };

  explicit ResponseHead(std::size_t maxBytes) : maxBytes_(maxBytes) {}

  // False when the answer must be refused; fault() says why.
  bool takeLine(std::string_view line) {
    if (line.size() > maxBytes_ - bytes_) return refuse(Fault::too_large);
    bytes_ += line.size();
    if (complete_) return true;
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (status_ == 0) return takeStatusLine(line);
    if (!line.empty()) return takeField(line);
    if (status_ < 200) {
      status_ = 0;
      headers_.clear();
      return true;
    }
    if (!hasSoundLength()) return refuse(Fault::malformed);
    complete_ = true;
    return true;
  }

  [[nodiscard]] bool complete() const noexcept { return complete_; }
  [[nodiscard]] Fault fault() const noexcept { return fault_; }
  [[nodiscard]] int status() const noexcept { return status_; }
  [[nodiscard]] const std::vector<HttpHeader>& headers() const noexcept { return headers_; }

 private:
  static constexpr std::string_view blanks = " \t";

  bool refuse(Fault fault) {
    fault_ = fault;
    return false;
  }

  // "HTTP/1.1 200 OK"
  bool takeStatusLine(std::string_view line) {
    const std::size_t space = line.find(' ');
    if (!line.starts_with("HTTP/") || space == std::string_view::npos) return refuse(Fault::malformed);
    const std::string_view digits = line.substr(space + 1, 3);
    int status = 0;
    for (const char digit : digits) {
      if (digit < '0' || digit > '9') return refuse(Fault::malformed);
      status = status * 10 + (digit - '0');
    }
    if (digits.size() != 3 || status < 100) return refuse(Fault::malformed);
    status_ = status;
    return true;
  }

  // "name: value", or the continuation of the field before (RFC 9112, section 5.2). A line without a colon is
  // left out, as libcurl and browsers do.
  bool takeField(std::string_view line) {
    if (blanks.find(line.front()) != std::string_view::npos) {
      if (!headers_.empty()) headers_.back().value.append(" ").append(trimmed(line));
      return true;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return true;
    headers_.push_back(
        {std::string(trimmed(line.substr(0, colon))), std::string(trimmed(line.substr(colon + 1)))});
    return true;
  }

  // libcurl reads up to the end of the connection when it cannot read the length, and takes the last one of
  // several: a body that was cut off would look whole.
  [[nodiscard]] bool hasSoundLength() const {
    if (findHeader(headers_, "transfer-encoding")) return true;
    std::optional<std::int64_t> length;
    for (const HttpHeader& header : headers_) {
      if (!sameHeaderName(header.name, "content-length")) continue;
      const char* const end = header.value.data() + header.value.size();
      std::int64_t value = 0;
      const auto [stop, error] = std::from_chars(header.value.data(), end, value);
      if (error != std::errc() || stop != end || value < 0) return false;
      if (length && *length != value) return false;
      length = value;
    }
    return true;
  }

  static std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
  }

  std::size_t maxBytes_;
  std::size_t bytes_ = 0;
  int status_ = 0;  // 0: a status line comes next
  bool complete_ = false;
  Fault fault_ = Fault::none;
  std::vector<HttpHeader> headers_;
};

}  // namespace lukhas::detail
