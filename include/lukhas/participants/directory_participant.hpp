// DirectoryParticipant: keeps contexts as files in a directory.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "lukhas/async/child_task.hpp"
#include "lukhas/async/wait_list.hpp"
#include "lukhas/journal/posix_disk.hpp"
#include "lukhas/participants/detail/directory_store.hpp"
#include "lukhas/preserve/participant.hpp"

namespace lukhas {

// An embedded participant for two-phase commit: one file a context, no server.
//
//   co_await preserver.addParticipant(lukhas::DirectoryParticipant::open("files", "data/contexts"));
//
// What is on the disk. `PATH/contexts` has a file for each committed context, `PATH/staging` one for each
// prepared transaction; the names are the context ids, escaped. Every file begins with a head that has a
// checksum of its own; a head that is damaged is an error that names the file
// (PreserveErrc::corrupt_snapshot), never a context that is not there. A payload that is damaged is given as
// it is, and does not match its payloadHash: so the preserver sees which version it was, and takes another
// participant's copy.
//
// Durable means: content and names are synced before a call returns. A commit needs no space on the disk.
// What a crash left half done is cleaned up by the next open.
//
// Errors of the disk (full, read-only, failing) are PreserveErrc::participant_unavailable with the system's
// words as `cause`; a prepare then leaves nothing behind. The directory is locked: a second participant, in
// this process or another, gets PreserveErrc::participant_locked from open().
//
// Calls are served one after the other, in the order in which they were made. One whose caller is cancelled
// before its turn is dropped; one that has begun runs to its end. When 1,000 calls wait, as for a disk that
// hangs, further ones are refused with PreserveErrc::participant_unavailable. Any thread may call.
//
// A relative path is resolved by each call of the disk: do not change the process's working directory.
class DirectoryParticipant final : public Participant {
 public:
  // `path` is made, with its parents, by open(). The second form is for a disk other than the system's.
  [[nodiscard]] static std::shared_ptr<DirectoryParticipant> open(std::string name, std::string path) {
    return open(std::move(name), std::move(path), nullptr);
  }
  [[nodiscard]] static std::shared_ptr<DirectoryParticipant> open(std::string name, std::string path,
                                                                  std::shared_ptr<Disk> disk) {
    return std::shared_ptr<DirectoryParticipant>(
        new DirectoryParticipant(std::move(name), std::move(path), std::move(disk)));
  }

  [[nodiscard]] const std::string& name() const noexcept override { return name_; }

  [[nodiscard]] asio::awaitable<void> open(Environment environment) override {
    return call<void>({name_, path_}, sessionIn(environment), [](Store& store) { return store.open(); });
  }
  [[nodiscard]] asio::awaitable<void> prepare(StoredContext context) override {
    return call<void>({name_, path_}, session(),
                      [context = std::move(context)](Store& store) { return store.prepare(context); });
  }
  [[nodiscard]] asio::awaitable<void> commit(TransactionRef transaction) override {
    return call<void>({name_, path_}, session(), [transaction = std::move(transaction)](Store& store) {
      return store.commit(transaction);
    });
  }
  [[nodiscard]] asio::awaitable<void> abort(TransactionRef transaction) override {
    return call<void>({name_, path_}, session(), [transaction = std::move(transaction)](Store& store) {
      return store.abort(transaction);
    });
  }
  [[nodiscard]] asio::awaitable<std::vector<StoredContext>> inDoubt() override {
    return call<std::vector<StoredContext>>({name_, path_}, session(),
                                            [](Store& store) { return store.inDoubt(); });
  }
  [[nodiscard]] asio::awaitable<ContextCopies> read(std::string contextId) override {
    return call<ContextCopies>({name_, path_}, session(), [contextId = std::move(contextId)](Store& store) {
      return store.read(contextId);
    });
  }
  [[nodiscard]] asio::awaitable<void> close() override {
    SessionPtr opened = session();
    if (!opened) co_return;
    co_await call<void>(opened->errors, opened, [](Store& store) { return store.close(); });
  }

 private:
  using Store = detail::DirectoryStore;

  static constexpr std::size_t maxWaitingCalls = 1000;

  // A call's place in the order: it begins when the one before it has ended.
  struct Turn {
    Turn(const Environment& environment, std::shared_ptr<std::atomic<std::size_t>> count)
        : ended(environment), calls(std::move(count)) {
      ++*calls;
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() { --*calls; }

    std::atomic<bool> callerLeft = false;
    std::atomic<bool> hasEnded = false;
    WaitList ended;
    const std::shared_ptr<std::atomic<std::size_t>> calls;  // how many turns there are
  };
  // Ends the turn however its coroutine ends, also when that never begins.
  class EndOfTurn {
   public:
    explicit EndOfTurn(std::shared_ptr<Turn> turn) : turn_(std::move(turn)) {}
    EndOfTurn(EndOfTurn&&) noexcept = default;
    EndOfTurn& operator=(EndOfTurn&&) = delete;
    ~EndOfTurn() {
      if (!turn_) return;
      turn_->hasEnded = true;
      turn_->ended.resumeAll();
    }
    [[nodiscard]] const std::shared_ptr<Turn>& turn() const noexcept { return turn_; }

