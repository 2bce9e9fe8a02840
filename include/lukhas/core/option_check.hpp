// Range checks of options: refuse at construction, with the option's name, its value and what is allowed.
#pragma once

#include <chrono>
#include <concepts>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "lukhas/core/error.hpp"

namespace lukhas {

namespace detail {

template <class T>
std::string optionText(const T& value) {
  if constexpr (requires { value.count(); }) {
    using namespace std::chrono;
    // "for ever" as somebody may write it: std::chrono::hours::max() has no nanoseconds
    if (duration<double>(value) >= nanoseconds::max() || duration<double>(value) <= nanoseconds::min()) {
      return fmt::format("{:.0f} s", duration<double>(value).count());
    }
    const auto ns = duration_cast<nanoseconds>(value);
    if (ns % 1s == 0s) return fmt::format("{} s", duration_cast<seconds>(ns).count());
    if (ns % 1ms == 0s) return fmt::format("{} ms", duration_cast<milliseconds>(ns).count());
    return fmt::format("{} ns", ns.count());
  } else {
    return fmt::format("{}", value);
  }
}

}  // namespace detail

// Throws Errc::invalid_option unless minimum <= value <= maximum.
//
//   requireOption("AsyncLock", "timeout", options.timeout, 1ms, 24h);
//   // AsyncLock: option timeout is -1 s; allowed is 1 ms to 86400 s
template <class T>
void requireOption(std::string_view component, std::string_view option, const T& value,
                   const std::type_identity_t<T>& minimum, const std::type_identity_t<T>& maximum) {
  if (minimum <= value && value <= maximum) return;
  const std::string seen = detail::optionText(value);
  const std::string low = detail::optionText(minimum);
  const std::string high = detail::optionText(maximum);
  nlohmann::json details{
      {"component", component}, {"option", option}, {"value", seen}, {"minimum", low}, {"maximum", high}};
  throw Error(Errc::invalid_option,
              fmt::format("{}: option {} is {}; allowed is {} to {}", component, option, seen, low, high),
              std::move(details));
}

// Throws Errc::invalid_option when `holds` is false; `rule` says what is allowed ("not below minTtl, which is
// 30 s").
template <class T>
void requireOptionRule(std::string_view component, std::string_view option, const T& value, bool holds,
                       std::string_view rule) {
  if (holds) return;
  const std::string seen = detail::optionText(value);
  nlohmann::json details{{"component", component}, {"option", option}, {"value", seen}, {"allowed", rule}};
  throw Error(Errc::invalid_option,
              fmt::format("{}: option {} is {}; allowed is {}", component, option, seen, rule),
              std::move(details));
}

}  // namespace lukhas
