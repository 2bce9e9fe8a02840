#include "lukhas/store/detail/store_values.hpp"

#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/async_memory_store.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

namespace store_codec_test {

// Cannot be encoded when negative, nor decoded when it was 13.
struct Moody {
  int value = 0;
};

}  // namespace store_codec_test

template <>
struct lukhas::Codec<store_codec_test::Moody> {
  static Bytes encode(const store_codec_test::Moody& moody) {
    if (moody.value < 0) throw std::runtime_error("encode");
    return toBytes(std::to_string(moody.value));
  }
  static store_codec_test::Moody decode(ByteView bytes) {
    if (asText(bytes) == "13") throw std::runtime_error("decode");
    return {std::stoi(std::string(asText(bytes)))};
  }
};

namespace store_codec_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::JsonFormat;
using lukhas::StoreErrc;
using nlohmann::json;

namespace {

struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment()};
  int departed = 0;
  lukhas::Subscription hearing = store.onEvicted.connect([this](const lukhas::EntryEvicted&) { ++departed; });
  ~Test() {
    CHECK(lukhas::detail::StoreAccess::checkInvariants(store));
    CHECK(lukhas::detail::StoreAccess::loads(store) == 0);
  }
  void run(asio::awaitable<void> task) {
    world.spawn(std::move(task));
    world.run();
  }
};

}  // namespace

TEST_CASE("an array of characters is a text up to its zero or its end", "[store]") {
  Test test;
  struct {
    char text[4] = {'f', 'o', 'u', 'r'};
    char behind[4] = {'m', 'o', 'r', '\0'};
  } lies;
  test.store.trySet("open", lies.text);
  CHECK(test.store.tryGet<std::string>("open") == "four");
  test.store.trySet("closed", "text\0more");
  CHECK(test.store.tryGet<std::string>("closed") == "text");
  test.store.trySet("empty", "");
  CHECK(test.store.tryGet<std::string>("empty") == "");
  const char* const pointer = lies.behind;
  test.store.trySet("pointer", pointer);
  CHECK(test.store.tryGet<std::string>("pointer") == "mor");
}

TEST_CASE("a text that is a null pointer is refused", "[store]") {
  Test test;
  const char* const none = nullptr;
  std::error_code code;
  try {
    test.store.trySet("k", none);
  } catch (const lukhas::Error& error) {
    code = error.code();
    CHECK(error.details()["argument"] == "value");
  }
  CHECK(code == lukhas::Errc::invalid_argument);
  CHECK_FALSE(test.store.tryHas("k"));
}

TEST_CASE("a codec that throws while it encodes leaves the store as it was", "[store]") {
  Test test;
  test.store.trySet("k", Moody{1}, 1min);
  const lukhas::Version before = test.store.info("k")->version;
  const Moody bad{-1};
  const std::vector<std::pair<std::string, Moody>> batch{{"k", {2}}, {"l", {-1}}};
  CHECK_THROWS_AS(test.store.trySet("k", bad), std::runtime_error);
  CHECK_THROWS_AS(test.store.set("k", bad), std::runtime_error);
  CHECK_THROWS_AS(test.store.tryBatchSet(batch), std::runtime_error);
  CHECK_THROWS_AS(test.store.batchSet(batch), std::runtime_error);
  CHECK_THROWS_AS(test.store.tryCompareAndSet("k", before, bad), std::runtime_error);
  auto body = [&]() -> asio::awaitable<void> {
    auto spoil = [](Moody& moody) { moody.value = -1; };
    (void)co_await test.store.update<Moody>("k", spoil);
  };
  CHECK_THROWS_AS(test.run(body()), std::runtime_error);
  CHECK(test.store.tryGet<Moody>("k")->value == 1);
  CHECK(test.store.info("k")->version == before);
  CHECK(test.store.info("k")->remainingTtl == 1min);
  CHECK(test.store.keys() == std::vector<std::string>{"k"});
  CHECK(test.departed == 0);
}

