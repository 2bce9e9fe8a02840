#include "lukhas/store/async_memory_store.hpp"

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::StoreErrc;
using lukhas::detail::StoreAccess;
using nlohmann::json;

static_assert(!std::is_copy_constructible_v<AsyncMemoryStore> &&
              !std::is_move_constructible_v<AsyncMemoryStore>);

namespace {

struct Point {
  int x = 0;
  int y = 0;
};

struct Session {
  std::string user;
};

template <class Call>
std::error_code refusal(Call call) {
  try {
    call();
  } catch (const lukhas::Error& error) {
    return error.code();
  }
  return {};
}

struct World {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment()};

  ~World() { CHECK(StoreAccess::checkInvariants(store)); }

  void run(asio::awaitable<void> task) {
    world.spawn(std::move(task));
    world.run();
  }
};

}  // namespace

template <>
struct lukhas::Codec<Session> {
  static Bytes encode(const Session& session) { return toBytes("user " + session.user); }
  static Session decode(ByteView bytes) {
    if (!asText(bytes).starts_with("user ")) throwDecodeFailed("Session", bytes.size());
    return Session{std::string(asText(bytes).substr(5))};
  }
};

TEST_CASE("what was stored is read whatever its type", "[store]") {
  World test;
  AsyncMemoryStore& store = test.store;
  const std::string binary("a\0b\xff", 4);

  store.trySet("json", json{{"n", 1}});
  store.trySet("string", binary);
  store.trySet("literal", "text");
  store.trySet("view", std::string_view("text"));
  store.trySet("bytes", lukhas::toBytes("bytes"));
  store.trySet("span", lukhas::asBytes("span"));
  store.trySet("struct", Point{3, 4});
  store.trySet("own", Session{"ann"});
  store.trySet("empty", std::string());

  CHECK(store.tryGet<json>("json") == json{{"n", 1}});
  CHECK(store.tryGet<std::string>("string") == binary);
  CHECK(store.tryGet<std::string>("literal") == "text");
  CHECK(store.tryGet<std::string>("view") == "text");
  CHECK(store.tryGet<lukhas::Bytes>("bytes") == lukhas::toBytes("bytes"));
  CHECK(store.tryGet<std::string>("span") == "span");
  CHECK(store.tryGet<Point>("struct")->y == 4);
  CHECK(store.tryGet<Session>("own")->user == "ann");
  CHECK(store.tryGet<std::string>("empty") == "");
}

TEST_CASE("the awaitable forms do what their twins do", "[store]") {
  World test;
  auto body = [&]() -> asio::awaitable<void> {
    AsyncMemoryStore& store = test.store;
    const Session session{"ann"};
    co_await store.set("a", session);
    co_await store.set("literal", "text", 1min);
    co_await store.set("string", std::string(100, 's'));
    co_await store.set("key of some length beyond the small strings " + std::to_string(1), Point{1, 2});
    std::optional<Session> read = co_await store.get<Session>("a");
    CHECK(read->user == "ann");
    const std::optional<std::string> literal = co_await store.get<std::string>("literal");
    CHECK(literal == "text");
    const std::optional<std::string> text = co_await store.get<std::string>("string");
    CHECK(text->size() == 100);
    const bool there = co_await store.has("a");
    const bool notThere = co_await store.has("b");
    CHECK((there && !notThere));
    const bool removed = co_await store.remove("a");
    const bool removedTwice = co_await store.remove("a");
    CHECK((removed && !removedTwice));
    co_await store.clear();
    CHECK(store.keys().empty());
  };
  test.run(body());
}

TEST_CASE("a call is independent of its arguments once it was made", "[store]") {
  World test;
  auto body = [&]() -> asio::awaitable<void> {
    std::string key = "key";
    json value = 1;
    auto setting = test.store.set(key, value);
    auto getting = test.store.get<json>(key);
    key = "other";
    value = 2;
    co_await std::move(setting);
    const std::optional<json> read = co_await std::move(getting);
    CHECK(read == json(1));
  };
  test.run(body());
}

TEST_CASE("keys have 1 to 256 bytes", "[store]") {
  World test;
  AsyncMemoryStore& store = test.store;
  const std::string longest(256, 'k');
  const std::string tooLong(257, 'k');

  store.trySet(longest, 1);
  CHECK(store.tryGet<int>(longest) == 1);
  CHECK(refusal([&] { store.trySet(tooLong, 1); }) == StoreErrc::key_too_long);
  CHECK(refusal([&] { (void)store.tryGet<int>(tooLong); }) == StoreErrc::key_too_long);
  CHECK(refusal([&] { store.tryRemove(tooLong); }) == StoreErrc::key_too_long);
  CHECK(refusal([&] { (void)store.info(tooLong); }) == StoreErrc::key_too_long);
  CHECK(refusal([&] { store.trySet("", 1); }) == StoreErrc::empty_key);
  CHECK(refusal([&] { (void)store.tryGet<int>(""); }) == StoreErrc::empty_key);
  CHECK(store.getMetrics().entryCount == 1);
}