   private:
    std::shared_ptr<Turn> turn_;
  };

  struct Place {
    std::shared_ptr<Turn> before;  // null: nobody
    EndOfTurn mine;
  };
  // The directory in one environment: a restart of the simulated world begins another.
  struct Session {
    Session(Environment env, std::shared_ptr<Disk> disk, const std::string& name, const std::string& path)
        : environment(std::move(env)), errors(name, path), store(std::move(disk), name, path) {}

    Place takePlace() {
      const std::lock_guard lock(mutex);
      if (*calls > maxWaitingCalls) {  // of them, one is not waiting
        throw errors.unavailable(fmt::format("{} calls wait for its disk already", maxWaitingCalls));
      }
      auto mine = std::make_shared<Turn>(environment, calls);
      return {std::exchange(last, mine), EndOfTurn(mine)};
    }

    const Environment environment;
    const detail::ParticipantErrors errors;
    Store store;  // used by the call whose turn it is
    std::mutex mutex;
    std::shared_ptr<Turn> last;
    const std::shared_ptr<std::atomic<std::size_t>> calls = std::make_shared<std::atomic<std::size_t>>(0);
  };
  using SessionPtr = std::shared_ptr<Session>;

  // A call that goes on when its caller leaves, unless it has not begun by then.
  template <class Result>
  class LeaveRunning {
   public:
    LeaveRunning(ChildTask<Result>& child, std::shared_ptr<Turn> turn)
        : child_(child), turn_(std::move(turn)) {}
    LeaveRunning(const LeaveRunning&) = delete;
    LeaveRunning& operator=(const LeaveRunning&) = delete;
    ~LeaveRunning() {
      turn_->callerLeft = true;
      child_.detach();
    }

   private:
    ChildTask<Result>& child_;
    std::shared_ptr<Turn> turn_;
  };

  DirectoryParticipant(std::string name, std::string path, std::shared_ptr<Disk> disk)
      : name_(std::move(name)), path_(std::move(path)), disk_(std::move(disk)) {}

  [[nodiscard]] SessionPtr session() const {
    const std::lock_guard lock(mutex_);
    return session_;
  }
  [[nodiscard]] SessionPtr sessionIn(const Environment& environment) {
    const std::lock_guard lock(mutex_);
    if (!session_ || session_->environment.executor() != environment.executor()) {
      const std::shared_ptr<Disk> disk = disk_ ? disk_ : std::make_shared<PosixDisk>(environment);
      session_ = std::make_shared<Session>(environment, disk, name_, path_);
    }
    return session_;
  }

  // The call runs in a coroutine of its own, so that cancelling the caller does not stop it half way. Errors
  // come out of the awaitable, never out of the call that makes it.
  template <class Result, class Work>
  static asio::awaitable<Result> call(detail::ParticipantErrors errors, SessionPtr session, Work work) {
    if (!session) throw errors.unavailable("it was never opened");
    Place place = session->takePlace();
    const std::shared_ptr<Turn> turn = place.mine.turn();
    ChildTask<Result> child(session->environment,
                            runInTurn<Result>(session, std::move(place), std::move(work)));
    const LeaveRunning<Result> afterwards(child, turn);
    co_return co_await child.join();
  }
  template <class Result, class Work>
  static asio::awaitable<Result> runInTurn(SessionPtr session, Place place, Work work) {
    const EndOfTurn end(std::move(place.mine));
    Turn* const before = place.before.get();
    if (before) (void)co_await before->ended.wait([before] { return before->hasEnded.load(); });
    place.before.reset();
    if (end.turn()->callerLeft) throw Error(Errc::closed, "the caller left before the call's turn");
    try {
      co_return co_await work(session->store);
    } catch (const Error& error) {
      throw inOurTerms(session->errors, error);
    }
  }
  // Errors of the disk become errors of a participant.
  [[nodiscard]] static Error inOurTerms(const detail::ParticipantErrors& errors, const Error& error) {
    if (error.code() == JournalErrc::locked) return errors.locked(error.what());
    const std::error_category& disk = make_error_code(JournalErrc::io_failed).category();
    return error.code().category() == disk ? errors.unavailable(error.what()) : error;
  }

  const std::string name_;
  const std::string path_;
  const std::shared_ptr<Disk> disk_;
  mutable std::mutex mutex_;
  SessionPtr session_;
};

}  // namespace lukhas
