#include "lukhas/core/error.hpp"

#include <exception>
#include <string>
#include <type_traits>
#include <utility>

#include "support/catch.hpp"

namespace sample {

enum class TeaErrc { cold = 1, spilt };
constexpr const char* errorCategoryName(TeaErrc) noexcept { return "sample.tea"; }
constexpr const char* describeError(TeaErrc code) noexcept {
  return code == TeaErrc::cold ? "the tea is cold" : "the tea is spilt";
}

}  // namespace sample

template <>
struct std::is_error_code_enum<sample::TeaErrc> : std::true_type {};

using lukhas::Errc;
using lukhas::Error;
using sample::TeaErrc;

static_assert(std::is_nothrow_copy_constructible_v<Error> && std::is_nothrow_move_constructible_v<Error>);

TEST_CASE("an error says its sentence and keeps its facts", "[core]") {
  nlohmann::json details;
  details["key"] = "session:42";
  const Error error(Errc::closed, "the lock was closed", details);

  CHECK(std::string(error.what()) == "the lock was closed");
  CHECK(error.details() == details);
  CHECK(error.code() == Errc::closed);
  CHECK(error.code() != Errc::invalid_option);
}

TEST_CASE("an error without facts has an empty object", "[core]") {
  CHECK(Error(Errc::closed, "x").details() == nlohmann::json::object());
}

TEST_CASE("an error is caught as a system error", "[core]") {
  try {
    throw Error(Errc::deadline_exceeded, "too late");
  } catch (const std::system_error& error) {
    CHECK(error.code() == Errc::deadline_exceeded);
    CHECK(std::string(error.what()) == "too late");
  }
}

TEST_CASE("copies share what the error says and a moved-from error still says it", "[core]") {
  Error error(Errc::closed, "the lock was closed");
  const Error copy = error;
  CHECK(copy.what() == error.what());  // the same characters, not equal ones

  const Error moved = std::move(error);
  CHECK(std::string(moved.what()) == "the lock was closed");
  CHECK(std::string(error.what()) ==
        "the lock was closed");  // an exception may be looked at after it was handed on
  CHECK(error.details().is_object());
}

TEST_CASE("an error carries codes of the system too", "[core]") {
  const Error error(std::make_error_code(std::errc::no_space_on_device), "the disk is full");
  CHECK(error.code() == std::errc::no_space_on_device);
  CHECK(error.code() != Errc::closed);
}

TEST_CASE("every common code has a sentence and the library's category", "[core]") {
  for (const Errc code : {Errc::invalid_option, Errc::invalid_argument, Errc::closed, Errc::deadline_exceeded,
                          Errc::decode_failed, Errc::overloaded}) {
    const std::error_code asCode = code;
    CHECK(std::string(asCode.category().name()) == "lukhas");
    CHECK(asCode.message() != "unknown error");
    CHECK(static_cast<bool>(asCode));  // no code is the zero of success
  }
  CHECK(lukhas::make_error_code(static_cast<Errc>(99)).message() == "unknown error");
}

TEST_CASE("a component's own codes are told apart from the common ones", "[core]") {
  const std::error_code cold = lukhas::make_error_code(TeaErrc::cold);
  CHECK(std::string(cold.category().name()) == "sample.tea");
  CHECK(cold.message() == "the tea is cold");
  CHECK(cold != lukhas::make_error_code(TeaErrc::spilt));
  CHECK(cold != lukhas::make_error_code(Errc::invalid_option));  // the same number in another category
  CHECK(cold == lukhas::make_error_code(TeaErrc::cold));
}