TEST_CASE("keys are any bytes and print safely in errors", "[store]") {
  World test;
  const std::string key("\0\xff\"x", 4);
  test.store.trySet(key, 1);
  CHECK(test.store.tryGet<int>(key) == 1);
  CHECK(test.store.keys() == std::vector<std::string>{key});
  try {
    test.store.trySet(key, 1, 0s);
    FAIL("a TTL of zero was taken");
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == StoreErrc::invalid_ttl);
    CHECK(error.details().dump() == R"({"key":"\\x00\\xff\\x22x","ttlNs":0})");
    CHECK(std::string(error.what()).find(R"("\x00\xff\x22x")") != std::string::npos);
  }
}

TEST_CASE("a value that does not decode is an error and stays", "[store]") {
  World test;
  test.store.trySet("k", std::string("{not json"));
  CHECK(refusal([&] { (void)test.store.tryGet<json>("k"); }) == lukhas::Errc::decode_failed);
  CHECK(refusal([&] { (void)test.store.tryGet<Point>("k"); }) == lukhas::Errc::decode_failed);
  CHECK(test.store.tryGet<std::string>("k") == "{not json");
  CHECK(test.store.getMetrics().errorRate > 0.4);
}

TEST_CASE("a value that cannot be encoded changes nothing", "[store]") {
  World test;
  test.store.trySet("k", json(1));
  CHECK(refusal([&] { test.store.trySet("k", json("\xff")); }) == lukhas::Errc::invalid_argument);
  CHECK(test.store.tryGet<json>("k") == json(1));
}

TEST_CASE("keys are listed by prefix and sorted", "[store]") {
  World test;
  for (const char* key : {"b:2", "a:1", "b:1", "b", "c"}) test.store.trySet(key, 1);
  test.store.trySet("b:gone", 1, 1s);
  test.world.runFor(1s);

  CHECK(test.store.keys("b:") == std::vector<std::string>{"b:1", "b:2"});
  CHECK(test.store.keys() == std::vector<std::string>{"a:1", "b", "b:1", "b:2", "c"});
  CHECK(test.store.keys("d").empty());
}

TEST_CASE("an entry can be asked about without a trace", "[store]") {
  World test;
  test.store.trySet("k", std::string(1000, 'x'), 10s);
  test.store.trySet("forever", 1, lukhas::Duration::max());
  test.world.runFor(4s);

  const auto info = test.store.info("k").value();
  CHECK(info.remainingTtl == 6s);
  CHECK(info.valueBytes == 1000);
  CHECK(info.sizeBytes > 1000);
  CHECK(info.sizeBytes < 1300);
  CHECK(info.version > lukhas::Version{});
  CHECK(test.store.info("forever")->remainingTtl == lukhas::Duration::max());
  CHECK_FALSE(test.store.info("nobody").has_value());
  test.world.runFor(6s);
  CHECK_FALSE(test.store.info("k").has_value());
  CHECK(test.store.getMetrics().hits + test.store.getMetrics().misses == 0);
}

TEST_CASE("clear leaves nothing and takes no memory", "[store]") {
  World test;
  for (int i = 0; i < 2000; ++i) test.store.trySet("k" + std::to_string(i), i);
  CHECK(test.store.getMetrics().totalSize > 2000 * 50);

  auto clearing = [&]() -> asio::awaitable<void> { co_await test.store.clear(); };
  test.run(clearing());

  CHECK(test.store.getMetrics().entryCount == 0);
  CHECK(test.store.getMetrics().totalSize == 0);
  CHECK_FALSE(test.store.tryGet<int>("k7").has_value());
  test.store.trySet("k7", 8);
  CHECK(test.store.tryGet<int>("k7") == 8);
}

TEST_CASE("a call that is awaited after the store was destroyed is told so", "[store]") {
  lukhas::Simulation world;
  auto store = std::make_unique<AsyncMemoryStore>(world.environment());
  auto late = store->set("k", 1);
  store.reset();
  auto body = [&]() -> asio::awaitable<void> { co_await std::move(late); };
  world.spawn(body());
  CHECK(refusal([&] { world.run(); }) == StoreErrc::closed);
}
