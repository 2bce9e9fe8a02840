#include "lukhas/async/suspension.hpp"

#include <memory>
#include <stdexcept>
#include <string>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace suspension_test {

using namespace std::chrono_literals;

namespace {

// A waiter whose owner decides once: whoever takes `linked` away ends the wait.
struct Waiter : lukhas::Suspension {
  bool linked = false;
  bool take() { return std::exchange(linked, false); }
};

struct Fixture {
  Fixture() {
    asio::co_spawn(world.environment().executor(), body(waiter),
                   asio::bind_cancellation_slot(signal.slot(), [this](std::exception_ptr error) {
                     if (error) ended += " aborted";
                   }));
    world.run();
  }
  asio::awaitable<void> body(std::shared_ptr<Waiter> waiting) {
    Waiter* const self = waiting.get();
    const auto arm = [self] { self->linked = true; };
    const auto onCancel = [self] { return self->take(); };
    try {
      co_await waiting->wait(arm, onCancel);
      ended += "resumed";
    } catch (const lukhas::Error& error) {
      ended += std::string("cancelled: ") + error.what();
    } catch (const std::runtime_error& error) {
      ended += error.what();
    }
  }

  lukhas::Simulation world{{.seed = 6}};
  asio::cancellation_signal signal;
  std::shared_ptr<Waiter> waiter = std::make_shared<Waiter>();
  std::string ended;
};

}  // namespace

TEST_CASE("a resumed coroutine continues by a post and never inside the call", "[async]") {
  Fixture f;
  REQUIRE(f.waiter->take());
  f.waiter->resume();
  CHECK(f.ended.empty());
  f.world.run();
  CHECK(f.ended == "resumed");
  CHECK(f.waiter.use_count() == 1);
}

TEST_CASE("a wait that fails throws what it was given", "[async]") {
  Fixture f;
  REQUIRE(f.waiter->take());
  f.waiter->fail(std::make_exception_ptr(std::runtime_error("gone")));
  f.world.run();
  CHECK(f.ended == "gone");
}

TEST_CASE("a cancellation that comes first wins over the resumption", "[async]") {
  Fixture f;
  f.signal.emit(asio::cancellation_type::terminal);
  CHECK_FALSE(f.waiter->take());
  f.world.run();
  CHECK(f.ended == "cancelled: the caller cancelled the wait");
}

TEST_CASE("a cancellation that comes after the resumption changes nothing", "[async]") {
  Fixture f;
  REQUIRE(f.waiter->take());
  f.waiter->resume();
  f.signal.emit(asio::cancellation_type::terminal);
  f.world.run();
  CHECK(f.ended == "resumed");
}

}  // namespace suspension_test
