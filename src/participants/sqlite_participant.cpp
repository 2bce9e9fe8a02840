#include "lukhas/participants/sqlite_participant.hpp"

#include <filesystem>
#include <type_traits>
#include <utility>

#include "lukhas/async/blocking_lane.hpp"
#include "lukhas/journal/posix_disk.hpp"
#include "sqlite_store.hpp"

namespace lukhas {

namespace {

// The database and who may use it: jobs of the lane, one at a time. Jobs own it, so it outlives a participant
// whose last job is still running.
struct Database {
  explicit Database(detail::ParticipantErrors path) : errors(std::move(path)) {}
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() {
    if (store) store->closeQuickly();
  }

  void open() {
    if (!store) store.emplace(errors);
  }
  [[nodiscard]] detail::SqliteStore& use() {
    if (!store) throw errors.unavailable("it is not open");
    return *store;
  }
  void close() { store.reset(); }

  const detail::ParticipantErrors errors;
  std::optional<detail::SqliteStore> store;
};

}  // namespace

// The database in one environment: a restart of the simulated world begins another.
struct SqliteParticipant::Session {
  Session(Environment env, const std::string& name, const std::string& path)
      : environment(std::move(env)),
        errors(name, path),
        database(std::make_shared<Database>(errors)),
        lane(std::make_unique<BlockingLane>(environment, "sqlite")) {}

  // Coroutines that are still suspended in the lane hold the session, but use nothing of it any more.
  void stop() {
    std::unique_ptr<BlockingLane> stopped;
    {
      const std::lock_guard lock(mutex);
      stopped = std::move(lane);
    }
  }

  // Errors come out of the awaitable, never out of the call that makes it.
  template <class Job>
  static asio::awaitable<std::invoke_result_t<Job&, Database&>> run(detail::ParticipantErrors errors,
                                                                    std::shared_ptr<Session> session,
                                                                    Job job) {
    if (!session) throw errors.unavailable("it was never opened");
    auto onLane = [database = session->database, job = std::move(job)] { return job(*database); };
    BlockingLane* lane = nullptr;
    {
      const std::lock_guard lock(session->mutex);
      lane = session->lane.get();
    }
    if (lane == nullptr)
      throw Error(Errc::closed, "the participant was destroyed", {{"participant", errors.participant()}});
    co_return co_await lane->run(std::move(onLane));
  }

  static asio::awaitable<void> open(std::shared_ptr<Session> session) {
    const std::filesystem::path parent = std::filesystem::path(session->errors.path()).parent_path();
    if (!parent.empty()) {
      PosixDisk disk(session->environment);
      try {
        co_await disk.createDirectories(parent.string());
      } catch (const Error& error) {
        throw session->errors.unavailable(error.what());
      }
    }
    auto job = [](Database& opened) { opened.open(); };
    co_await run(session->errors, session, job);
  }

  const Environment environment;
  const detail::ParticipantErrors errors;
  const std::shared_ptr<Database> database;
  std::mutex mutex;
  std::unique_ptr<BlockingLane> lane;
};

std::shared_ptr<SqliteParticipant> SqliteParticipant::open(std::string name, std::string path) {
  return std::shared_ptr<SqliteParticipant>(new SqliteParticipant(std::move(name), std::move(path)));
}

SqliteParticipant::SqliteParticipant(std::string name, std::string path)
    : name_(std::move(name)), path_(std::move(path)) {}

SqliteParticipant::~SqliteParticipant() {
  if (session_) session_->stop();
}

std::shared_ptr<SqliteParticipant::Session> SqliteParticipant::session() const {
  const std::lock_guard lock(mutex_);
  return session_;
}

std::shared_ptr<SqliteParticipant::Session> SqliteParticipant::sessionIn(const Environment& environment) {
  std::shared_ptr<Session> ended;
  std::shared_ptr<Session> present;
  {
    const std::lock_guard lock(mutex_);
    if (!session_ || session_->environment.executor() != environment.executor())
      ended = std::exchange(session_, std::make_shared<Session>(environment, name_, path_));
    present = session_;
  }
  if (ended) ended->stop();
  return present;
}

asio::awaitable<void> SqliteParticipant::open(Environment environment) {
  return Session::open(sessionIn(environment));
}

asio::awaitable<void> SqliteParticipant::prepare(StoredContext context) {
  return Session::run({name_, path_}, session(), [context = std::move(context)](Database& database) {
    database.use().prepare(context);
  });
}

asio::awaitable<void> SqliteParticipant::commit(TransactionRef transaction) {
  return Session::run({name_, path_}, session(), [transaction = std::move(transaction)](Database& database) {
    database.use().commit(transaction);
  });
}

asio::awaitable<void> SqliteParticipant::abort(TransactionRef transaction) {
  return Session::run({name_, path_}, session(), [transaction = std::move(transaction)](Database& database) {
    database.use().abort(transaction);
  });
}

asio::awaitable<std::vector<StoredContext>> SqliteParticipant::inDoubt() {
  return Session::run({name_, path_}, session(), [](Database& database) { return database.use().inDoubt(); });
}

asio::awaitable<ContextCopies> SqliteParticipant::read(std::string contextId) {
  return Session::run({name_, path_}, session(), [contextId = std::move(contextId)](Database& database) {
    return database.use().read(contextId);
  });
}

asio::awaitable<void> SqliteParticipant::close() {
  std::shared_ptr<Session> opened = session();
  if (!opened) co_return;
  auto job = [](Database& database) { database.close(); };
  co_await Session::run(opened->errors, opened, job);
}

}  // namespace lukhas
