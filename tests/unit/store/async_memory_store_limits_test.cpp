#include "lukhas/store/async_memory_store.hpp"

#include <malloc.h>

#include <cstdlib>
#include <memory_resource>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::EvictionCause;
using lukhas::StoreErrc;
using lukhas::detail::StoreAccess;

namespace {

constexpr std::size_t mebibyte = 1 << 20;

struct Small {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment(), {.maxBytes = mebibyte}};
  std::vector<std::string> evicted;
  lukhas::Subscription watching = store.onEvicted.connect([this](const lukhas::EntryEvicted& event) {
    if (event.cause != EvictionCause::replaced) evicted.push_back(event.key);
  });

  ~Small() { CHECK(StoreAccess::checkInvariants(store)); }

  void fill(int from, int to, std::size_t bytes) {
    for (int i = from; i < to; ++i) {
      store.trySet(fmt::format("k{}", i), std::string(bytes, 'x'));
      REQUIRE(store.getMetrics().totalSize <= mebibyte);
    }
  }
  bool holds(int i) { return store.info("k" + std::to_string(i)).has_value(); }
};

// The largest value that the store takes under the key "v".
std::size_t largest(AsyncMemoryStore& store) {
  std::size_t fits = 0;
  std::size_t tooMuch = 2 * mebibyte;
  while (tooMuch - fits > 1) {
    const std::size_t middle = (fits + tooMuch) / 2;
    try {
      store.trySet("v", std::string(middle, 'x'));
      fits = middle;
    } catch (const lukhas::Error&) {
      tooMuch = middle;
    }
  }
  return fits;
}

}  // namespace

TEST_CASE("the least recently used entry goes first", "[store]") {
  Small test;
  test.fill(0, 100, 9000);
  REQUIRE(test.evicted.empty());

  (void)test.store.tryGet<std::string>("k0");   // a use
  test.store.trySet("k1", std::string("new"));  // a use
  (void)test.store.info("k2");                  // not one
  (void)test.store.keys();
  test.fill(100, 125, 9000);

  REQUIRE(test.evicted.size() >= 3);
  CHECK(test.evicted[0] == "k2");
  CHECK(test.evicted[1] == "k3");
  CHECK(test.holds(0));
  CHECK(test.holds(1));
}

TEST_CASE("no more is evicted than is needed", "[store]") {
  Small test;
  test.fill(0, 4000, 1000);
  const auto before = test.evicted.size();
  test.store.trySet("k4000", std::string(1000, 'x'));
  CHECK(test.evicted.size() == before + 1);
  CHECK(test.store.getMetrics().totalSize > mebibyte * 95 / 100);
  CHECK(test.store.getMetrics().evictions == test.evicted.size());
}

