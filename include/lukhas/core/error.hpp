// Errors of the library: one exception type, one documented code for each thing that can happen.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

namespace lukhas {

// What every failing call throws.
//
//   try {
//     auto guard = co_await locks.acquire("session:42");
//   } catch (const lukhas::Error& error) {
//     if (error.code() == lukhas::LockErrc::timeout) log(error.what(), error.details().dump());
//   }
//
// code()    compares equal to exactly one enumerator of the component's `…Errc`, or to a code of the system.
// what()    one sentence that names the thing, its value and, where there is one, what is allowed.
// details() the same facts as fields of a JSON object, for logs and for programs. Never holds a secret.
//
// Copying never throws: message and details are shared. Moving copies, so that a moved-from error still
// speaks.
class Error : public std::system_error {
 public:
  Error(std::error_code code, std::string message, nlohmann::json details = nlohmann::json::object())
      : std::system_error(code),
        facts_(std::make_shared<const Facts>(Facts{std::move(message), std::move(details)})) {}
  Error(const Error&) noexcept = default;
  Error& operator=(const Error&) noexcept = default;

  [[nodiscard]] const char* what() const noexcept override { return facts_->message.c_str(); }
  [[nodiscard]] const nlohmann::json& details() const noexcept { return facts_->details; }

 private:
  struct Facts {
    std::string message;
    nlohmann::json details;
  };
  std::shared_ptr<const Facts> facts_;
};

// What can happen in every component.
enum class Errc {
  invalid_option =
      1,  // a field of an Options struct is out of its range; details: option, value, minimum, maximum
  invalid_argument,   // an argument of a call breaks its rule; details name the argument and its value
  closed,             // the object was stopped or destroyed while the call was waiting
  deadline_exceeded,  // an operation did not finish within the time it was given; details: operation, limitMs
  decode_failed,      // bytes are not what a Codec expects; details: type
  overloaded,         // as much waits already as may; details: maximum
};

namespace detail {

// The category of one error enum. `E` provides, found by argument-dependent lookup:
//   const char* errorCategoryName(E);      // the same for every value
//   const char* describeError(E) noexcept; // a short sentence
template <class E>
class EnumErrorCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return errorCategoryName(E{}); }
  std::string message(int value) const override { return describeError(static_cast<E>(value)); }

  static const EnumErrorCategory& instance() noexcept {
    static const EnumErrorCategory category;
    return category;
  }
};

template <class E>
concept LibraryErrorEnum = std::is_enum_v<E> && requires(E e) {
  { errorCategoryName(e) } -> std::same_as<const char*>;
  { describeError(e) } -> std::same_as<const char*>;
};

}  // namespace detail

template <detail::LibraryErrorEnum E>
[[nodiscard]] std::error_code make_error_code(E value) noexcept {
  return {static_cast<int>(value), detail::EnumErrorCategory<E>::instance()};
}

constexpr const char* errorCategoryName(Errc) noexcept { return "lukhas"; }

constexpr const char* describeError(Errc code) noexcept {
  switch (code) {
    case Errc::invalid_option: return "an option is out of its range";
    case Errc::invalid_argument: return "an argument breaks its rule";
    case Errc::closed: return "the object was closed";
    case Errc::deadline_exceeded: return "the time limit was reached";
    case Errc::decode_failed: return "the bytes do not decode";
    case Errc::overloaded: return "too much waits already";
  }
  return "unknown error";
}

}  // namespace lukhas

template <>
struct std::is_error_code_enum<lukhas::Errc> : std::true_type {};
