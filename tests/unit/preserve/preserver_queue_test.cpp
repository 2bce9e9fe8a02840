// The queue of one context, when not everybody in it stays.
#include <memory>
#include <optional>
#include <string>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "support/catch.hpp"
#include "support/preserver_world.hpp"

namespace preserver_queue_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextSnapshot;
using lukhas::NameList;
using lukhas::test::PreserverWorld;
using nlohmann::json;

struct Ending {
  std::optional<std::uint64_t> version;
  bool failed = false;
};

asio::awaitable<void> preserve(AtomicContextPreserver& preserver, json data, NameList participants,
                               Ending& ending) {
  try {
    const ContextSnapshot snapshot = co_await preserver.preserveContext("session", data, participants);
    ending.version = snapshot.version;
  } catch (const std::system_error&) {
    ending.failed = true;
  }
}

// A runs, B waits for it and leaves, C waits for B. C must still wait for A: they name different
// participants, so nobody else would notice.
void leaveTheQueue(PreserverWorld& world, Ending& a, Ending& b, Ending& c) {
  world.run({});
  world.world.participant("db")->latency(100ms, 100ms);
  asio::cancellation_signal leave;
  const asio::any_io_executor executor = world.world.environment().executor();
  world.world.spawn(preserve(*world.preserver, "a", {"db"}, a));
  world.world.runFor(1ms);  // what is ready at once runs in any order
  asio::co_spawn(executor, preserve(*world.preserver, "b", {"files"}, b),
                 asio::bind_cancellation_slot(leave.slot(), [](std::exception_ptr) {}));
  world.world.runFor(1ms);
  world.world.spawn(preserve(*world.preserver, "c", {"files"}, c));
  world.world.runFor(10ms);
  leave.emit(asio::cancellation_type::terminal);
  world.world.runFor(1min);
}

void requireOneAfterTheOther(PreserverWorld& world, const Ending& a, const Ending& c) {
  CHECK(a.version == 1U);
  CHECK(c.version == 2U);
  json restored;
  world.world.spawn([](AtomicContextPreserver& preserver, json& data) -> asio::awaitable<void> {
    const std::optional<ContextSnapshot> found = co_await preserver.restoreContext("session");
    if (found) data = found->data;
  }(*world.preserver, restored));
  world.world.runFor(1min);
  CHECK(restored == "c");
}

}  // namespace preserver_queue_test

TEST_CASE("a caller that leaves the queue of a context lets nobody overtake", "[preserve]") {
  using namespace preserver_queue_test;
  PreserverWorld world;
  Ending a;
  Ending b;
  Ending c;
  leaveTheQueue(world, a, b, c);
  CHECK_FALSE(b.version);
  requireOneAfterTheOther(world, a, c);
}

TEST_CASE("a call whose time in the queue is over lets nobody overtake", "[preserve]") {
  using namespace preserver_queue_test;
  lukhas::AtomicContextPreserverOptions options;
  options.queueTimeout = 250ms;
  options.prepareTimeout = 20s;
  options.commitTimeout = 20s;
  PreserverWorld world(options);
  world.run({});
  world.world.participant("db")->latency(100ms, 100ms);
  Ending a;
  Ending b;
  Ending c;
  world.world.spawn(preserve(*world.preserver, "a", {"db"}, a));
  world.world.runFor(1ms);  // what is ready at once runs in any order
  world.world.spawn(preserve(*world.preserver, "b", {"files"}, b));
  world.world.runFor(240ms);
  world.world.spawn(preserve(*world.preserver, "c", {"files"}, c));
  world.world.runFor(60ms);
  CHECK(b.failed);
  CHECK_FALSE(a.version);
  CHECK_FALSE(c.version);
  world.world.runFor(60ms);
  world.world.participant("db")->latency(1ms, 1ms);  // so that A ends before the time of C is over
  world.world.runFor(1min);
  requireOneAfterTheOther(world, a, c);
}

TEST_CASE("the last one of a queue may leave and the next one still waits", "[preserve]") {
  using namespace preserver_queue_test;
  PreserverWorld world;
  world.run({});
  world.world.participant("db")->latency(100ms, 100ms);
  Ending a;
  Ending b;
  Ending c;
  asio::cancellation_signal leave;
  const asio::any_io_executor executor = world.world.environment().executor();
  world.world.spawn(preserve(*world.preserver, "a", {"db"}, a));
  world.world.runFor(1ms);  // what is ready at once runs in any order
  asio::co_spawn(executor, preserve(*world.preserver, "b", {"files"}, b),
                 asio::bind_cancellation_slot(leave.slot(), [](std::exception_ptr) {}));
  world.world.runFor(10ms);
  leave.emit(asio::cancellation_type::terminal);
  world.world.runFor(10ms);
  world.world.spawn(preserve(*world.preserver, "c", {"files"}, c));
  world.world.runFor(1min);
  CHECK_FALSE(b.version);
  requireOneAfterTheOther(world, a, c);
}
