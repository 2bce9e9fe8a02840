#include "lukhas/participants/directory_participant.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/sim/simulation.hpp"
#include "support/deep.hpp"
#include "support/conformance.hpp"

using namespace lukhas;
using namespace lukhas::test;

namespace {

std::shared_ptr<Participant> open(Simulation& world) {
  return DirectoryParticipant::open("files", "data/files", world.disk());
}

// What a participant holds of the one context of the scenario.
struct Held {
  std::uint64_t version = 0;  // committed; 0: none
  std::string intent;         // the transaction's id; empty: none

  friend bool operator==(const Held&, const Held&) = default;
};

struct Step {
  enum class Call { prepare, commit, abort };
  Call call;
  StoredContext context;
  Held after;
};

std::vector<Step> scenario() {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  const StoredContext aborted = storedContext("a", 2, transactionIdOf(2));
  const StoredContext second = storedContext("a", 2, transactionIdOf(1, 2));
  const StoredContext forget = forgettingContext("a", 3, transactionIdOf(2, 2));
  using Call = Step::Call;
  return {{Call::prepare, first, {0, first.transactionId}},     {Call::commit, first, {1, ""}},
          {Call::prepare, aborted, {1, aborted.transactionId}}, {Call::abort, aborted, {1, ""}},
          {Call::prepare, second, {1, second.transactionId}},   {Call::commit, second, {2, ""}},
          {Call::prepare, forget, {2, forget.transactionId}},   {Call::commit, forget, {0, ""}}};
}

asio::awaitable<void> make(std::shared_ptr<Participant> participant, Step step) {
  if (step.call == Step::Call::prepare) co_await participant->prepare(step.context);
  if (step.call == Step::Call::commit) co_await participant->commit(TransactionRef(step.context));
  if (step.call == Step::Call::abort) co_await participant->abort(TransactionRef(step.context));
}

// `answered`: how many steps have returned.
asio::awaitable<void> play(Environment environment, std::shared_ptr<Participant> participant,
                           std::size_t& answered) {
  co_await participant->open(environment);
  const std::vector<Step> steps = scenario();
  for (const Step& step : steps) {
    co_await make(participant, step);
    ++answered;
  }
}

asio::awaitable<void> openAgain(Environment environment, std::shared_ptr<Participant> participant) {
  co_await participant->open(environment);
}

asio::awaitable<Held> look(std::shared_ptr<Participant> participant) {
  ContextCopies copies = co_await participant->read("a");
  Held held;
  if (copies.committed) {
    held.version = copies.committed->version;
    CHECK(copies.committed->payloadHash == hash64(asBytes(copies.committed->payload)));
  }
  if (copies.intent) {
    held.intent = copies.intent->transactionId;
    CHECK(copies.intent->payloadHash == hash64(asBytes(copies.intent->payload)));
  }
  co_return held;
}

// After a crash: the step that was under way is done or not, and all of the scenario can go on from there.
asio::awaitable<void> goOn(Environment environment, std::shared_ptr<Participant> participant,
                           std::size_t answered, bool& finished) {
  co_await participant->open(environment);
  const std::vector<Step> steps = scenario();
  const Held before = answered == 0 ? Held{} : steps[answered - 1].after;
  const Held after = answered == steps.size() ? before : steps[answered].after;
  const Held held = co_await look(participant);
  INFO(answered << " steps answered; committed " << held.version << ", intent '" << held.intent << "'");
  CHECK((held == before || held == after));
  if (answered > 3) {  // the abort was answered
    const std::error_code code = co_await codeOf(make(participant, steps[2]));
    CHECK(code == PreserveErrc::refused);
  }
  for (std::size_t i = answered; i < steps.size(); ++i) {
    co_await make(participant, steps[i]);
    const Held now = co_await look(participant);
    CHECK(now == steps[i].after);
  }
  finished = true;
}

// False when the scenario had ended before.
bool crashAfter(std::uint64_t steps, std::uint64_t seed) {
  Simulation world{{.seed = seed}};
  std::size_t answered = 0;
  world.spawn(play(world.environment(), open(world), answered));
  const bool more = world.runSteps(steps);
  world.crash();
  world.spawn(openAgain(world.environment(), open(world)));
  (void)world.runSteps((steps * 7 + seed) % 60);  // and again, while it recovers
  world.crash();
  bool finished = false;
  world.spawn(goOn(world.environment(), open(world), answered, finished));
  world.run();
  CHECK(finished);
  return more;
}

asio::awaitable<Held> lookTwice(std::shared_ptr<Participant> participant) {
  try {
    co_return co_await look(participant);
  } catch (const Error& error) {
    CHECK(error.code() == PreserveErrc::participant_unavailable);
  }
  co_return co_await look(participant);
}

// Every step until it succeeds: what a coordinator does.
asio::awaitable<void> insist(Simulation& world, std::shared_ptr<Participant> participant, bool& finished) {
  std::error_code code = PreserveErrc::participant_unavailable;
  while (code) code = co_await codeOf(participant->open(world.environment()));
  const std::vector<Step> steps = scenario();
  for (const Step& step : steps) {
    code = PreserveErrc::participant_unavailable;
    for (int tries = 0; code && tries < 3; ++tries) {
      code = co_await codeOf(make(participant, step));
      CHECK((!code || code == PreserveErrc::participant_unavailable));
    }
    CHECK_FALSE(code);
    const Held held = co_await lookTwice(participant);
    CHECK(held == step.after);
  }
  finished = true;
}

// False when the scenario has fewer operations of that kind.
bool failOnce(DiskOperation operation, std::uint64_t skip, std::uint64_t seed) {
  INFO("fails " << toString(operation) << " after " << skip);
  Simulation world{{.seed = seed}};
  world.disk()->failNext(operation, JournalErrc::io_failed, skip);
  const std::shared_ptr<Participant> participant = open(world);
  bool finished = false;
  world.spawn(insist(world, participant, finished));
  world.run();
  CHECK(finished);
  std::size_t answered = scenario().size();
  world.crash();
  finished = false;
  world.spawn(goOn(world.environment(), open(world), answered, finished));
  world.run();
  CHECK(finished);
  return skip < 60;
}

asio::awaitable<void> fillUpAndKeepPromises(Simulation& world, std::shared_ptr<Participant> participant) {
  const StoredContext first = storedContext("a", 1, transactionIdOf(1));
  const StoredContext second = storedContext("a", 2, transactionIdOf(2));
  const StoredContext other = storedContext("b", 1, transactionIdOf(3));
  const StoredContext unwanted = storedContext("c", 1, transactionIdOf(4));
  co_await participant->open(world.environment());
  co_await participant->prepare(first);
  co_await participant->commit(TransactionRef(first));
  co_await participant->prepare(second);
  co_await participant->prepare(unwanted);
  world.disk()->fillUp();
  const std::error_code code = co_await codeOf(participant->prepare(other));
  CHECK(code == PreserveErrc::participant_unavailable);
  std::string directory = "data/files/staging";
  const std::vector<std::string> left = co_await world.disk()->list(std::move(directory));
  for (const std::string& name : left) CHECK_FALSE(name.ends_with(".tmp"));
  co_await participant->commit(TransactionRef(second));
  const std::error_code full =
      co_await codeOf(participant->abort(TransactionRef(unwanted)));
  CHECK((!full || full == PreserveErrc::participant_unavailable));
  ContextCopies copies = co_await participant->read("c");
  CHECK_FALSE(copies.intent);
  world.disk()->freeUp();
  co_await participant->abort(TransactionRef(unwanted));
  co_await participant->prepare(other);
  const Held held = co_await look(participant);
  CHECK(held == Held{2, ""});
}

asio::awaitable<void> throwAway(asio::awaitable<std::vector<StoredContext>> call) {
  (void)co_await std::move(call);
}
asio::awaitable<void> throwAway(asio::awaitable<ContextCopies> call) { (void)co_await std::move(call); }

asio::awaitable<void> askWhileNamesAreUnsure(Simulation& world, std::shared_ptr<Participant> participant) {
  const StoredContext context = storedContext("a", 1, transactionIdOf(1));
  co_await participant->open(world.environment());
  co_await participant->prepare(context);
  for (int i = 0; i < 4; ++i) world.disk()->failNext(DiskOperation::sync_directory);
  const TransactionRef transaction(context);
  std::error_code code = co_await codeOf(participant->commit(transaction));
  CHECK(code == PreserveErrc::participant_unavailable);
  code = co_await codeOf(participant->commit(transaction));
  CHECK(code == PreserveErrc::participant_unavailable);
  code = co_await codeOf(throwAway(participant->inDoubt()));
  CHECK(code == PreserveErrc::participant_unavailable);
  code = co_await codeOf(throwAway(participant->read("a")));
  CHECK(code == PreserveErrc::participant_unavailable);
  co_await participant->commit(transaction);
  const Held held = co_await look(participant);
  CHECK(held == Held{1, ""});
}

}  // namespace

