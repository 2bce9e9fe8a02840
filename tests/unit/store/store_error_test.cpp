#include "lukhas/store/store_error.hpp"

#include <set>
#include <string>

#include "support/catch.hpp"

using lukhas::StoreErrc;

TEST_CASE("each error of the store has its own words", "[store]") {
  std::set<std::string> texts;
  for (int value = 1; value <= static_cast<int>(StoreErrc::load_cycle); ++value) {
    const std::error_code code = static_cast<StoreErrc>(value);
    CHECK(code.category().name() == std::string("lukhas.store"));
    CHECK(code.message() != "unknown error");
    texts.insert(code.message());
  }
  CHECK(texts.size() == 11);
  CHECK(lukhas::make_error_code(static_cast<StoreErrc>(99)).message() == "unknown error");
}
