// Real processes that are killed at any moment, on SQLite, a directory and a journal on the system's disk.
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "lukhas/async/split_mix.hpp"
#include "support/catch.hpp"
#include "support/child_process.hpp"
#include "support/deep.hpp"
#include "support/local_stores.hpp"
#include "support/participant_directory.hpp"

namespace kill_test {

using namespace lukhas;
using lukhas::test::ChildProcess;
using lukhas::test::LocalStores;
using lukhas::test::printLine;
using nlohmann::json;

namespace {

constexpr int writers = 6;
constexpr const char* worker = "child: preserves contexts until it is killed";

std::string contextOf(int writer) { return fmt::format("context-{}", writer); }

// Says before each change what it tries, and afterwards how it ended. Turn 0 of a life forgets the context.
asio::awaitable<void> write(LocalStores& stores, std::string life, int writer) {
  const std::string context = contextOf(writer);
  for (int turn = 0;; ++turn) {
    const bool forgets = turn % 7 == 6;
    printLine(fmt::format("try {} {} {}", context, life, forgets ? -1 : turn));
    const PreserveOptions options{.until = turn % 3 == 0 ? PreserveUntil::decided : PreserveUntil::applied};
    try {
      if (forgets) {
        (void)co_await stores.preserver->forget(context, options);
      } else {
        json data{{"life", life}, {"turn", turn}, {"text", std::string(200, 'x')}};
        (void)co_await stores.preserver->preserveContext(context, std::move(data), LocalStores::names(),
                                                         options);
      }
      printLine(fmt::format("done {}", context));
    } catch (const Error& error) {
      printLine(fmt::format("failed {} {}", context, error.what()));
    }
  }
}

asio::awaitable<void> writeAll(LocalStores& stores, std::string life) {
  co_await stores.start();
  printLine("started");
  std::vector<ChildTask<void>> all;
  for (int i = 0; i < writers; ++i) all.emplace_back(stores.environment(), write(stores, life, i));
  for (ChildTask<void>& one : all) co_await one.join();
}

// A context's state as a line of text: "life turn", or "nothing".
using State = std::string;
struct Known {
  State certain = "nothing";
  std::optional<State> possible;
};

// What the child's words say of the contexts.
void learn(std::map<std::string, Known>& known, const std::string& text, std::uint64_t& acknowledged) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string verb;
    std::string context;
    words >> verb >> context;
    if (verb == "try") {
      std::string life;
      int turn = 0;
      words >> life >> turn;
      known[context].possible = turn < 0 ? State("nothing") : fmt::format("{} {}", life, turn);
    } else if (verb == "done") {
      known[context].certain = known[context].possible.value();
      known[context].possible.reset();
      ++acknowledged;
    } else if (verb == "failed") {
      FAIL_CHECK(line);
    }
  }
}

State stateOf(const std::optional<StoredContext>& stored) {
  if (!stored) return "nothing";
  const json data = json::parse(stored->payload);
  return fmt::format("{} {}", data.at("life").get<std::string>(), data.at("turn").get<int>());
}

// A process that lives: afterwards every context is in both or in none, and nothing is left over.
asio::awaitable<void> checkSettled(LocalStores& stores, std::map<std::string, Known>& known,
                                   std::uint64_t& recovered) {
  co_await stores.start();
  (void)co_await stores.preserver->recover();
  for (int i = 0; i < 500 && !stores.preserver->listInDoubt().empty(); ++i) {
    co_await stores.environment().sleepFor(std::chrono::milliseconds(10));
  }
  CHECK(stores.preserver->listInDoubt().empty());
  const std::vector<StoredContext> inDatabase = co_await stores.sqlite->inDoubt();
  const std::vector<StoredContext> inFiles = co_await stores.files->inDoubt();
  CHECK(inDatabase.empty());
  CHECK(inFiles.empty());
  CHECK(stores.stagedFiles() == 0);
  for (int i = 0; i < writers; ++i) {
    const std::string context = contextOf(i);
    const ContextCopies first = co_await stores.sqlite->read(context);
    const ContextCopies second = co_await stores.files->read(context);
    INFO(context);
    const State seen = stateOf(first.committed);
    CHECK(stateOf(second.committed) == seen);
    Known& entry = known[context];
    if (seen != entry.certain && seen != entry.possible) {
      FAIL_CHECK("it is '" << seen << "'; certain was '" << entry.certain << "', possible '"
                           << entry.possible.value_or("-") << "'");
    }
    if (first.committed && second.committed) {
      CHECK(first.committed->version == second.committed->version);
      CHECK(first.committed->payload == second.committed->payload);
    }
    entry.certain = seen;
    entry.possible.reset();
  }
  recovered += stores.preserver->getMetrics().recovered;
  co_await stores.preserver->stop();
}

}  // namespace

TEST_CASE("child: preserves contexts until it is killed", "[.child]") {
  LocalStores stores(lukhas::test::childSetting("LUKHAS_CHAOS_FOLDER"));
  stores.run(writeAll(stores, lukhas::test::childSetting("LUKHAS_CHAOS_LIFE")));
}

TEST_CASE("whenever a process is killed each context is in database and directory or in neither",
          "[preserve]") {
  const lukhas::test::ParticipantDirectory directory;
  const std::string folder = directory / "data";
  std::map<std::string, Known> known;
  std::uint64_t acknowledged = 0;
  std::uint64_t recovered = 0;
  SplitMix chance(20261127);
  const std::uint64_t lives = ::test::runs(60, 200);
  for (std::uint64_t life = 1; life <= lives; ++life) {
    INFO("life " << life);
    {
      const std::string lifeSetting = fmt::format("LUKHAS_CHAOS_LIFE={}", life);
      ChildProcess child(worker, {"LUKHAS_CHAOS_FOLDER=" + folder, lifeSetting});
      // Some are killed while they start, most while they work.
      if (chance.below(4) != 0) REQUIRE(child.readUntil("started\n"));
      ::usleep(static_cast<useconds_t>(chance.below(120'000)));
      child.kill();
      CHECK(child.wait() == -1);
      learn(known, child.readAll(), acknowledged);
    }
    LocalStores stores(folder);
    stores.run(checkSettled(stores, known, recovered));
  }
  CHECK(acknowledged > 0);  // how many is the disk's speed
  CHECK(recovered > lives / 2);  // the kills did come in the middle of transactions
}

}  // namespace kill_test
