#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"
#include "support/preserve_ledger.hpp"

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using nlohmann::json;

namespace {

constexpr int contexts = 3;

lukhas::AtomicContextPreserverOptions options(lukhas::Simulation& world, std::string directory) {
  lukhas::AtomicContextPreserverOptions given;
  given.journalDirectory = std::move(directory);
  given.disk = world.disk();
  given.journalSegmentBytes = 4096;
  return given;
}

// False when it is down.
asio::awaitable<bool> tryAdd(AtomicContextPreserver& preserver,
                             std::shared_ptr<lukhas::SimulatedParticipant> participant) {
  try {
    co_await preserver.addParticipant(participant);
  } catch (const lukhas::Error& error) {
    CHECK(error.code() == lukhas::PreserveErrc::participant_unavailable);
    co_return false;
  }
  co_return true;
}

asio::awaitable<void> start(lukhas::Simulation& world, AtomicContextPreserver& preserver) {
  const lukhas::Environment env = world.environment();
  for (const char* name : {"db", "files"}) {
    for (bool added = false; !added;) {
      added = co_await tryAdd(preserver, world.participant(name));
      if (!added) co_await env.sleepFor(1s);
    }
  }
  co_await preserver.start();
}

asio::awaitable<void> write(lukhas::Environment env, AtomicContextPreserver& preserver,
                            test::PreserveLedger& ledger, std::string context, int life) {
  for (bool settled = false; !settled;) {
    settled = co_await ledger.settle(preserver, context);
    if (!settled) co_await env.sleepFor(100ms);
  }
  for (int turn = 0; turn < 20; ++turn) {
    const bool forgets = env.random() % 5 == 0;
    test::PreserveLedger::State next;
    if (!forgets) next = json{{"life", life}, {"turn", turn}};
    const bool known = co_await ledger.change(preserver, context, next);
    if (!known) co_return;
    co_await env.sleepFor(std::chrono::milliseconds(env.random() % 200));
  }
}

asio::awaitable<void> read(lukhas::Environment env, AtomicContextPreserver& preserver,
                           test::PreserveLedger& ledger, std::string context) {
  for (;;) {
    (void)co_await ledger.read(preserver, context);
    co_await env.sleepFor(std::chrono::milliseconds(1 + env.random() % 500));
  }
}

// Something that can go wrong, every now and then.
asio::awaitable<void> disturb(lukhas::Simulation& world) {
  const lukhas::Environment env = world.environment();
  for (;;) {
    co_await env.sleepFor(std::chrono::milliseconds(env.random() % 3000));
    const std::shared_ptr<lukhas::SimulatedParticipant> victim =
        world.participant(env.random() % 2 == 0 ? "db" : "files");
    switch (env.random() % 6) {
      case 0: victim->refuseNextPrepare(); break;
      case 1: victim->goDown(std::chrono::milliseconds(env.random() % 8000)); break;
      case 2: victim->goDownDuringCommit(std::chrono::milliseconds(env.random() % 20'000)); break;
      case 3: victim->loseNextAnswer(); break;
      case 4: victim->stallNext(); break;
      default: break;  // a quiet time
    }
  }
}

asio::awaitable<void> serve(lukhas::Simulation& world, AtomicContextPreserver& preserver,
                            test::PreserveLedger& ledger, int life) {
  co_await start(world, preserver);
  for (int i = 0; i < contexts; ++i) {
    const std::string context = fmt::format("context-{}", i);
    world.spawn(write(world.environment(), preserver, ledger, context, life));
    world.spawn(read(world.environment(), preserver, ledger, context));
  }
}

}  // namespace

TEST_CASE("whatever participants and coordinator suffer a context is in all of them or in none",
          "[preserve]") {
  const std::uint64_t seeds = test::runs(60, 2000);
  std::uint64_t acknowledged = 0;
  std::uint64_t aborted = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    INFO("seed " << seed);
    lukhas::Simulation world{{.seed = seed}};
    lukhas::SplitMix chance(seed);
    test::PreserveLedger ledger({"db", "files"});
    for (int life = 0; life < 4; ++life) {
      AtomicContextPreserver preserver(world.environment(), options(world, "journal"));
      world.spawn(serve(world, preserver, ledger, life));
      world.spawn(disturb(world));
      world.runFor(std::chrono::milliseconds(chance.below(30'000)));
      world.crash();
    }
    AtomicContextPreserver last(world.environment(), options(world, "journal"));
    world.spawn(start(world, last));
    world.runFor(3min);
    ledger.checkAllOrNothing(world);
    ledger.checkHistory(last);
    CHECK(ledger.violations() == "");
    CHECK(last.listInDoubt().empty());
    CHECK(last.healthCheck().healthy);
    acknowledged += ledger.acknowledged();
    aborted += ledger.aborted();
    world.crash();
  }
  CHECK(acknowledged > 10 * seeds);
  CHECK(aborted > 0);
}

TEST_CASE("the same seed gives the same run of faults and crashes", "[preserve]") {
  const auto fingerprint = [](std::uint64_t seed) {
    lukhas::Simulation world{{.seed = seed}};
    test::PreserveLedger ledger({"db", "files"});
    for (int life = 0; life < 2; ++life) {
      AtomicContextPreserver preserver(world.environment(), options(world, "journal"));
      world.spawn(serve(world, preserver, ledger, life));
      world.spawn(disturb(world));
      world.runFor(20s);
      world.crash();
    }
    return world.fingerprint();
  };
  CHECK(fingerprint(3) == fingerprint(3));
  CHECK(fingerprint(3) != fingerprint(4));
}

TEST_CASE("two coordinators that share participants never touch each other's transactions", "[preserve]") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    INFO("seed " << seed);
    lukhas::Simulation world{{.seed = seed}};
    test::PreserveLedger first({"db", "files"});
    test::PreserveLedger second({"db", "files"});
    {
      AtomicContextPreserver one(world.environment(), options(world, "journal-one"));
      AtomicContextPreserver two(world.environment(), options(world, "journal-two"));
      const auto run = [](lukhas::Simulation& in, AtomicContextPreserver& preserver,
                          test::PreserveLedger& ledger, std::string context) -> asio::awaitable<void> {
        co_await start(in, preserver);
        co_await write(in.environment(), preserver, ledger, context, 0);
      };
      world.spawn(run(world, one, first, "of one"));
      world.spawn(run(world, two, second, "of two"));
      world.runFor(std::chrono::milliseconds(500 + seed * 50));
      world.crash();
    }
    AtomicContextPreserver one(world.environment(), options(world, "journal-one"));
    AtomicContextPreserver two(world.environment(), options(world, "journal-two"));
    world.spawn(start(world, one));
    world.spawn(start(world, two));
    world.runFor(2min);
    first.checkAllOrNothing(world);
    second.checkAllOrNothing(world);
    CHECK(first.violations() == "");
    CHECK(second.violations() == "");
    world.crash();
  }
}

TEST_CASE("a disk that fails to sync makes the outcome unknown until the next start decides", "[preserve]") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    lukhas::Simulation world{{.seed = seed}};
    test::PreserveLedger ledger({"db", "files"});
    {
      AtomicContextPreserver preserver(world.environment(), options(world, "journal"));
      world.spawn(serve(world, preserver, ledger, 0));
      world.runFor(std::chrono::milliseconds(seed * 20));
      world.disk()->failNextSync();
      world.runFor(20s);
      CHECK_FALSE(preserver.healthCheck().healthy);
      world.crash();
    }
    AtomicContextPreserver last(world.environment(), options(world, "journal"));
    world.spawn(start(world, last));
    world.runFor(2min);
    ledger.checkAllOrNothing(world);
    CHECK(ledger.violations() == "");
    world.crash();
  }
}
