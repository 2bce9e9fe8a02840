// What a crash at the worst moment does: the decision is in the log, no system has been told.
//   crash_recovery die FOLDER        preserves twice, and kills itself with SIGKILL after the second decision
//   crash_recovery look FOLDER       what each system holds now, without the library's recovery
//   crash_recovery recover FOLDER    starts again, and sees both systems become equal
// `look` and `recover` exit with 0 when both systems hold the same version and nothing is in doubt.
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <string>

#include <asio.hpp>
#include <lukhas/lukhas.hpp>
#include <lukhas/participants/directory_participant.hpp>
#include <lukhas/participants/sqlite_participant.hpp>

using namespace std::chrono_literals;
using nlohmann::json;

namespace {

const std::string session = "session:42";

// A participant that hands everything on; but when it is told to commit, the process is gone.
class DiesAtCommit final : public lukhas::Participant {
 public:
  DiesAtCommit(std::shared_ptr<lukhas::Participant> inner, bool& armed)
      : inner_(std::move(inner)), armed_(armed) {}

  const std::string& name() const noexcept override { return inner_->name(); }
  asio::awaitable<void> open(lukhas::Environment environment) override { return inner_->open(environment); }
  asio::awaitable<void> prepare(lukhas::StoredContext context) override {
    return inner_->prepare(std::move(context));
  }
  asio::awaitable<void> commit(lukhas::TransactionRef transaction) override {
    if (armed_) {
      std::cout << "  the decision about version " << transaction.version << " is in the log; now SIGKILL"
                << std::endl;
      std::raise(SIGKILL);
    }
    return inner_->commit(std::move(transaction));
  }
  asio::awaitable<void> abort(lukhas::TransactionRef transaction) override {
    return inner_->abort(std::move(transaction));
  }
  asio::awaitable<std::vector<lukhas::StoredContext>> inDoubt() override { return inner_->inDoubt(); }
  asio::awaitable<lukhas::ContextCopies> read(std::string contextId) override {
    return inner_->read(std::move(contextId));
  }
  asio::awaitable<void> close() override { return inner_->close(); }

 private:
  std::shared_ptr<lukhas::Participant> inner_;
  bool& armed_;
};

struct Systems {
  explicit Systems(const std::string& folder)
      : sqlite(lukhas::SqliteParticipant::open("sqlite", folder + "/contexts.db")),
        files(lukhas::DirectoryParticipant::open("files", folder + "/contexts")) {}

  std::shared_ptr<lukhas::Participant> sqlite;
  std::shared_ptr<lukhas::Participant> files;
};

asio::awaitable<bool> die(lukhas::Environment environment, std::string folder) {
  const Systems systems(folder);
  bool armed = false;
  lukhas::AtomicContextPreserver preserver{environment, {.journalDirectory = folder + "/journal"}};
  const auto sqlite = std::make_shared<DiesAtCommit>(systems.sqlite, armed);
  const auto files = std::make_shared<DiesAtCommit>(systems.files, armed);
  co_await preserver.addParticipant(sqlite);
  co_await preserver.addParticipant(files);
  co_await preserver.start();
  for (int turn = 1; turn <= 2; ++turn) {
    armed = turn == 2;
    const json context{{"turn", turn}};
    const lukhas::ContextSnapshot snapshot =
        co_await preserver.preserveContext(session, context, {"sqlite", "files"});
    std::cout << "  version " << snapshot.version << " is in both systems" << std::endl;
  }
  co_return false;  // not reached
}

// What each system says by itself.
asio::awaitable<bool> look(lukhas::Environment environment, std::string folder) {
  const Systems systems(folder);
  std::map<std::string, std::uint64_t> versions;
  std::size_t intents = 0;
  for (const std::shared_ptr<lukhas::Participant>& participant : {systems.sqlite, systems.files}) {
    co_await participant->open(environment);
    std::string id = session;
    const lukhas::ContextCopies copies = co_await participant->read(std::move(id));
    const std::vector<lukhas::StoredContext> inDoubt = co_await participant->inDoubt();
    co_await participant->close();
    const std::uint64_t version = copies.committed ? copies.committed->version : 0;
    versions[participant->name()] = version;
    intents += inDoubt.size();
    std::cout << "  " << participant->name() << ": version " << version << ", " << inDoubt.size()
              << " transaction(s) in doubt" << std::endl;
  }
  co_return intents == 0 && versions["sqlite"] == 2 && versions["files"] == 2;
}

asio::awaitable<bool> recover(lukhas::Environment environment, std::string folder) {
  const Systems systems(folder);
  {
    lukhas::AtomicContextPreserver preserver{environment, {.journalDirectory = folder + "/journal"}};
    const lukhas::Subscription watching =
        preserver.onRecovered.connect([](const lukhas::TransactionRecovered& event) {
          std::cout << "  " << event.participant << (event.committed ? " committed " : " aborted ")
                    << event.transactionId << std::endl;
        });
    co_await preserver.addParticipant(systems.sqlite);
    co_await preserver.addParticipant(systems.files);
    co_await preserver.start();
    const lukhas::TimePoint deadline = environment.after(20s);
    while (!preserver.listInDoubt().empty() && environment.now() < deadline)
      co_await environment.sleepFor(20ms);
    const std::optional<lukhas::ContextSnapshot> restored = co_await preserver.restoreContext(session);
    std::cout << "  restored: " << (restored ? restored->data.dump() : "nothing") << std::endl;
    co_await preserver.stop();
  }
  co_return co_await look(environment, std::move(folder));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc == 3 ? argv[1] : "";
  if (mode != "die" && mode != "look" && mode != "recover") {
    std::cerr << "usage: crash_recovery die|look|recover FOLDER\n";
    return 2;
  }
  asio::io_context io;
  const lukhas::Environment environment{io.get_executor()};
  const std::string folder = argv[2];
  asio::awaitable<bool> task = mode == "die"    ? die(environment, folder)
                               : mode == "look" ? look(environment, folder)
                                                : recover(environment, folder);
  int status = 1;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, bool held) {
    try {
      if (error) std::rethrow_exception(error);
      status = held ? 0 : 1;
    } catch (const std::exception& failure) {
      std::cerr << "crash_recovery: " << failure.what() << '\n';
    }
  });
  io.run();
  return status;
}
