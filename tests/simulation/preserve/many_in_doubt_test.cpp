// A start that finds very many transactions open.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "lukhas/async/run_bounded.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "lukhas/sim/simulation.hpp"
#include "support/catch.hpp"
#include "support/deep.hpp"

namespace many_in_doubt_test {

using namespace std::chrono_literals;
using lukhas::AtomicContextPreserver;
using lukhas::ContextSnapshot;
using lukhas::NameList;
using lukhas::PreserveUntil;
using nlohmann::json;

// Passes every call on, and counts the commits and aborts that are under way at once.
class CountedParticipant final : public lukhas::Participant {
 public:
  explicit CountedParticipant(std::shared_ptr<lukhas::Participant> inner) : inner_(std::move(inner)) {}

  std::size_t running = 0;
  std::size_t most = 0;

  [[nodiscard]] const std::string& name() const noexcept override { return inner_->name(); }
  [[nodiscard]] asio::awaitable<void> open(lukhas::Environment environment) override {
    return inner_->open(environment);
  }
  [[nodiscard]] asio::awaitable<void> prepare(lukhas::StoredContext context) override {
    return inner_->prepare(std::move(context));
  }
  [[nodiscard]] asio::awaitable<void> commit(lukhas::TransactionRef transaction) override {
    return counted(this, inner_->commit(std::move(transaction)));
  }
  [[nodiscard]] asio::awaitable<void> abort(lukhas::TransactionRef transaction) override {
    return counted(this, inner_->abort(std::move(transaction)));
  }
  [[nodiscard]] asio::awaitable<std::vector<lukhas::StoredContext>> inDoubt() override {
    return inner_->inDoubt();
  }
  [[nodiscard]] asio::awaitable<lukhas::ContextCopies> read(std::string contextId) override {
    return inner_->read(std::move(contextId));
  }
  [[nodiscard]] asio::awaitable<void> close() override { return inner_->close(); }

 private:
  static asio::awaitable<void> counted(CountedParticipant* self, asio::awaitable<void> call) {
    self->most = std::max(self->most, ++self->running);
    struct End {
      ~End() { --self->running; }
      CountedParticipant* self;
    };
    const End end{self};
    co_await std::move(call);
  }
  std::shared_ptr<lukhas::Participant> inner_;
};

struct Backlog {
  std::unique_ptr<AtomicContextPreserver> begin() {
    return std::make_unique<AtomicContextPreserver>(
        world.environment(), lukhas::AtomicContextPreserverOptions{.journalDirectory = "journal",
                                                                   .disk = world.disk(),
                                                                   .maxConcurrent = 100'000,
                                                                   .maxInDoubt = 100'000,
                                                                   .recoveryConcurrency = 4});
  }
  asio::awaitable<void> start(AtomicContextPreserver& preserver) {
    co_await preserver.addParticipant(db);
    co_await preserver.addParticipant(files);
    co_await preserver.start();
  }
  static asio::awaitable<void> preserveOne(AtomicContextPreserver& preserver, std::size_t index) {
    const json data = index;
    const NameList both("db", "files");
    const std::string context = "context:" + std::to_string(index);
    (void)co_await preserver.preserveContext(context, data, both, {.until = PreserveUntil::decided});
  }
  // A life that decides all of them, while nobody can commit.
  void leave(std::size_t count) {
    for (const char* name : {"db", "files"}) world.participant(name)->goDownDuringCommit(1h);
    const std::unique_ptr<AtomicContextPreserver> preserver = begin();
    world.spawn([](Backlog& self, AtomicContextPreserver& with, std::size_t all) -> asio::awaitable<void> {
      co_await self.start(with);
      const auto one = [&with](std::size_t index) { return preserveOne(with, index); };
      co_await lukhas::runBounded(self.world.environment(), all, 200, one);
    }(*this, *preserver, count));
    world.runFor(5min);
    REQUIRE(preserver->getMetrics().successfulCommits == count);
    world.crash();
    for (CountedParticipant* const participant : {db.get(), files.get()}) participant->most = 0;
    world.runFor(1h);
  }

  lukhas::Simulation world{{.seed = 5}};
  std::shared_ptr<CountedParticipant> db = std::make_shared<CountedParticipant>(world.participant("db"));
  std::shared_ptr<CountedParticipant> files =
      std::make_shared<CountedParticipant>(world.participant("files"));
};

}  // namespace many_in_doubt_test

TEST_CASE("a start with very many open transactions serves at once and works them off, some at a time",
          "[preserve]") {
  using namespace many_in_doubt_test;
  const std::size_t count = test::runs(1'000, 10'000);
  Backlog backlog;
  backlog.leave(count);
  const std::unique_ptr<AtomicContextPreserver> preserver = backlog.begin();
  lukhas::Duration served{};
  std::size_t openBeside = 0;
  backlog.world.spawn([](Backlog& self, AtomicContextPreserver& with, lukhas::Duration& took,
                         std::size_t& open) -> asio::awaitable<void> {
    const lukhas::Duration begun = self.world.elapsed();
    co_await self.start(with);
    const json data = "new";
    const NameList both("db", "files");
    const ContextSnapshot snapshot = co_await with.preserveContext("new", data, both);
    CHECK(snapshot.pending.empty());
    took = self.world.elapsed() - begun;
    open = with.listInDoubt().size();
  }(backlog, *preserver, served, openBeside));
  backlog.world.runFor(500ms);
  CHECK(served > 0s);
  CHECK(served < 200ms);
  CHECK(openBeside > count / 2);
  backlog.world.runFor(1min);
  CHECK(preserver->listInDoubt().empty());
  CHECK(preserver->getMetrics().recovered == 2 * count);
  for (const char* name : {"db", "files"}) CHECK(backlog.world.participant(name)->intents() == 0);
  for (const CountedParticipant* const participant : {backlog.db.get(), backlog.files.get()}) {
    CHECK(participant->most > 1);
    CHECK(participant->most <= 4 + 1);  // and the call's own
  }
}
