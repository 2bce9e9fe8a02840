// What a preserved context costs beside what the disk costs, and what RocksDB's own two-phase commit does.
//
//   preserve_bench [ROUNDS] [FOLDER]           the table; peers take turns, best of so many rounds
//   preserve_bench --benchmark_min_time=…      one small round, to see that it works
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "lukhas/async/child_task.hpp"
#include "lukhas/journal/journal.hpp"
#include "lukhas/journal/posix_disk.hpp"
#include "lukhas/participants/directory_participant.hpp"
#include "lukhas/participants/sqlite_participant.hpp"
#include "lukhas/preserve/atomic_context_preserver.hpp"
#include "preserve/bench_participants.hpp"
#include "preserve/rocksdb_peer.hpp"

namespace lukhas::bench {

using Clock = std::chrono::steady_clock;
using Participants = std::vector<std::shared_ptr<Participant>>;

// How much of everything.
struct Scale {
  int rounds = 5;
  int few = 400;       // calls one after the other
  int many = 12'800;   // calls of 64 at once
  int crowd = 10'000;  // transactions of 10 participants; transactions in doubt
};

class Folder {
 public:
  explicit Folder(const std::string& base) : path_(base + "/lukhas-bench-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no folder in " + base);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_;
};

// The best of what each round measured, in microseconds an operation.
class Figures {
 public:
  void note(const std::string& what, Clock::duration time, int operations) {
    const double each = std::chrono::duration<double, std::micro>(time).count() / operations;
    const auto [place, isNew] = best_.emplace(what, each);
    if (!isNew) place->second = std::min(place->second, each);
  }
  [[nodiscard]] bool has(const std::string& what) const { return best_.contains(what); }
  [[nodiscard]] double operator[](const std::string& what) const { return best_.at(what); }
  [[nodiscard]] double perSecond(const std::string& what) const { return 1e6 / best_.at(what); }

 private:
  std::map<std::string, double> best_;
};

void run(asio::io_context& io, asio::awaitable<void> task) {
  std::exception_ptr failure;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr error) {
    failure = std::move(error);
    io.stop();
  });
  io.restart();
  io.run();
  if (failure) std::rethrow_exception(failure);
}

// `times` calls of `call`, so many of them at once.
asio::awaitable<void> repeat(Environment environment, int times, int atOnce,
                             std::function<asio::awaitable<void>()> call) {
  const auto left = std::make_shared<int>(times);
  auto worker = [](std::shared_ptr<int> open,
                   std::function<asio::awaitable<void>()> make) -> asio::awaitable<void> {
    while (--*open >= 0) co_await make();
  };
  std::vector<ChildTask<void>> workers;
  for (int i = 0; i < atOnce; ++i) workers.emplace_back(environment, worker(left, call));
  for (ChildTask<void>& one : workers) co_await one.join();
}

Clock::duration timeOf(const std::function<void()>& work) {
  const Clock::time_point begin = Clock::now();
  work();
  return Clock::now() - begin;
}

// A record written and synced where space is reserved, with nothing between the program and the system.
void measureBare(Figures& figures, const Folder& folder, const Scale& scale) {
  const std::string path = folder / "bare";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0644);
  if (file < 0 || ::posix_fallocate(file, 0, 8 << 20) != 0 || ::fsync(file) != 0) {
    throw std::runtime_error("cannot write " + path);
  }
  const std::string record(Record::encodedSize(200), 'x');
  const Clock::duration time = timeOf([&] {
    for (int i = 0; i < scale.few; ++i) {
      const auto offset = static_cast<off_t>(record.size()) * i;
      if (::pwrite(file, record.data(), record.size(), offset) < 0 || ::fdatasync(file) != 0) {
        throw std::runtime_error("cannot write " + path);
      }
    }
  });
  ::close(file);
  figures.note("bare", time, scale.few);
}

void measureJournal(Figures& figures, const Folder& folder, const Scale& scale) {
  asio::io_context io;
  const Environment environment(io.get_executor());
  std::unique_ptr<Journal> journal;
  auto open = [](Environment in, std::string path,
                 std::unique_ptr<Journal>& opened) -> asio::awaitable<void> {
    opened = co_await Journal::open(in, std::make_shared<PosixDisk>(in), std::move(path));
  };
  run(io, open(environment, folder / "journal", journal));
  Journal* const log = journal.get();
  const auto append = [log]() -> asio::awaitable<void> { (void)co_await log->appendDurable(1, Bytes(200)); };
  const auto dropped = [&] { log->dropBefore(log->nextLsn()); };
  figures.note("journal 1", timeOf([&] { run(io, repeat(environment, scale.few, 1, append)); }), scale.few);
  dropped();
  figures.note("journal 64", timeOf([&] { run(io, repeat(environment, scale.many, 64, append)); }),
               scale.many);
  dropped();
  run(io, journal->close());
}

