// Several contexts that are decided together, under crashes at every step.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"

namespace preserve_many_crash_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextChange;
using lukhas::ContextSnapshot;
using lukhas::NameList;
using lukhas::PreserveUntil;
using nlohmann::json;

// Two contexts always move together: `one` is everywhere, `two` in a and b.
struct Pair {
  explicit Pair(std::uint64_t seed) : world{{.seed = seed}} {}

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
  static std::vector<ContextChange> turn(int number) {
    std::vector<ContextChange> changes;
    changes.emplace_back("one", json(number), NameList("a", "b", "c"));
    changes.emplace_back("two", json(number), NameList("a", "b"));
    return changes;
  }
  static asio::awaitable<void> work(lukhas::Simulation& world, AtomicContextPreserver& preserver,
                                    PreserveUntil until, int& acknowledged) {
    co_await start(world, preserver);
    for (int number = 1; number <= 3; ++number) {
      const std::vector<ContextSnapshot> snapshots = co_await preserver.preserveMany(turn(number), until);
      CHECK(snapshots.size() == 2);
      acknowledged = number;
    }
  }
  // Reads while recovery is still at work: never one of them alone.
  static asio::awaitable<void> readBoth(AtomicContextPreserver& preserver, int acknowledged) {
    const std::optional<ContextSnapshot> one = co_await preserver.restoreContext("one");
    const std::optional<ContextSnapshot> two = co_await preserver.restoreContext("two");
    CHECK(one.has_value() == two.has_value());
    if (one && two) CHECK(one->data == two->data);
    CHECK((one ? one->data.get<int>() : 0) >= acknowledged);
  }

  // A last life, in which nothing goes wrong.
  void checkSettled(int acknowledged) {
    const std::unique_ptr<AtomicContextPreserver> last = begin();
    world.spawn(
        [](lukhas::Simulation& in, AtomicContextPreserver& preserver, int least) -> asio::awaitable<void> {
          co_await start(in, preserver);
          co_await readBoth(preserver, least);
        }(world, *last, acknowledged));
    world.runFor(2min);
    const std::optional<json> expected = world.participant("a")->committed("one");
    CHECK((expected ? expected->get<int>() : 0) >= acknowledged);
    for (const char* name : {"a", "b", "c"}) {
      INFO("participant " << name);
      CHECK(world.participant(name)->intents() == 0);
      CHECK(world.participant(name)->committed("one") == expected);
      if (name != std::string("c")) CHECK(world.participant(name)->committed("two") == expected);
    }
    CHECK(last->listInDoubt().empty());
    CHECK(last->getMetrics().orphanedContexts == 0);
    world.crash();
  }

  lukhas::Simulation world;
};

}  // namespace preserve_many_crash_test

TEST_CASE("a crash at any step leaves contexts that are decided together all new or all old", "[preserve]") {
  using namespace preserve_many_crash_test;
  for (const PreserveUntil until : {PreserveUntil::applied, PreserveUntil::decided}) {
    int acknowledged = 0;
    for (std::uint64_t step = 1; acknowledged < 3; ++step) {
      INFO("crash after step " << step << (until == PreserveUntil::decided ? ", decided" : ", applied"));
      Pair pair(step);
      acknowledged = 0;
      {
        const std::unique_ptr<AtomicContextPreserver> preserver = pair.begin();
        pair.world.spawn(Pair::work(pair.world, *preserver, until, acknowledged));
        pair.world.runSteps(step);
        pair.world.crash();
      }
      pair.checkSettled(acknowledged);
    }
  }
}
