#include "lukhas/preserve/transaction_id.hpp"

#include <string>

#include "support/catch.hpp"

using lukhas::TransactionId;

TEST_CASE("a transaction id is read back as it was written", "[preserve]") {
  const TransactionId id{"shop.eu", "00ff", 3, 18446744073709551615U};
  CHECK(id.toString() == "shop.eu:00ff:3:18446744073709551615");
  CHECK(TransactionId::parse(id.toString()) == id);
}

TEST_CASE("text that no coordinator wrote is no transaction id", "[preserve]") {
  for (const std::string text : {"", ":::", "a:b:1", "a:b:1:2:3", "a:b:01:2", "a:b:1:-2", "a:b:1:2 ",
                                 "a b:c:1:2", "a:b::2", "a:b:1:18446744073709551616"}) {
    INFO(text);
    CHECK_FALSE(TransactionId::parse(text).has_value());
  }
}

TEST_CASE("the longest transaction id has at most 200 bytes", "[preserve]") {
  const TransactionId id{std::string(64, 'n'), std::string(32, 'f'), 18446744073709551615U,
                         18446744073709551615U};
  CHECK(id.toString().size() <= 200);
}