// A preserver over some participants.
class World {
 public:
  World(const Folder& folder, const std::string& name, Participants participants)
      : environment(io.get_executor()) {
    AtomicContextPreserverOptions options;
    options.journalDirectory = folder / (name + "-log");
    preserver = std::make_unique<AtomicContextPreserver>(environment, std::move(options));
    std::vector<std::string> all;
    for (const auto& participant : participants) all.push_back(participant->name());
    names = NameList(std::move(all));
    auto start = [](AtomicContextPreserver& starting, Participants added) -> asio::awaitable<void> {
      for (const auto& participant : added) co_await starting.addParticipant(participant);
      co_await starting.start();
    };
    run(io, start(*preserver, std::move(participants)));
  }
  ~World() { run(io, preserver->stop()); }

  // So many new contexts, so many at once.
  Clock::duration preserve(int times, int atOnce) {
    const auto call = [this]() -> asio::awaitable<void> { return preserveOne(); };
    return timeOf([&] { run(io, repeat(environment, times, atOnce, call)); });
  }

  asio::io_context io;
  Environment environment;
  std::unique_ptr<AtomicContextPreserver> preserver;
  NameList names;

 private:
  asio::awaitable<void> preserveOne() {
    nlohmann::json data{{"text", std::string(180, 'x')}};
    std::string context = fmt::format("context-{}", ++made_);
    (void)co_await preserver->preserveContext(std::move(context), std::move(data), names);
  }

  std::uint64_t made_ = 0;
};

Participants idle(int count, Duration pace = Duration::zero()) {
  Participants all;
  for (int i = 0; i < count; ++i)
    all.push_back(std::make_shared<IdleParticipant>(fmt::format("p{}", i), pace));
  return all;
}

void measureIdle(Figures& figures, const Folder& folder, const Scale& scale) {
  World world(folder, "idle", idle(2));
  figures.note("idle 1", world.preserve(scale.few, 1), scale.few);
  figures.note("idle 64", world.preserve(scale.many / 4, 64), scale.many / 4);
}

void measureRocksDb([[maybe_unused]] Figures& figures, [[maybe_unused]] const Folder& folder,
                    [[maybe_unused]] const Scale& scale) {
#ifdef LUKHAS_BENCH_ROCKSDB
  RocksDbPeer peer(folder / "rocksdb");
  figures.note("rocksdb 1", timeOf([&] { peer.run(scale.few, 1); }), scale.few);
  figures.note("rocksdb 64", timeOf([&] { peer.run(scale.many / 4, 64); }), scale.many / 4);
#endif
}

// The steps of one participant by themselves.
void measureSteps(Figures& figures, const std::shared_ptr<Participant>& participant, const Scale& scale) {
  asio::io_context io;
  const Environment environment(io.get_executor());
  run(io, participant->open(environment));
  const auto context = [](int number) {
    StoredContext stored;
    stored.transactionId = fmt::format("bench:steps:1:{}", number);
    stored.contextId = fmt::format("step-{}", number);
    stored.version = 1;
    stored.participants = NameList("files", "sqlite");
    stored.payload = std::string(200, 'x');
    return stored;
  };
  auto all = [&](bool commits) -> asio::awaitable<void> {
    for (int i = 0; i < scale.few; ++i) {
      StoredContext stored = context(i);
      TransactionRef decided(stored);
      if (commits) {
        co_await participant->commit(std::move(decided));
      } else {
        co_await participant->prepare(std::move(stored));
      }
    }
  };
  const std::string name = participant->name();
  figures.note(name + " prepare", timeOf([&] { run(io, all(false)); }), scale.few);
  figures.note(name + " commit", timeOf([&] { run(io, all(true)); }), scale.few);
  run(io, participant->close());
}

void measureEmbedded(Figures& figures, const Folder& folder, const Scale& scale) {
  measureSteps(figures, SqliteParticipant::open("sqlite", folder / "steps.db"), scale);
  measureSteps(figures, DirectoryParticipant::open("files", folder / "steps"), scale);
  World world(folder, "embedded",
              {SqliteParticipant::open("sqlite", folder / "contexts.db"),
               DirectoryParticipant::open("files", folder / "contexts")});
  figures.note("embedded", world.preserve(scale.few, 1), scale.few);
}

