#include "lukhas/store/async_memory_store.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/strand.hpp>

#include "lukhas/async/child_task.hpp"
#include "lukhas/sim/simulation.hpp"
#include "lukhas/store/detail/store_access.hpp"
#include "support/catch.hpp"

namespace async_memory_store_cycle_test {

using namespace std::chrono_literals;
using lukhas::AsyncMemoryStore;
using lukhas::StoreErrc;

namespace {

using Parts = std::map<std::string, std::vector<std::string>>;

// Each key is made of others: its loader asks for them one after the other.
struct Test {
  lukhas::Simulation world;
  AsyncMemoryStore store{world.environment()};
  Parts parts;
  int loads = 0;
  std::vector<std::string> log;

  explicit Test(Parts of) : parts(std::move(of)) {}
  ~Test() {
    CHECK(lukhas::detail::StoreAccess::checkInvariants(store));
    CHECK(lukhas::detail::StoreAccess::loads(store) == 0);
  }

  asio::awaitable<std::string> get(std::string key) {
    auto load = [this, key]() -> asio::awaitable<std::string> { return make(key); };
    std::string value = co_await store.getOrCompute<std::string>(key, load);
    co_return value;
  }
  asio::awaitable<std::string> make(std::string key) {
    ++loads;
    co_await world.environment().sleepFor(10ms);
    std::string value = key;
    for (const std::string& part : parts[key]) value += co_await get(part);
    co_return value;
  }
  asio::awaitable<void> ask(std::string key) {
    try {
      const std::string value = co_await get(key);
      log.push_back(key + "=" + value);
    } catch (const lukhas::Error& error) {
      CHECK(error.code() == StoreErrc::load_cycle);
      log.push_back(key + ": " + error.details()["path"].dump());
    }
  }
};

}  // namespace

TEST_CASE("a loader may ask for other keys", "[store]") {
  Test test(Parts{{"a", {"b", "c"}}, {"b", {"d"}}, {"c", {"d"}}});
  test.world.spawn(test.ask("a"));
  test.world.spawn(test.ask("b"));
  test.world.spawn(test.ask("c"));
  test.world.run();
  std::sort(test.log.begin(), test.log.end());
  CHECK(test.log == std::vector<std::string>{"a=abdcd", "b=bd", "c=cd"});
  CHECK(test.loads == 4);
}

TEST_CASE("a loader that asks for its own key is refused", "[store]") {
  Test test(Parts{{"a", {"a"}}});
  test.world.spawn(test.ask("a"));
  test.world.run();
  CHECK(test.log == std::vector<std::string>{R"(a: ["a","a"])"});
  CHECK(test.loads == 1);
  CHECK(test.store.getMetrics().errorRate > 0);
  CHECK_FALSE(test.store.tryHas("a"));
}

TEST_CASE("a loader that asks for its own key through others is refused", "[store]") {
  Test test(Parts{{"a", {"x", "b"}}, {"b", {"c"}}, {"c", {"a"}}});
  test.world.spawn(test.ask("a"));
  test.world.run();
  CHECK(test.log == std::vector<std::string>{R"(a: ["a","b","c","a"])"});
  CHECK(test.store.keys() == std::vector<std::string>{"x"});
}

TEST_CASE("loaders of different callers that wait for each other do not hang", "[store]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Test test(Parts{{"a", {"b"}}, {"b", {"c"}}, {"c", {"a"}}});
    for (const char* key : {"a", "b", "c"}) test.world.spawn(test.ask(key));
    test.world.run();
    CHECK(test.log.size() == 3);
    for (const std::string& line : test.log) CHECK(line.find(": [") != std::string::npos);
  }
}

