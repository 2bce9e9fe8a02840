#include <memory>
#include <string>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"
#include "support/preserve_ledger.hpp"

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::PreserveUntil;
using nlohmann::json;

namespace {

// Participants and ledger outlive the lives of the coordinator.
struct Lives {
  explicit Lives(std::uint64_t seed) : world{{.seed = seed}} {}

  std::unique_ptr<AtomicContextPreserver> begin() {
    return std::make_unique<AtomicContextPreserver>(
        world.environment(),
        lukhas::AtomicContextPreserverOptions{
            .journalDirectory = "journal", .disk = world.disk(), .journalSegmentBytes = 4096});
  }
  static asio::awaitable<void> start(lukhas::Simulation& world, AtomicContextPreserver& preserver) {
    for (const char* name : {"a", "b", "c"}) co_await preserver.addParticipant(world.participant(name));
    co_await preserver.start();
  }

  // Changes two contexts, one after the other; every kind of transaction is among them.
  static asio::awaitable<void> work(lukhas::Simulation& world, AtomicContextPreserver& preserver,
                                    test::PreserveLedger& ledger, bool& finished,
                                    lukhas::PreserveOptions options = {}) {
    co_await start(world, preserver);
    for (int turn = 1; turn <= 2; ++turn) {
      const json first{{"turn", turn}};
      (void)co_await ledger.change(preserver, "one", first, options);
      const json second{{"turn", -turn}};
      (void)co_await ledger.change(preserver, "two", second, options);
    }
    (void)co_await ledger.change(preserver, "two", std::nullopt, options);
    finished = true;
  }

  static asio::awaitable<void> read(AtomicContextPreserver& preserver, test::PreserveLedger& ledger) {
    const bool first = co_await ledger.read(preserver, "one");
    const bool second = co_await ledger.read(preserver, "two");
    CHECK(first);
    CHECK(second);
  }

  // A last life, in which nothing goes wrong: afterwards everything must be settled.
  void checkSettled() {
    const std::unique_ptr<AtomicContextPreserver> last = begin();
    world.spawn(start(world, *last));
    world.runFor(2min);
    ledger.checkAllOrNothing(world);
    CHECK(last->listInDoubt().empty());
    CHECK(last->getMetrics().orphanedContexts == 0);
    CHECK(last->healthCheck().healthy);
    world.spawn(read(*last, ledger));
    world.runFor(10s);
    world.crash();
  }

  lukhas::Simulation world;
  test::PreserveLedger ledger{{"a", "b", "c"}};
};

}  // namespace

TEST_CASE("a crash of the coordinator at any step leaves every context in all participants or in none",
          "[preserve]") {
  for (const PreserveUntil until : {PreserveUntil::applied, PreserveUntil::decided}) {
    bool finished = false;
    std::uint64_t step = 1;
    for (; !finished; ++step) {
      INFO("crash after step " << step << (until == PreserveUntil::decided ? ", decided" : ", applied"));
      Lives lives(7);
      {
        const std::unique_ptr<AtomicContextPreserver> preserver = lives.begin();
        lives.world.spawn(Lives::work(lives.world, *preserver, lives.ledger, finished, {.until = until}));
        lives.world.runSteps(step);
        lives.world.crash();
      }
      lives.checkSettled();
    }
    CHECK(step > 100);
  }
}

TEST_CASE("a second crash at any step of the recovery changes nothing of it", "[preserve]") {
  const std::uint64_t stride = 700 / test::runs(100, 700);
  bool finished = false;
  for (std::uint64_t step = 1; !finished; step += stride) {
    bool recovered = false;
    for (std::uint64_t again = 1; !recovered; again += stride) {
      INFO("crashes after step " << step << " and step " << again << " of the next life");
      Lives lives(step);
      {
        const std::unique_ptr<AtomicContextPreserver> preserver = lives.begin();
        lives.world.spawn(Lives::work(lives.world, *preserver, lives.ledger, finished));
        lives.world.runSteps(step);
        lives.world.crash();
      }
      {
        const std::unique_ptr<AtomicContextPreserver> preserver = lives.begin();
        lives.world.spawn(Lives::start(lives.world, *preserver));
        const lukhas::Duration before = lives.world.elapsed();
        lives.world.runSteps(again);
        recovered = lives.world.elapsed() - before > 1s;
        lives.world.crash();
      }
      lives.checkSettled();
    }
  }
}
