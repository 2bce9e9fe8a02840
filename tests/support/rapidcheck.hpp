// Properties as Catch2 test cases, whatever the major version of Catch2. A failing property prints its
// counterexample and the configuration that replays it (RC_PARAMS).
#pragma once

#include <sstream>
#include <string>
#include <utility>

#include <rapidcheck.h>

#include "support/catch.hpp"

namespace lukhas::test {

// Runs `property` and fails the current test case when RapidCheck finds a counterexample.
template <class Property>
void holdsForAll(const std::string& description, Property&& property) {
  const auto result = rc::detail::checkTestable(std::forward<Property>(property));
  std::ostringstream report;
  rc::detail::printResultMessage(result, report);
  INFO(description << '\n' << report.str());
  CHECK(result.template is<rc::detail::SuccessResult>());
}

}  // namespace lukhas::test
