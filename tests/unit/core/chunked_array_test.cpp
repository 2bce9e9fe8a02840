#include "lukhas/core/chunked_array.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/catch.hpp"

using Numbers = lukhas::ChunkedArray<std::uint64_t>;

TEST_CASE("an array without elements takes nothing", "[core]") {
  Numbers numbers;
  CHECK(numbers.capacity() == 0);
  CHECK(numbers.memoryBytes() == 0);
  numbers.reserve(0);
  CHECK(numbers.memoryBytes() == 0);
}

TEST_CASE("elements keep their values and addresses while the array grows and shrinks", "[core]") {
  Numbers numbers;
  std::vector<const std::uint64_t*> places;
  for (std::size_t i = 0; i < 10'000; ++i) {
    numbers.reserve(i + 1);
    numbers[i] = i * i;
    places.push_back(&numbers[i]);
  }
  numbers.shrinkTo(3'000);
  CHECK(numbers.capacity() >= 3'000);
  CHECK(numbers.capacity() < 10'000);
  std::size_t kept = 0;
  for (std::size_t i = 0; i < 3'000; ++i) kept += numbers[i] == i * i && &numbers[i] == places[i] ? 1 : 0;
  CHECK(kept == 3'000);
}

TEST_CASE("elements between two multiples of 64 lie side by side", "[core]") {
  Numbers numbers;
  numbers.reserve(5'000);
  std::size_t apart = 0;
  for (std::size_t i = 0; i + 1 < 5'000; ++i) {
    if ((i + 1) % 64 != 0 && &numbers[i + 1] != &numbers[i] + 1) ++apart;
  }
  CHECK(apart == 0);
}

TEST_CASE("the memory of the array is known before it is taken and covers what the allocator gives",
          "[core]") {
  for (const std::size_t elements : {1U, 64U, 65U, 192U, 193U, 20'000U, 100'000U}) {
    Numbers numbers;
    const std::size_t promised = numbers.memoryBytesFor(elements);
    numbers.reserve(elements);
    CHECK(numbers.memoryBytes() == promised);
    CHECK(Numbers::memoryBound(elements) == promised);
    CHECK(numbers.capacity() >= elements);
    CHECK(numbers.memoryBytesFor(1) == promised);
    std::size_t taken = 0;
    for (std::size_t first = 0; first < numbers.capacity(); first = 2 * first + 64) {
      taken += lukhas::allocatedBytes(&numbers[first], (first + 64) * sizeof(std::uint64_t));
    }
    CHECK(taken <= promised);
    numbers.shrinkTo(0);
    CHECK(numbers.memoryBytes() == 0);
  }
}

TEST_CASE("an array shrinks to what is needed and no further", "[core]") {
  Numbers numbers;
  numbers.reserve(193);
  numbers.shrinkTo(193);
  CHECK(numbers.capacity() == 448);
  numbers.shrinkTo(192);
  CHECK(numbers.capacity() == 192);
  numbers.shrinkTo(1'000'000);  // never grows
  CHECK(numbers.capacity() == 192);
}