TEST_CASE("what expired makes room before anything that lives", "[store]") {
  Small test;
  test.fill(0, 50, 9000);
  test.store.trySet("short", std::string(100'000, 'x'), 10s);
  test.world.runFor(10s);
  test.fill(50, 106, 9000);

  CHECK(test.evicted == std::vector<std::string>{"short"});
  CHECK(test.holds(0));
  CHECK(test.store.getMetrics().expirations == 1);
  CHECK(test.store.getMetrics().evictions == 0);
}

TEST_CASE("an entry over the limit is refused and harms nothing", "[store]") {
  Small test;
  test.fill(0, 90, 9000);
  test.store.trySet("v", std::string("old"));
  for (const std::size_t bytes : {mebibyte, 2 * mebibyte, 10 * mebibyte}) {
    try {
      test.store.trySet("v", std::string(bytes, 'x'));
      FAIL("it was taken");
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == StoreErrc::value_too_large);
      CHECK(error.details()["key"] == "v");
      CHECK(error.details()["maximum"] == mebibyte);
    }
  }
  CHECK(test.evicted.empty());
  CHECK(test.store.tryGet<std::string>("v") == "old");
}

TEST_CASE("the largest entry fits alone and one byte more is refused", "[store]") {
  Small test;
  const std::size_t bytes = largest(test.store);
  CHECK(bytes > mebibyte * 98 / 100);
  test.fill(0, 100, 500);

  test.store.trySet("w", std::string(bytes, 'x'));  // over all others
  CHECK(test.store.getMetrics().entryCount == 1);
  CHECK(test.store.getMetrics().totalSize <= mebibyte);
  test.store.trySet("w", std::string(bytes, 'y'));  // over itself
  CHECK(test.store.tryGet<std::string>("w") == std::string(bytes, 'y'));
  CHECK_THROWS_AS(test.store.trySet("w", std::string(bytes + 64, 'x')), lukhas::Error);
  CHECK(test.store.tryGet<std::string>("w").has_value());
}

TEST_CASE("many tiny entries stay within the limit with all their bookkeeping", "[store]") {
  Small test;
  for (int i = 0; i < 30'000; ++i) {
    test.store.trySet(std::to_string(i), "");
    if (i % 16 == 0) REQUIRE(test.store.getMetrics().totalSize <= mebibyte);
  }
  CHECK(test.store.getMetrics().entryCount > mebibyte / 250);
  CHECK(StoreAccess::checkInvariants(test.store));
  test.store.trySet("large", std::string(800'000, 'x'));
  CHECK(test.store.getMetrics().totalSize <= mebibyte);
}

// Of glibc alone is known what it really hands out; sanitizers bring an allocator of their own.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace {

// Hands out what malloc does, and counts what that really is.
class CountingMemory final : public std::pmr::memory_resource {
 public:
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t) override {
    void* const block = std::malloc(bytes);
    if (!block) throw std::bad_alloc();
    bytes_ += malloc_usable_size(block);
    return block;
  }
  void do_deallocate(void* block, std::size_t, std::size_t) override {
    bytes_ -= malloc_usable_size(block);
    std::free(block);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::size_t bytes_ = 0;
};

}  // namespace

TEST_CASE("the limit holds against what the allocator really hands out", "[store]") {
  for (const std::size_t bytes : {0u, 1u, 24u, 100u, 1000u, 5000u, 200'000u}) {
    CountingMemory memory;
    {
      lukhas::Simulation world;
      AsyncMemoryStore store(world.environment(), {.maxBytes = 4 * mebibyte, .memory = &memory});
      const std::string value(bytes, 'x');
      const std::size_t entries = std::min<std::size_t>(60'000, 3 * 4 * mebibyte / (bytes + 100));
      for (std::size_t i = 0; i < entries; ++i) {
        store.trySet(std::to_string(i), value);
        REQUIRE(memory.bytes() <= 4 * mebibyte);
      }
      const std::size_t counted = store.getMetrics().totalSize;
      CHECK(counted > 4 * mebibyte * 9 / 10);
      CHECK(memory.bytes() <= counted);
      // Of the smallest ones, malloc's eight bytes in front of each, which it does not hand out, are more.
      CHECK(memory.bytes() > counted * (bytes < 100 ? 88 : 95) / 100);
      store.tryClear();
      CHECK(memory.bytes() == 0);
      CHECK(store.getMetrics().totalSize == 0);
      store.trySet("k", value);
    }
    CHECK(memory.bytes() == 0);
  }
}

TEST_CASE("a view gives its memory back to where it came from", "[store]") {
  CountingMemory memory;
  std::optional<lukhas::View> view;
  {
    lukhas::Simulation world;
    AsyncMemoryStore store(world.environment(), {.memory = &memory});
    store.trySet("k", std::string(1000, 'x'));
    view = store.tryGet<lukhas::View>("k");
    store.tryRemove("k");
    CHECK(memory.bytes() > 1000);
    CHECK(store.getMetrics().totalSize == 0);  // what only a view keeps is the view's
  }
  CHECK(view->text() == std::string(1000, 'x'));
  view.reset();
  CHECK(memory.bytes() == 0);
}
#endif

TEST_CASE("a million entries cost 84 bytes each beyond key and value in the mean, and 91 at most",
          "[store]") {
  // By the arithmetic of a million entries of 64 bytes, with keys of any length.
  constexpr double million = 1e6;
  const double arrays = static_cast<double>(lukhas::detail::EntryCache::arrayBytesFor(1'000'000)) / million;
  double sum = 0;
  for (std::size_t keyBytes = 1; keyBytes <= 256; ++keyBytes) {
    const std::size_t block = lukhas::detail::CacheEntry::chargeFor(keyBytes, 64) - keyBytes - 64;
    INFO("keys of " << keyBytes << " bytes");
    CHECK(static_cast<double>(block) + arrays <= 91);
    sum += static_cast<double>(block) + arrays;
  }
  CHECK(sum / 256 <= 84);
}

TEST_CASE("a listener may call the store from inside an eviction", "[store]") {
  Small test;
  int calls = 0;
  const auto nosy = test.store.onEvicted.connect([&](const lukhas::EntryEvicted& event) {
    if (++calls > 3) return;
    CHECK(event.cause == EvictionCause::size);
    CHECK_FALSE(test.store.tryGet<std::string>(event.key).has_value());
    test.store.trySet("rescued:" + event.key, std::string(10, 'r'));
  });
  test.fill(0, 130, 9000);
  CHECK(calls > 3);
  CHECK(test.store.tryGet<std::string>("rescued:k0").has_value());
}
