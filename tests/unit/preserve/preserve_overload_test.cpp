// The bounds on what is under way, and those who wait for a place.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace preserve_overload_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::AtomicContextPreserverOptions;
using lukhas::ContextSnapshot;
using lukhas::Error;
using lukhas::PreserveErrc;
using lukhas::PreserveOverload;
using lukhas::test::both;
using lukhas::test::PreserverWorld;
using nlohmann::json;

struct Calls {
  std::vector<std::string> ended;   // in the order of their ends
  std::vector<std::string> failed;  // "context: code's text"
};

asio::awaitable<void> call(AtomicContextPreserver& preserver, std::string context, json data, Calls& calls) {
  try {
    (void)co_await preserver.preserveContext(context, std::move(data), both);
    calls.ended.push_back(context);
  } catch (const Error& error) {
    calls.failed.push_back(context + ": " + error.code().message());
  }
}

const std::string overloaded = std::error_code(PreserveErrc::overloaded).message();

struct Crowd : PreserverWorld {
  explicit Crowd(AtomicContextPreserverOptions given) : PreserverWorld(std::move(given)) {
    run({});
    for (const char* name : {"db", "files"}) world.participant(name)->latency(50ms, 50ms);
  }
  // Each begins a millisecond after the one before.
  void begin(const std::string& context, json data = 1) {
    world.spawn(call(*preserver, context, std::move(data), calls));
    world.runFor(1ms);
  }
  Calls calls;
};

TEST_CASE("a call over the bound on transactions is refused, or waits in the order of the calls",
          "[preserve]") {
  Crowd refusing({.maxConcurrent = 2});
  for (const char* context : {"a", "b", "c"}) refusing.begin(context);
  CHECK(refusing.calls.failed == std::vector<std::string>{"c: " + overloaded});
  refusing.world.runFor(1min);
  CHECK(refusing.calls.ended.size() == 2);

  Crowd waiting({.maxConcurrent = 2, .whenFull = PreserveOverload::wait});
  for (const char* context : {"a", "b", "c", "d", "e"}) waiting.begin(context);
  CHECK(waiting.preserver->getMetrics().waitingCalls == 3);
  waiting.world.runFor(1min);
  CHECK(waiting.calls.failed.empty());
  CHECK(waiting.calls.ended == std::vector<std::string>{"a", "b", "c", "d", "e"});
  CHECK(waiting.preserver->getMetrics().waitingCalls == 0);
  CHECK(waiting.preserver->getMetrics().queuedBytes == 0);
}

TEST_CASE("a call over the bound on bytes waits, and nobody overtakes it", "[preserve]") {
  Crowd crowd({.maxContextBytes = 1000, .maxQueuedBytes = 1000, .whenFull = PreserveOverload::wait});
  crowd.begin("big", std::string(600, 'x'));
  CHECK(crowd.preserver->getMetrics().queuedBytes == 602);
  crowd.begin("bigger", std::string(700, 'x'));  // waits for the first
  crowd.begin("small", 1);                       // would fit, and waits its turn
  CHECK(crowd.preserver->getMetrics().waitingCalls == 2);
  crowd.begin("too many", std::string(400, 'x'));  // over what may wait
  CHECK(crowd.calls.failed == std::vector<std::string>{"too many: " + overloaded});
  crowd.world.runFor(1min);
  CHECK(crowd.calls.ended == std::vector<std::string>{"big", "bigger", "small"});
}

TEST_CASE("only so many calls wait", "[preserve]") {
  Crowd crowd({.maxConcurrent = 1, .whenFull = PreserveOverload::wait, .maxWaiting = 1});
  for (const char* context : {"a", "b", "c"}) crowd.begin(context);
  CHECK(crowd.calls.failed == std::vector<std::string>{"c: " + overloaded});
}

TEST_CASE("who waits too long for a place is told so and leaves nothing behind", "[preserve]") {
  Crowd crowd(
      {.prepareTimeout = 30s, .queueTimeout = 1s, .maxConcurrent = 1, .whenFull = PreserveOverload::wait});
  crowd.world.participant("db")->latency(3s, 3s);
  crowd.begin("a");
  crowd.begin("b");
  crowd.world.runFor(2s);
  CHECK(crowd.calls.failed == std::vector<std::string>{"b: " + overloaded});
  CHECK(crowd.preserver->getMetrics().waitingCalls == 0);
  crowd.world.runFor(1min);
  crowd.begin("c");
  crowd.world.runFor(1min);
  CHECK(crowd.calls.ended == std::vector<std::string>{"a", "c"});
}

TEST_CASE("a caller that leaves while it waits gives its place to the next", "[preserve]") {
  Crowd crowd({.maxConcurrent = 1, .whenFull = PreserveOverload::wait});
  crowd.begin("a");
  asio::cancellation_signal leave;
  asio::co_spawn(crowd.world.environment().executor(), call(*crowd.preserver, "b", 1, crowd.calls),
                 asio::bind_cancellation_slot(leave.slot(), [](std::exception_ptr) {}));
  crowd.world.runFor(1ms);
  crowd.begin("c");
  CHECK(crowd.preserver->getMetrics().waitingCalls == 2);
  leave.emit(asio::cancellation_type::terminal);
  crowd.world.runFor(1min);
  CHECK(crowd.calls.ended == std::vector<std::string>{"a", "c"});
  CHECK_FALSE(crowd.world.participant("db")->committedVersion("b"));
}

TEST_CASE("stop and the end of the preserver turn away those who wait", "[preserve]") {
  const std::string notStarted = std::error_code(PreserveErrc::not_started).message();
  Crowd stopping({.maxConcurrent = 1, .whenFull = PreserveOverload::wait});
  stopping.begin("a");
  stopping.begin("b");
  stopping.world.spawn([](AtomicContextPreserver& preserver) -> asio::awaitable<void> {
    co_await preserver.stop();
  }(*stopping.preserver));
  stopping.world.runFor(1min);
  CHECK(stopping.calls.ended == std::vector<std::string>{"a"});
  CHECK(stopping.calls.failed == std::vector<std::string>{"b: " + notStarted});

  Crowd destroyed({.maxConcurrent = 1, .whenFull = PreserveOverload::wait});
  destroyed.begin("a");
  destroyed.begin("b");
  destroyed.preserver.reset();
  destroyed.world.runFor(1min);
  CHECK(destroyed.calls.ended.empty());
  CHECK(destroyed.calls.failed.size() == 2);
}

TEST_CASE("decisions that are not applied hold back others until they are", "[preserve]") {
  Crowd crowd({.commitTimeout = 1s, .maxInDoubt = 1, .whenFull = PreserveOverload::wait});
  crowd.world.participant("db")->goDownDuringCommit(10s);
  crowd.begin("a");
  crowd.world.runFor(3s);
  CHECK(crowd.calls.ended == std::vector<std::string>{"a"});
  crowd.begin("b");
  crowd.world.runFor(3s);
  CHECK(crowd.preserver->getMetrics().waitingCalls == 1);
  crowd.world.runFor(1min);
  CHECK(crowd.calls.failed.empty());
  CHECK(crowd.calls.ended == std::vector<std::string>{"a", "b"});
}

}  // namespace preserve_overload_test
