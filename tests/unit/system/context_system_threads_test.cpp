// Real threads: what the address and thread sanitizers look at.
#include "lukhas/system/context_system.hpp"

#include <latch>
#include <memory>
#include <thread>

#include <asio/io_context.hpp>

#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

using namespace std::chrono_literals;

TEST_CASE("a system may be destroyed while another thread removes what expired from its cache", "[system]") {
  lukhas::Simulation world;
  asio::io_context io;
  lukhas::ContextSystemOptions options;
  options.preserver.disk = world.disk();
  options.router.transport = world.transport();
  options.ttl.minTtl = 1ms;
  options.ttl.gracePeriod = 0s;
  auto system = std::make_unique<lukhas::ContextSystem>(lukhas::Environment(io.get_executor()), options);

  std::latch inside(1);
  std::latch destroyed(1);
  bool heard = false;
  system->store()
      .onExpired
      .connect([&](const lukhas::StoredEntryExpired&) {
        inside.count_down();
        destroyed.wait();
      })
      .detach();
  system->store().onEvicted.connect([&](const lukhas::EntryEvicted&) { heard = true; }).detach();
  system->store().trySet("key", 1, 1ns);
  (void)system->ttl().registerEntry("key", 1ms);
  system->ttl().start();

  std::thread other([&] { io.run(); });
  inside.wait();
  system.reset();
  destroyed.count_down();
  other.join();
  CHECK(heard);
}