void measureWidth(Figures& figures, const Folder& folder, const Scale& scale) {
  for (const int count : {2, 10}) {
    World world(folder, fmt::format("paced-{}", count), idle(count, std::chrono::milliseconds(1)));
    figures.note(fmt::format("paced {}", count), world.preserve(scale.few / 2, 1), scale.few / 2);
  }
}

// What was seen once, not the best of rounds.
struct Crowd {
  std::uint64_t tried = 0;
  std::uint64_t committed = 0;
  double seconds = 0;
};
Crowd measureCrowd(const Folder& folder, const Scale& scale) {
  World world(folder, "crowd", idle(10));
  Crowd crowd;
  crowd.seconds = std::chrono::duration<double>(world.preserve(scale.crowd, 64)).count();
  const PreserverMetrics metrics = world.preserver->getMetrics();
  crowd.tried = metrics.totalTransactions;
  crowd.committed = metrics.successfulCommits;
  return crowd;
}

struct Recovery {
  double emptyStartMs = std::numeric_limits<double>::max();
  double startMs = std::numeric_limits<double>::max();
  double rate = 0;  // transactions a second
  std::size_t left = 0;
};

// A log with `count` decisions that nobody has applied; two participants hold the intents.
asio::awaitable<void> writeDecisions(Environment environment, std::string directory, int count,
                                     std::vector<std::shared_ptr<HoldingParticipant>> holders) {
  const auto disk = std::make_shared<PosixDisk>(environment);
  const std::unique_ptr<Journal> journal = co_await Journal::open(environment, disk, std::move(directory));
  for (int i = 0; i < count; ++i) {
    StoredContext intent;
    const TransactionId id{"lukhas", journal->uuid(), 1, static_cast<std::uint64_t>(i)};
    intent.transactionId = id.toString();
    intent.contextId = fmt::format("context-{}", i);
    intent.version = 1;
    intent.participants = NameList("a", "b");
    Decision decision;
    decision.transaction = TransactionRef(intent);
    decision.participants = intent.participants.names();
    Bytes record = decision.encode();
    journal->append(static_cast<std::uint8_t>(DecisionRecord::commit), std::move(record));
    for (const auto& holder : holders) holder->hold(intent);
  }
  co_await journal->close();
}

void measureRecovery(Recovery& best, const Folder& folder, int count, int round) {
  asio::io_context io;
  const Environment environment(io.get_executor());
  const std::vector<std::shared_ptr<HoldingParticipant>> holders{std::make_shared<HoldingParticipant>("a"),
                                                                 std::make_shared<HoldingParticipant>("b")};
  const std::string log = folder / fmt::format("recovery-{}-{}", count, round);
  run(io, writeDecisions(environment, log, count, holders));
  AtomicContextPreserverOptions options;
  options.journalDirectory = log;
  options.maxInDoubt = 20'000;
  AtomicContextPreserver preserver(environment, std::move(options));
  auto start = [&]() -> asio::awaitable<void> {
    for (const auto& holder : holders) co_await preserver.addParticipant(holder);
    co_await preserver.start();
  };
  const Clock::time_point begin = Clock::now();
  run(io, start());
  const double startMs = std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
  auto settled = [&]() -> asio::awaitable<void> {
    const TimePoint end = environment.after(std::chrono::minutes(1));
    while (environment.now() < end && !preserver.listInDoubt().empty()) {
      co_await environment.sleepFor(std::chrono::milliseconds(5));
    }
  };
  run(io, settled());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  if (count == 0) {
    best.emptyStartMs = std::min(best.emptyStartMs, startMs);
  } else {
    best.startMs = std::min(best.startMs, startMs);
    best.rate = std::max(best.rate, count / seconds);
    best.left += holders[0]->intents() + holders[1]->intents() + preserver.listInDoubt().size();
  }
  run(io, preserver.stop());
}

void row(const std::string& what, const std::string& seen, const std::string& goal, bool met) {
  fmt::print("| {} | {} | {} | {} |\n", what, seen, goal, met ? "met" : "**missed**");
}

