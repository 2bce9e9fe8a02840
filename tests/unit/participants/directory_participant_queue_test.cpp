// The queue of a directory whose disk hangs.
#include <memory>
#include <string>

#include "lukhas/participants/directory_participant.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "support/conformance.hpp"
#include "support/hanging_disk.hpp"
#include "support/memory_in_use.hpp"

namespace directory_participant_queue_test {

using namespace std::chrono_literals;
using lukhas::PreserveErrc;
using ParticipantPtr = std::shared_ptr<lukhas::Participant>;

// How reads ended that had a second.
struct Reads {
  unsigned served = 0;
  unsigned timedOut = 0;
  unsigned refused = 0;
};

asio::awaitable<void> read(lukhas::Environment environment, ParticipantPtr participant, Reads& reads) {
  try {
    asio::awaitable<lukhas::ContextCopies> call = participant->read("a");
    (void)co_await lukhas::withTimeLimit(environment, 1s, "read", std::move(call));
    ++reads.served;
  } catch (const lukhas::Error& error) {
    ++(error.code() == PreserveErrc::participant_unavailable ? reads.refused : reads.timedOut);
  }
}

}  // namespace directory_participant_queue_test

TEST_CASE("a directory whose disk hangs keeps at most 1000 calls and drops those whose callers left",
          "[participants]") {
  using namespace directory_participant_queue_test;
  lukhas::Simulation world;
  const auto disk = std::make_shared<lukhas::test::HangingDisk>(world.disk(), world.environment());
  const ParticipantPtr participant = lukhas::DirectoryParticipant::open("files", "data", disk);
  world.spawn(participant->open(world.environment()));
  world.run();
  disk->hang(true);
  lukhas::StoredContext context = lukhas::test::storedContext("a", 1, lukhas::test::transactionIdOf(1));
  world.spawn(participant->prepare(context));  // has begun, and stands
  world.runFor(1s);
  Reads reads;
  for (int i = 0; i < 1000; ++i) world.spawn(read(world.environment(), participant, reads));
  world.runFor(100ms);
  CHECK(reads.refused == 0);
  world.spawn(read(world.environment(), participant, reads));
  world.runFor(10s);
  CHECK(reads.refused == 1);
  CHECK(reads.timedOut == 1000);

  const unsigned opened = disk->opened();
  disk->hang(false);
  world.run();
  CHECK(disk->opened() < opened + 10);  // the thousand reads were for nobody
  world.spawn(read(world.environment(), participant, reads));
  world.run();
  CHECK(reads.served == 1);
}

// A call whose coroutine is destroyed before its first step must end its turn too: the one that waits for it
// would otherwise wait for ever, and keep itself alive.
TEST_CASE("a directory whose calls end at any step leaves nobody waiting and no memory", "[participants]") {
  using namespace directory_participant_queue_test;
  for (std::uint64_t run = 0; run < 200; ++run) {
    INFO("run " << run);
    const std::ptrdiff_t before = lukhas::test::memoryInUse();
    {
      lukhas::Simulation world{{.seed = run % 10 + 1}};
      const ParticipantPtr participant = lukhas::DirectoryParticipant::open("files", "data", world.disk());
      world.spawn(participant->open(world.environment()));
      world.run();
      Reads reads;
      for (int i = 0; i < 6; ++i) world.spawn(read(world.environment(), participant, reads));
      (void)world.runSteps(run / 10);
      world.crash();
    }
    REQUIRE(lukhas::test::memoryInUse() == before);
  }
}
