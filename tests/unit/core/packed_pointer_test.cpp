#include "lukhas/core/packed_pointer.hpp"

#include <array>
#include <cstring>

#include "support/catch.hpp"

using lukhas::PackedPointer;

namespace {

struct alignas(16) Thing {
  int number = 0;
};

}  // namespace

TEST_CASE("a packed pointer reads as the pointer that was written", "[core]") {
  CHECK(sizeof(PackedPointer<Thing>) == 6);
  std::array<Thing, 100> things;
  PackedPointer<Thing> pointer;
  CHECK(!pointer);
  CHECK(pointer.sound());
  for (Thing& thing : things) {
    pointer = &thing;
    CHECK(pointer.get() == &thing);
    CHECK(pointer->number == 0);
    CHECK(pointer.sound());
  }
  pointer = nullptr;
  CHECK(pointer.get() == nullptr);
}

TEST_CASE("a packed pointer notices any bit that flips", "[core]") {
  Thing thing;
  for (Thing* const target : {&thing, static_cast<Thing*>(nullptr)}) {
    PackedPointer<Thing> pointer = target;
    for (std::size_t bit = 0; bit < 48; ++bit) {
      std::array<unsigned char, 6> bytes{};
      std::memcpy(bytes.data(), static_cast<void*>(&pointer), 6);
      bytes[bit / 8] = static_cast<unsigned char>(bytes[bit / 8] ^ (1U << (bit % 8)));
      PackedPointer<Thing> damaged;
      std::memcpy(static_cast<void*>(&damaged), bytes.data(), 6);
      CHECK_FALSE(damaged.sound());
    }
  }
}

TEST_CASE("what is no multiple of sixteen or has too many bits does not fit", "[core]") {
  Thing thing;
  CHECK(PackedPointer<Thing>::fits(&thing));
  CHECK(PackedPointer<Thing>::fits(nullptr));
  CHECK_FALSE(PackedPointer<Thing>::fits(reinterpret_cast<const char*>(&thing) + 8));
  CHECK_FALSE(PackedPointer<Thing>::fits(reinterpret_cast<const void*>(std::uintptr_t{1} << 48U)));
}