TEST_CASE("a codec that throws while it decodes leaves the entry and counts", "[store]") {
  Test test;
  test.store.trySet("k", "13");
  CHECK_THROWS_AS(test.store.tryGet<Moody>("k"), std::runtime_error);
  CHECK_THROWS_AS(test.store.tryGetWithMeta<Moody>("k"), std::runtime_error);
  CHECK_THROWS_AS(test.store.tryBatchGet<Moody>({"k"}), std::runtime_error);
  auto update = [&]() -> asio::awaitable<void> {
    auto change = [](Moody&) {};
    (void)co_await test.store.update<Moody>("k", change);
  };
  CHECK_THROWS_AS(test.run(update()), std::runtime_error);
  auto load = [&]() -> asio::awaitable<void> {
    auto never = [] { return Moody{1}; };
    (void)co_await test.store.getOrCompute<Moody>("k", never);
  };
  CHECK_THROWS_AS(test.run(load()), std::runtime_error);
  CHECK(test.store.tryGet<std::string>("k") == "13");
  CHECK(test.store.getMetrics().errorRate > 0.7);
}

TEST_CASE("when a loaded value does not encode the next caller loads", "[store]") {
  Test test;
  std::vector<std::string> log;
  auto ask = [&](int value) -> asio::awaitable<void> {
    auto load = [&]() -> asio::awaitable<Moody> {
      co_await test.world.environment().sleepFor(1s);
      co_return Moody{value};
    };
    try {
      const Moody got = co_await test.store.getOrCompute<Moody>("k", load);
      log.push_back(std::to_string(got.value));
    } catch (const std::runtime_error& error) {
      log.emplace_back(error.what());
    }
  };
  auto second = [&]() -> asio::awaitable<void> {
    co_await test.world.environment().sleepFor(1ms);
    co_await ask(7);
  };
  test.world.spawn(ask(-1));
  test.world.spawn(second());
  test.world.run();
  CHECK(log == std::vector<std::string>{"encode", "7"});
}

TEST_CASE("JSON is kept in the format of the option", "[store]") {
  const json value{{"n", 1}, {"s", "text"}};
  for (const JsonFormat format : {JsonFormat::text, JsonFormat::cbor, JsonFormat::messagePack}) {
    lukhas::Simulation world;
    AsyncMemoryStore store(world.environment(), {.jsonFormat = format});
    store.trySet("k", value);
    const std::vector<std::pair<std::string, json>> batch{{"a", value}, {"b", json(2)}};
    store.tryBatchSet(batch);
    CHECK(store.tryGet<json>("k") == value);
    CHECK(store.tryGet<json>("a") == value);
    CHECK(store.tryGet<lukhas::Bytes>("k") == lukhas::jsonBytes(value, format));
    auto body = [&]() -> asio::awaitable<void> {
      auto change = [](json& changed) { changed["n"] = 2; };
      const json changed = co_await store.update<json>("k", change);
      CHECK(changed["n"] == 2);
      auto load = [&] { return value; };
      const json loaded = co_await store.getOrCompute<json>("new", load);
      CHECK(loaded == value);
    };
    world.spawn(body());
    world.run();
    CHECK(store.tryGet<lukhas::Bytes>("new") == lukhas::jsonBytes(value, format));
    CHECK((*store.tryGet<json>("k"))["n"] == 2);
    store.trySet("no json", "\xc1");
    CHECK_THROWS_AS(store.tryGet<json>("no json"), lukhas::Error);
  }
}

TEST_CASE("spans of bytes and characters are written as they are", "[store]") {
  Test test;
  std::string text = "text";
  test.store.trySet("chars", std::span<char>(text));
  test.store.trySet("fixed", std::span<const char, 4>(text.data(), 4));
  test.store.trySet("bytes", std::as_writable_bytes(std::span(text)));
  const std::vector<unsigned char> octets{0, 255};
  test.store.trySet("octets", std::span(octets));
  for (const char* key : {"chars", "fixed", "bytes"}) CHECK(test.store.tryGet<std::string>(key) == "text");
  CHECK(test.store.tryGet<std::string>("octets") == std::string("\0\xff", 2));
}

}  // namespace store_codec_test