void print(const Figures& figures, const Crowd& crowd, const Recovery& recovery) {
  const double bare = figures["bare"];
  const auto times = [](double ratio) { return fmt::format("{:.2f} ×", ratio); };
  fmt::print("| what | measured | goal | |\n| --- | --- | --- | --- |\n");
  fmt::print("| bare `write` + `fdatasync` | {:.0f} µs | | |\n", bare);
  const double one = figures["journal 1"] / bare;
  row("journal, 1 writer / bare", fmt::format("{} ({:.0f} µs)", times(one), figures["journal 1"]), "≤ 1.15 ×",
      one <= 1.15);
  const double group = figures["journal 1"] / figures["journal 64"];
  row("journal, 64 writers / 1",
      fmt::format("{:.1f} × ({:.0f} records/s)", group, figures.perSecond("journal 64")), "≥ 30 ×",
      group >= 30);
  const double idleOne = figures["idle 1"] / bare;
  row("two participants that do nothing, 1 client / bare",
      fmt::format("{} ({:.0f} µs)", times(idleOne), figures["idle 1"]), "≤ 1.3 ×", idleOne <= 1.3);
  fmt::print("| the same, 64 at once | {:.0f} a second | | |\n", figures.perSecond("idle 64"));
  if (figures.has("rocksdb 1")) {
    for (const char* many : {"1", "64"}) {
      const double ratio = figures[std::string("rocksdb ") + many] / figures[std::string("idle ") + many];
      row(fmt::format("the same / RocksDB's 2PC, {} at once", many),
          fmt::format("{} (RocksDB {:.0f} a second)", times(ratio),
                      figures.perSecond(std::string("rocksdb ") + many)),
          "≥ 1 ×", ratio >= 1);
    }
  } else {
    fmt::print("| RocksDB | not installed: not measured | | |\n");
  }
  const double parts = std::max(figures["sqlite prepare"], figures["files prepare"]) + bare +
                       std::max(figures["sqlite commit"], figures["files commit"]);
  row("SQLite + directory, 1 client / (slower prepare + `fdatasync` + slower commit)",
      fmt::format("{} ({:.0f} µs / {:.0f})", times(figures["embedded"] / parts), figures["embedded"], parts),
      "≤ 1.5 ×", figures["embedded"] / parts <= 1.5);
  fmt::print(
      "| SQLite alone: prepare, commit; directory alone: prepare, commit | {:.0f}, {:.0f}; {:.0f}, {:.0f} "
      "µs | | |\n",
      figures["sqlite prepare"], figures["sqlite commit"], figures["files prepare"], figures["files commit"]);
  const double width = figures["paced 10"] / figures["paced 2"];
  row("10 participants of 1 ms / 2 of them", fmt::format("{} ({:.0f} µs)", times(width), figures["paced 10"]),
      "≤ 1.5 ×", width <= 1.5);
  row(fmt::format("transactions of 10 participants that succeed, of {}", crowd.tried),
      fmt::format("{} ({:.0f} a second)", crowd.committed, static_cast<double>(crowd.tried) / crowd.seconds),
      "all", crowd.committed == crowd.tried);
  const double delay = recovery.startMs - recovery.emptyStartMs;
  row("start with 10,000 in doubt, over an empty one", fmt::format("{:.0f} ms", delay), "≤ 50 ms",
      delay <= 50);
  row("10,000 in doubt: left in the end; rate",
      fmt::format("{}; {:.0f} a second", recovery.left, recovery.rate), "0", recovery.left == 0);
}

}  // namespace lukhas::bench

int main(int argc, char** argv) {
  using namespace lukhas::bench;
  const bool isTrial = argc > 1 && std::strncmp(argv[1], "--", 2) == 0;
  Scale scale;
  if (isTrial) scale = {1, 20, 256, 200};
  if (!isTrial && argc > 1) scale.rounds = std::max(1, std::atoi(argv[1]));
  const std::string base = argc > 2 ? argv[2] : std::filesystem::temp_directory_path().string();
  Figures figures;
  Crowd crowd;
  Recovery recovery;
  for (int round = 0; round < scale.rounds; ++round) {
    const Folder folder(base);
    measureBare(figures, folder, scale);
    measureJournal(figures, folder, scale);
    measureIdle(figures, folder, scale);
    measureRocksDb(figures, folder, scale);
    measureEmbedded(figures, folder, scale);
    measureWidth(figures, folder, scale);
    measureRecovery(recovery, folder, 0, round);
    measureRecovery(recovery, folder, scale.crowd, round);
    if (round == 0) crowd = measureCrowd(folder, scale);
  }
  print(figures, crowd, recovery);
}