TEST_CASE("the directory participant keeps the contract on the simulated disk", "[participants]") {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    INFO("seed " << seed);
    Simulation world{{.seed = seed}};
    requireConformance(conformanceIn(world, [&world](const std::string& storage) {
      return DirectoryParticipant::open("files", "data/" + storage, world.disk());
    }));
  }
}

TEST_CASE("a crash at any step leaves each directory transaction whole or undone", "[participants]") {
  const std::uint64_t seeds = ::test::deep() ? 200 : 4;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    for (std::uint64_t steps = 1; crashAfter(steps, seed); ++steps) REQUIRE(steps < 10'000);
  }
}

TEST_CASE("a disk operation that fails once is made good by trying again", "[participants]") {
  using enum DiskOperation;
  for (const DiskOperation operation : {DiskOperation::open, read, write, sync, size, list,
                                        create_directories, rename, remove, sync_directory, lock}) {
    for (std::uint64_t skip = 0; failOnce(operation, skip, skip + 1); ++skip) {
    }
  }
}

TEST_CASE("on a full disk a directory refuses what is new and keeps what it promised", "[participants]") {
  Simulation world{{.seed = 5}};
  world.spawn(fillUpAndKeepPromises(world, open(world)));
  world.run();
}

TEST_CASE("nothing is said about a directory while its names are not durable", "[participants]") {
  Simulation world{{.seed = 6}};
  world.spawn(askWhileNamesAreUnsure(world, open(world)));
  world.run();
}
