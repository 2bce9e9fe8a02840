#include "lukhas/core/name_list.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/catch.hpp"

using lukhas::NameList;

namespace {

std::vector<std::string> namesOf(NameList list) { return std::move(list).names(); }

}  // namespace

TEST_CASE("a name list is written in braces", "[core]") {
  CHECK(namesOf({"sqlite"}) == std::vector<std::string>{"sqlite"});
  CHECK(namesOf({"sqlite", "files"}) == std::vector<std::string>{"sqlite", "files"});
  CHECK(namesOf({"a", "b", "c", "d"}) == std::vector<std::string>{"a", "b", "c", "d"});
  CHECK(namesOf({}).empty());
}

TEST_CASE("a name list takes every kind of text", "[core]") {
  const std::string text = "text";
  std::string moved = "a name too long for the small string buffer";
  const std::string_view view = "view";
  CHECK(namesOf({text, std::move(moved), view, "literal"}) ==
        std::vector<std::string>{"text", "a name too long for the small string buffer", "view", "literal"});
}

TEST_CASE("a name list takes a vector", "[core]") {
  std::vector<std::string> names{"a", "b"};
  CHECK(namesOf(names) == names);
  const NameList list = names;
  CHECK(list.names() == names);
}

TEST_CASE("a name list is a range with size and index", "[core]") {
  const NameList list{"b", "a"};
  CHECK(list.size() == 2);
  CHECK_FALSE(list.empty());
  CHECK(list[1] == "a");
  std::string all;
  for (const std::string& name : list) all += name;
  CHECK(all == "ba");
  CHECK(NameList().empty());
}

TEST_CASE("a copied name list is equal and one in another order is not", "[core]") {
  NameList list{"a", "b"};
  const NameList copy(list);  // from an lvalue that is not const: still a copy, not a list of one name
  CHECK(copy.size() == 2);
  CHECK(copy == list);
  CHECK_FALSE(list == NameList{"b", "a"});
}
