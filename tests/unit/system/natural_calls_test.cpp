// The calls as a user writes them first, with temporaries in them: under the address sanitizer each of them
// shows whether the compiler damaged one (docs/decisions/0002). Texts are too long to lie inside a string.
#include <optional>
#include <string>
#include <utility>

#include "lukhas/lukhas.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace natural_calls_test {

using namespace std::chrono_literals;
using nlohmann::json;

const std::string longText(100, 'x');

struct World {
  lukhas::Simulation simulation;
  lukhas::Environment environment = simulation.environment();

  // Runs the calls to their end, twice: a damaged heap often shows at the next use only.
  template <class Calls>
  void run(Calls calls) {
    for (int round = 0; round < 2; ++round) {
      bool ended = false;
      simulation.spawn([](Calls& made, bool& done) -> asio::awaitable<void> {
        co_await made();
        done = true;
      }(calls, ended));
      simulation.run();
      CHECK(ended);
    }
  }
};

}  // namespace natural_calls_test

TEST_CASE("natural calls of the lock keep their temporaries whole", "[natural]") {
  using namespace natural_calls_test;
  World world;
  lukhas::AsyncLock locks(world.environment);
  world.run([&]() -> asio::awaitable<void> {
    {
      lukhas::AsyncLock::Guard guard = co_await locks.acquire("session:" + longText, {.timeout = 5s});
      CHECK(guard.key() == "session:" + longText);
    }
    auto both = co_await locks.acquireMultiple({longText + "b", longText + "a", longText + "b"});
    both.release();
    const std::string given = longText;
    const std::string copied = co_await locks.acquire("key:" + longText, [&] { return given + "!"; });
    CHECK(copied == longText + "!");
    const std::size_t awaited =
        co_await locks.acquire(std::string(longText), {.timeout = 1s}, [&]() -> asio::awaitable<std::size_t> {
          co_await world.environment.sleepFor(1ms);
          co_return given.size();
        });
    CHECK(awaited == longText.size());
    const auto append = [given](std::string more) { return given + more; };
    const auto named = [append] { return append("?"); };
    const std::string fromNamed = co_await locks.acquireMultiple({longText, "other"}, named);
    CHECK(fromNamed == longText + "?");
  });
}

TEST_CASE("natural calls of the store keep their temporaries whole", "[natural]") {
  using namespace natural_calls_test;
  World world;
  lukhas::AsyncMemoryStore store(world.environment);
  world.run([&]() -> asio::awaitable<void> {
    const json document = {{"text", longText}, {"list", {1, 2, longText}}};
    co_await store.set("json:" + longText, document, 5min);
    co_await store.set("moved:" + longText, json(longText), 5min);
    co_await store.set("text:" + longText, longText + " and more");
    co_await store.set("bytes", lukhas::toBytes(longText));
    const std::optional<json> found = co_await store.get<json>("json:" + longText);
    CHECK(found.value().at("list").at(2) == longText);
    const std::optional<std::string> text = co_await store.get<std::string>(std::string("text:") + longText);
    CHECK(text.value() == longText + " and more");
    const json loaded = co_await store.getOrCompute<json>(
        "loaded:" + longText,
        [&]() -> asio::awaitable<json> {
          co_await world.environment.sleepFor(1ms);
          co_return json{{"from", "the source"}, {"text", longText}};
        },
        5min);
    CHECK(loaded.at("text") == longText);
    const json updated = co_await store.update<json>("json:" + longText, [&](json& changed) {
      changed["text"] = changed["text"].get<std::string>() + longText;
    });
    CHECK(updated.at("text") == longText + longText);
  });
}

TEST_CASE("natural calls of preserver and router keep their temporaries whole", "[natural]") {
  using namespace natural_calls_test;
  World world;
  world.simulation.addModel("http://steady.test/v1").reply("an answer: " + longText);
  lukhas::ContextSystem system(world.environment, {
                                                      .preserver = {.disk = world.simulation.disk()},
                                                      .router = {.transport = world.simulation.transport()},
                                                  });
  system.router().registerModel({
      .id = "steady:" + longText,
      .url = "http://steady.test/v1",
      .capabilities = {"chat", "a long capability of " + longText},
  });
  world.simulation.spawn([](World& made, lukhas::ContextSystem& started) -> asio::awaitable<void> {
    co_await started.preserver().addParticipant(made.simulation.participant("first"));
    co_await started.preserver().addParticipant(made.simulation.participant("second"));
    co_await started.start();
  }(world, system));
  world.simulation.runFor(1s);

  bool ended = false;
  world.simulation.spawn([](lukhas::ContextSystem& started, bool& done) -> asio::awaitable<void> {
    for (std::uint64_t version = 1; version <= 2; ++version) {
      json context = {{"messages", {{{"role", "user"}, {"content", longText}}}}};
      lukhas::ModelReply reply = co_await started.router().route({"turn:" + longText, context, {"chat"}});
      CHECK(reply.text() == "an answer: " + longText);
      context["reply"] = reply.text();
      lukhas::ContextSnapshot snapshot =
          co_await started.preserver().preserveContext("session:" + longText, context, {"first", "second"});
      CHECK(snapshot.version == version);
      const std::optional<lukhas::ContextSnapshot> restored =
          co_await started.preserver().restoreContext("session:" + longText);
      CHECK(restored.value().data == context);
    }
    co_await started.stop();
    done = true;
  }(system, ended));
  world.simulation.run();
  CHECK(ended);
}

TEST_CASE("natural calls through the circuit breaker keep their temporaries whole", "[natural]") {
  using namespace natural_calls_test;
  World world;
  lukhas::CircuitBreaker breaker(world.environment, "upstream of " + longText);
  world.run([&]() -> asio::awaitable<void> {
    const std::string result = co_await breaker.call([&]() -> asio::awaitable<std::string> {
      co_await world.environment.sleepFor(1ms);
      co_return longText + "!";
    });
    CHECK(result == longText + "!");
  });
}
