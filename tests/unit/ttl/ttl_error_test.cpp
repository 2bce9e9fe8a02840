#include "lukhas/ttl/ttl_error.hpp"

#include <set>
#include <string>

#include "support/catch.hpp"

using lukhas::TtlErrc;

TEST_CASE("each error code of the TTL engine has a sentence of its own", "[ttl]") {
  std::set<std::string> sentences;
  for (const TtlErrc code : {TtlErrc::invalid_key, TtlErrc::invalid_type, TtlErrc::ttl_out_of_range,
                             TtlErrc::too_many_entries, TtlErrc::too_many_types, TtlErrc::closed}) {
    const std::error_code error = code;
    CHECK(std::string(error.category().name()) == "lukhas.ttl");
    CHECK(error.message() != "unknown error");
    sentences.insert(error.message());
  }
  CHECK(sentences.size() == 6);
}
