#include "lukhas/core/unique_function.hpp"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "support/catch.hpp"

using lukhas::UniqueFunction;

namespace {

int twice(int n) { return 2 * n; }

struct Pinned {  // neither copied nor moved
  explicit Pinned(int given) : value(given) {}
  Pinned(const Pinned&) = delete;
  int value;
};

static_assert(!std::is_copy_constructible_v<UniqueFunction<void()>>);
static_assert(std::is_nothrow_move_constructible_v<UniqueFunction<void()>>);
static_assert(!std::is_constructible_v<UniqueFunction<void()>, int>);
static_assert(!std::is_constructible_v<UniqueFunction<std::string()>, int (*)()>);

}  // namespace

TEST_CASE("a function that was given is called and an empty one says so", "[core]") {
  UniqueFunction<int(int)> function;
  CHECK_FALSE(static_cast<bool>(function));
  function = twice;
  REQUIRE(static_cast<bool>(function));
  CHECK(function(21) == 42);
}

TEST_CASE("a function may own what cannot be copied", "[core]") {
  UniqueFunction<int()> function = [owned = std::make_unique<int>(7)] { return ++*owned; };
  CHECK(function() == 8);
  UniqueFunction<int()> moved = std::move(function);
  CHECK_FALSE(static_cast<bool>(function));
  CHECK(moved() == 9);
}

TEST_CASE("a function destroys what it owns once", "[core]") {
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> seen = owned;
  {
    UniqueFunction<void()> function = [owned = std::move(owned)] {};
    UniqueFunction<void()> moved = std::move(function);
    CHECK_FALSE(seen.expired());
    moved = UniqueFunction<void()>();
    CHECK(seen.expired());
  }
}

TEST_CASE("arguments and results pass through as they are", "[core]") {
  UniqueFunction<std::unique_ptr<int>(std::unique_ptr<int>, int&)> function = [](std::unique_ptr<int> taken,
                                                                                 int& seen) {
    seen = *taken;
    return taken;
  };
  int seen = 0;
  CHECK(*function(std::make_unique<int>(5), seen) == 5);
  CHECK(seen == 5);

  UniqueFunction<int&(int&)> reference = [](int& n) -> int& { return n; };
  CHECK(&reference(seen) == &seen);
  UniqueFunction<Pinned()> makes = [] { return Pinned(3); };
  CHECK(makes().value == 3);
  UniqueFunction<void()> drops = [] { return 1; };
  drops();
}