TEST_CASE("the error names the keys in order and prints them safely", "[store]") {
  const std::string odd("o\0", 2);
  Test test(Parts{{odd, {"b"}}, {"b", {odd}}});
  std::string text;
  auto body = [&]() -> asio::awaitable<void> {
    try {
      (void)co_await test.get(odd);
    } catch (const lukhas::Error& error) {
      text = error.what();
    }
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(text == R"(a loader asked for what waits for it: "o\x00" -> "b" -> "o\x00")");
}

TEST_CASE("a loader that asks for its own key gets it when somebody has set it meanwhile", "[store]") {
  Test test(Parts{{"a", {"a"}}});
  test.world.spawn(test.ask("a"));
  test.world.runFor(5ms);
  test.store.trySet("a", "set");
  test.world.run();
  CHECK(test.log == std::vector<std::string>{"a=aset"});
  CHECK(test.store.tryGet<std::string>("a") == "set");
}

TEST_CASE("a loader that was overtaken is refused its own key all the same", "[store]") {
  Test test(Parts{{"a", {"a"}}});
  test.world.spawn(test.ask("a"));
  test.world.runFor(5ms);
  test.store.tryRemove("a");
  test.world.run();
  CHECK(test.log == std::vector<std::string>{R"(a: ["a","a"])"});
}

TEST_CASE("what a loader leaves behind may ask for its key when the loader is over", "[store]") {
  Test test(Parts{});
  std::vector<std::string> got;
  auto later = [&]() -> asio::awaitable<void> {
    co_await test.world.environment().sleepFor(1s);
    test.store.tryRemove("a");
    const std::string value = co_await test.get("a");
    got.push_back(value);
  };
  auto load = [&]() -> asio::awaitable<std::string> {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    asio::co_spawn(executor, later(), asio::detached);
    co_return "first";
  };
  auto body = [&]() -> asio::awaitable<void> {
    const std::string value = co_await test.store.getOrCompute<std::string>("a", load);
    got.push_back(value);
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(got == std::vector<std::string>{"first", "a"});
}

TEST_CASE("branches of a loader and strands over it belong to it", "[store]") {
  using namespace asio::experimental::awaitable_operators;
  Test test(Parts{});
  int refused = 0;
  auto own = [&]() -> asio::awaitable<void> {
    try {
      (void)co_await test.get("a");
    } catch (const lukhas::Error& error) {
      if (error.code() == StoreErrc::load_cycle) ++refused;
    }
  };
  auto load = [&]() -> asio::awaitable<std::string> {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    co_await (own() && own());
    const asio::any_io_executor strand = asio::make_strand(executor);
    co_await asio::co_spawn(strand, own(), asio::use_awaitable);
    co_return "value";
  };
  auto body = [&]() -> asio::awaitable<void> {
    (void)co_await test.store.getOrCompute<std::string>("a", load);
  };
  test.world.spawn(body());
  test.world.run();
  CHECK(refused == 3);
}

TEST_CASE("a circle through two stores is found", "[store]") {
  lukhas::Simulation world;
  AsyncMemoryStore first(world.environment());
  AsyncMemoryStore second(world.environment());
  nlohmann::json path;
  std::function<asio::awaitable<int>()> ask = [&]() -> asio::awaitable<int> {
    auto inner = [&]() -> asio::awaitable<int> { return ask(); };
    auto outer = [&]() -> asio::awaitable<int> { return second.getOrCompute<int>("b", inner); };
    const int value = co_await first.getOrCompute<int>("a", outer);
    co_return value;
  };
  auto body = [&]() -> asio::awaitable<void> {
    try {
      (void)co_await ask();
    } catch (const lukhas::Error& error) {
      path = error.details()["path"];
    }
  };
  world.spawn(body());
  world.run();
  CHECK(path.dump() == R"(["a","b","a"])");
}

TEST_CASE("after a refused circle the next caller loads with its own loader", "[store]") {
  Test test(Parts{{"a", {"a"}}});
  std::string second;
  auto load = [&]() -> asio::awaitable<std::string> { co_return "sound"; };
  auto body = [&]() -> asio::awaitable<void> {
    co_await test.world.environment().sleepFor(1ms);
    second = co_await test.store.getOrCompute<std::string>("a", load);
  };
  test.world.spawn(test.ask("a"));
  test.world.spawn(body());
  test.world.run();
  CHECK(test.log == std::vector<std::string>{R"(a: ["a","a"])"});
  CHECK(second == "sound");
}

}  // namespace async_memory_store_cycle_test
