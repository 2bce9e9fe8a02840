#include "lukhas/route/sse_parser.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace sse_parser_test {

using lukhas::SseEvent;
using lukhas::SseParser;
using Events = std::vector<std::pair<std::string, std::string>>;

bool feed(SseParser& parser, std::string_view bytes, Events& events) {
  return parser.feed(bytes,
                     [&events](const SseEvent& event) { events.emplace_back(event.name, event.data); });
}

Events eventsOf(std::string_view bytes) {
  SseParser parser;
  Events events;
  REQUIRE(feed(parser, bytes, events));
  return events;
}

TEST_CASE("an event ends with an empty line, a line with LF, CR or CRLF", "[route]") {
  const Events expected{{"", "one"}, {"", "two"}};
  CHECK(eventsOf("data: one\n\ndata: two\n\n") == expected);
  CHECK(eventsOf("data: one\r\rdata: two\r\r") == expected);
  CHECK(eventsOf("data: one\r\n\r\ndata: two\r\n\r\n") == expected);
  CHECK(eventsOf("data: one\r\n\ndata: two\n\r\n") == expected);
  CHECK(eventsOf("data: one\n\rdata: two\r\n\r") == expected);
}

TEST_CASE("fields are read as the standard says", "[route]") {
  CHECK(eventsOf("event: ping\ndata: {}\n\n") == Events{{"ping", "{}"}});
  CHECK(eventsOf("data:no blank\n\n") == Events{{"", "no blank"}});
  CHECK(eventsOf("data:  two blanks\n\n") == Events{{"", " two blanks"}});
  CHECK(eventsOf("data: a\ndata: b\ndata\n\n") == Events{{"", "a\nb\n"}});
  CHECK(eventsOf("data\n\n") == Events{{"", ""}});
  CHECK(eventsOf(": a comment\nid: 7\nretry: 100\nnovelty: x\ndata: y\n\n") == Events{{"", "y"}});
  CHECK(eventsOf("event: a\nevent: b\ndata: y\n\n") == Events{{"b", "y"}});
  CHECK(eventsOf("data: with: colons\n\n") == Events{{"", "with: colons"}});
  CHECK(eventsOf("data: null\0byte\n\n").size() == 0);  // the literal ends there: no end of an event
  CHECK(eventsOf(std::string_view("data: a\0b\n\n", 11)) == Events{{"", std::string("a\0b", 3)}});
}

TEST_CASE("an event without data, and one that is cut off, is none", "[route]") {
  CHECK(eventsOf("event: nothing\n\ndata: x\n\n") == Events{{"", "x"}});
  CHECK(eventsOf("\n\n\n").empty());
  CHECK(eventsOf("data: x\n").empty());
  CHECK(eventsOf("data: x").empty());
  CHECK(eventsOf("").empty());
}

TEST_CASE("a byte order mark is skipped at the beginning, and only there", "[route]") {
  CHECK(eventsOf("\xEF\xBB\xBF"
                 "data: x\n\n") == Events{{"", "x"}});
  CHECK(eventsOf("data: x\n\n\xEF\xBB\xBF"
                 "data: y\n\ndata: z\n\n") == Events{{"", "x"}, {"", "z"}});
}

TEST_CASE("how the bytes are cut makes no difference", "[route]") {
  const std::string bytes =
      "\xEF\xBB\xBF: hello\r\nevent: a\rdata: one\r\n\r\ndata: two\ndata: three\n\n\r\rdata:four\r\n\n";
  const Events whole = eventsOf(bytes);
  REQUIRE(whole == Events{{"a", "one"}, {"", "two\nthree"}, {"", "four"}});
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    for (std::size_t second = first; second <= bytes.size(); ++second) {
      SseParser parser;
      Events events;
      const std::string_view all = bytes;
      REQUIRE(feed(parser, all.substr(0, first), events));
      REQUIRE(feed(parser, all.substr(first, second - first), events));
      REQUIRE(feed(parser, all.substr(second), events));
      REQUIRE(events == whole);
    }
  }
}

TEST_CASE("an event that is too large is refused, in one line or in many", "[route]") {
  Events events;
  SseParser one(100);
  CHECK(feed(one, "data: " + std::string(90, 'x') + "\n\n", events));
  CHECK(events.size() == 1);
  CHECK_FALSE(feed(one, "data: " + std::string(200, 'x'), events));

  SseParser many(100);
  bool fits = true;
  for (int i = 0; i < 100 && fits; ++i) fits = feed(many, "data: x\n", events);
  CHECK_FALSE(fits);

  SseParser drip(100);
  fits = true;
  for (int i = 0; i < 1000 && fits; ++i) fits = feed(drip, "x", events);
  CHECK_FALSE(fits);
}

TEST_CASE("many small lines in one piece are read in linear time", "[route]") {
  // A search over the rest of the piece for each line would take minutes here.
  const std::string bytes(4'000'000, '\r');
  SseParser parser;
  Events events;
  CHECK(feed(parser, bytes, events));
  CHECK(events.empty());
}

}  // namespace sse_parser_test
