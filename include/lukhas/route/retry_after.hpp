// Retry-After: how long a server asks to be left alone, from the headers of its answer.
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>

namespace lukhas {

// What asks for more, a slip or an attack, is read as this much. How long a model is left alone on its word
// at most is RetryPolicyOptions::maxRetryAfter.
inline constexpr std::chrono::nanoseconds longestRetryAfter = std::chrono::hours(24);

namespace detail {

constexpr std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// A number of units, fractional or not; nothing for what is negative, not finite or not a number. Independent
// of the locale.
inline std::optional<std::chrono::nanoseconds> parseWait(std::string_view text,
                                                         std::chrono::nanoseconds unit) noexcept {
  text = trimmed(text);
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::general);
  if (end != text.data() + text.size() || text.empty()) return std::nullopt;
  if (error == std::errc::result_out_of_range || error != std::errc{}) return std::nullopt;
  if (!std::isfinite(value) || value < 0) return std::nullopt;
  const double nanoseconds = value * static_cast<double>(unit.count());
  if (nanoseconds >= static_cast<double>(longestRetryAfter.count())) return longestRetryAfter;
  return std::chrono::nanoseconds(std::llround(nanoseconds));
}

// Reads a date piece by piece; the first piece that does not fit makes all later ones fail too.
class DateReader {
 public:
  explicit DateReader(std::string_view text) noexcept : rest_(text) {}

  [[nodiscard]] bool done() const noexcept { return good_ && rest_.empty(); }

  void literal(std::string_view expected) noexcept {
    if (!good_ || !rest_.starts_with(expected)) {
      good_ = false;
      return;
    }
    rest_.remove_prefix(expected.size());
  }
  // Exactly that many digits; the first may be a space when `padding` says so.
  enum class Padding { zero, space };
  int number(std::size_t digits, Padding padding = Padding::zero) noexcept {
    if (!good_ || rest_.size() < digits) return fail();
    int value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = rest_[i] == ' ' && i == 0 && padding == Padding::space ? '0' : rest_[i];
      if (c < '0' || c > '9') return fail();
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(digits);
    return value;
  }
  // The index of the name that stands there.
  template <std::size_t Count>
  int name(const std::array<std::string_view, Count>& names) noexcept {
    for (std::size_t i = 0; good_ && i < Count; ++i) {
      if (!rest_.starts_with(names[i])) continue;
      rest_.remove_prefix(names[i].size());
      return static_cast<int>(i);
    }
    return fail();
  }
  // hh:mm:ss; 60 is a leap second.
  std::chrono::seconds timeOfDay() noexcept {
    const int hours = number(2);
    literal(":");
    const int minutes = number(2);
    literal(":");
    const int seconds = number(2);
    if (hours > 23 || minutes > 59 || seconds > 60) fail();
    return std::chrono::hours(hours) + std::chrono::minutes(minutes) + std::chrono::seconds(seconds);
  }

 private:
  int fail() noexcept {
    good_ = false;
    return 0;
  }

  std::string_view rest_;
  bool good_ = true;
};

inline constexpr std::array<std::string_view, 7> shortDays{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
inline constexpr std::array<std::string_view, 7> longDays{"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                          "Friday", "Saturday", "Sunday"};
inline constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

using HttpDate = std::optional<std::chrono::sys_seconds>;

inline HttpDate httpDate(int year, int month, int day, std::chrono::seconds timeOfDay) noexcept {
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month + 1)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date) + timeOfDay;
}

// Sun, 06 Nov 1994 08:49:37 GMT
inline HttpDate parseImfFixdate(std::string_view text) noexcept {
  DateReader reader(text);
  reader.name(shortDays);
  reader.literal(", ");
  const int day = reader.number(2);
  reader.literal(" ");
  const int month = reader.name(months);
  reader.literal(" ");
  const int year = reader.number(4);
  reader.literal(" ");
  const std::chrono::seconds time = reader.timeOfDay();
  reader.literal(" GMT");
  return reader.done() ? httpDate(year, month, day, time) : std::nullopt;
}

// Sunday, 06-Nov-94 08:49:37 GMT: a year that would be more than 50 years away is one of the past century
// (RFC 9110, 5.6.7).
inline HttpDate parseRfc850(std::string_view text, std::chrono::system_clock::time_point now) noexcept {
  DateReader reader(text);
  reader.name(longDays);
  reader.literal(", ");
  const int day = reader.number(2);
  reader.literal("-");
  const int month = reader.name(months);
  reader.literal("-");
  const int shortYear = reader.number(2);
  reader.literal(" ");
  const std::chrono::seconds time = reader.timeOfDay();
  reader.literal(" GMT");
  if (!reader.done()) return std::nullopt;
  const int thisYear =
      static_cast<int>(std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(now)).year());
  int year = thisYear - thisYear % 100 + shortYear;
  if (year > thisYear + 50) year -= 100;
  return httpDate(year, month, day, time);
}

// Sun Nov  6 08:49:37 1994
inline HttpDate parseAsctime(std::string_view text) noexcept {
  DateReader reader(text);
  reader.name(shortDays);
  reader.literal(" ");
  const int month = reader.name(months);
  reader.literal(" ");
  const int day = reader.number(2, DateReader::Padding::space);
  reader.literal(" ");
  const std::chrono::seconds time = reader.timeOfDay();
  reader.literal(" ");
  const int year = reader.number(4);
  return reader.done() ? httpDate(year, month, day, time) : std::nullopt;
}

}  // namespace detail

// A date in any of HTTP's three forms (RFC 9110, section 5.6.7). The day of the week has to be one, but not
// the right one.
[[nodiscard]] inline std::optional<std::chrono::sys_seconds> parseHttpDate(
    std::string_view text, std::chrono::system_clock::time_point now) noexcept {
  text = detail::trimmed(text);
  if (const auto date = detail::parseImfFixdate(text)) return date;
  if (const auto date = detail::parseRfc850(text, now)) return date;
  return detail::parseAsctime(text);
}

// The value of `Retry-After`: seconds, also fractional, or a date. Empty for anything that cannot be used:
// not of these forms, negative, not finite, a date that has passed. Zero means "now". Never more than
// longestRetryAfter.
[[nodiscard]] inline std::optional<std::chrono::nanoseconds> parseRetryAfter(
    std::string_view text, std::chrono::system_clock::time_point now) noexcept {
  if (const auto seconds = detail::parseWait(text, std::chrono::seconds(1))) return seconds;
  const auto date = parseHttpDate(text, now);
  // In whole seconds first: the nanoseconds of a date a few centuries away do not fit 64 bits.
  if (!date || *date < std::chrono::ceil<std::chrono::seconds>(now)) return std::nullopt;
  if (*date - std::chrono::floor<std::chrono::seconds>(now) >
      std::chrono::ceil<std::chrono::seconds>(longestRetryAfter)) {
    return longestRetryAfter;
  }
  return std::chrono::duration_cast<std::chrono::nanoseconds>(*date - now);
}

// The value of `retry-after-ms`, which some model endpoints send: milliseconds, also fractional.
[[nodiscard]] inline std::optional<std::chrono::nanoseconds> parseRetryAfterMs(
    std::string_view text) noexcept {
  return detail::parseWait(text, std::chrono::milliseconds(1));
}

}  // namespace lukhas
