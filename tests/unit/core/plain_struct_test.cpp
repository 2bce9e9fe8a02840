#include "lukhas/core/plain_struct.hpp"

#include <chrono>
#include <complex>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace plain_struct_test {

namespace {

struct Point {
  int x;
  int y;
};
enum class Color : char { red };
struct MoveOnly {
  MoveOnly(MoveOnly&&) = default;
  int x;
};

template <class... T>
constexpr bool allPlain = (lukhas::PlainStruct<T> && ...);
template <class... T>
constexpr bool nonePlain = (!lukhas::PlainStruct<T> && ...);

static_assert(allPlain<int, double, bool, Color, Point, std::array<Point, 3>, std::optional<Point>,
                       std::variant<int, Point>, std::chrono::seconds, std::array<std::array<int, 2>, 2>>);
static_assert(
    nonePlain<std::string, std::vector<int>, std::unique_ptr<int>, void, int[3], int&, const int, MoveOnly>);
static_assert(nonePlain<int*, const char*, void (*)(), int Point::*, std::nullptr_t, std::string_view,
                        std::span<int>, std::span<const std::byte>>);
static_assert(
    nonePlain<std::reference_wrapper<int>, std::reference_wrapper<const Point>, std::initializer_list<int>,
              std::coroutine_handle<>, std::vector<int>::iterator, std::reverse_iterator<int*>>);
static_assert(
    nonePlain<std::optional<std::reference_wrapper<int>>, std::optional<int*>,
              std::array<std::string_view, 2>, std::variant<int, int*>, std::optional<std::array<int*, 1>>>);

}  // namespace

TEST_CASE("what is known to hold an address is no plain struct", "[core]") {
  // The compiler has checked it above; this says where.
  CHECK(lukhas::PlainStruct<Point>);
  CHECK_FALSE(lukhas::PlainStruct<std::reference_wrapper<Point>>);
}

}  // namespace plain_struct_test
