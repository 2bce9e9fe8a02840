// SseParser: server-sent events out of bytes that may be cut anywhere.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace lukhas {

// One event; valid only during the call that hands it over.
struct SseEvent {
  std::string_view name;  // of the field `event`; empty when it was not given
  std::string_view data;  // the lines of `data`, with LF between them
};

// Reads the format of WHATWG HTML, section 9.2.6: a line ends with LF, CR or CRLF, an event with an empty
// line; a byte order mark at the beginning is skipped; an event without data is none, and so is one that the
// end of the input cuts off. Comments and the fields `id` and `retry` are for browsers that reconnect: they
// are skipped.
//
//   SseParser parser;
//   const bool ok = parser.feed(bytes, [](const SseEvent& event) { show(event.data); });
//
// How the bytes are cut makes no difference. Memory is bounded by `maxEventBytes`. O(bytes).
class SseParser {
 public:
  static constexpr std::size_t defaultMaxEventBytes = std::size_t{4} << 20U;

  explicit SseParser(std::size_t maxEventBytes = defaultMaxEventBytes) : maxEventBytes_(maxEventBytes) {}

  // Calls use(const SseEvent&) for each event that ends in these bytes. False: an event is larger than
  // allowed; the parser is of no use then.
  template <class Use>
  [[nodiscard]] bool feed(std::string_view bytes, Use&& use) {
    // The next LF is looked for once, not once a line: with CR as the end of lines that would be quadratic.
    std::size_t lf = bytes.find('\n');
    std::size_t at = 0;
    while (at < bytes.size()) {
      if (std::exchange(afterCr_, false) && bytes[at] == '\n') {
        ++at;
        continue;
      }
      if (lf < at) lf = bytes.find('\n', at);
      const std::size_t limit = std::min(lf, bytes.size());
      const std::size_t end = std::min(bytes.substr(0, limit).find('\r', at), limit);
      const std::string_view part = bytes.substr(at, end - at);
      if (line_.size() + part.size() + data_.size() + name_.size() > maxEventBytes_) return false;
      if (end == bytes.size()) {
        line_ += part;
        break;
      }
      afterCr_ = bytes[end] == '\r';
      at = end + 1;
      if (line_.empty()) {
        takeLine(part, use);
      } else {
        line_ += part;
        takeLine(line_, use);
        line_.clear();
      }
    }
    return true;
  }

 private:
  template <class Use>
  void takeLine(std::string_view line, Use& use) {
    constexpr std::string_view byteOrderMark = "\xEF\xBB\xBF";
    if (std::exchange(atBeginning_, false) && line.starts_with(byteOrderMark))
      line.remove_prefix(byteOrderMark.size());
    if (line.empty()) return endEvent(use);
    const std::size_t colon = line.find(':');
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (field == "data") {
      if (std::exchange(hasData_, true)) data_ += '\n';
      data_ += value;
    } else if (field == "event") {
      name_ = value;
    }
  }

  template <class Use>
  void endEvent(Use& use) {
    if (std::exchange(hasData_, false)) use(SseEvent{name_, data_});
    data_.clear();
    name_.clear();
  }

  std::size_t maxEventBytes_;
  std::string line_;  // the beginning of a line whose end has not come
  std::string name_;
  std::string data_;
  bool hasData_ = false;
  bool afterCr_ = false;
  bool atBeginning_ = true;
};

}  // namespace lukhas
