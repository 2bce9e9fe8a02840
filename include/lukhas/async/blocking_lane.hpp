// BlockingLane: runs calls that block (fdatasync, SQLite) away from the io_context, one at a time, in order.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/suspension.hpp"

namespace lukhas {

//   BlockingLane lane(env, "journal");
//   auto sync = [file] { file->syncNow(); };
//   co_await lane.run(sync);
//
// The job runs on the lane's own thread (in the simulated world: in place, at a moment of the simulation's
// choice); the caller continues on its own executor with the job's result or exception. A cancelled caller
// gets operation_aborted at once. Its job is dropped if it has not begun; if it has, it still runs to its
// end, so it must own what it uses. At most LaneJobs::maxJobs wait; one more is refused with
// Errc::overloaded. Destroying the lane waits for the job that is running, drops the others, and their
// callers get Errc::closed. Any thread may call.
class BlockingLane {
 public:
  BlockingLane(Environment environment, std::string name)
      : environment_(std::move(environment)), lane_(environment_.makeLane(std::move(name))) {}

  template <class Job>
  [[nodiscard]] asio::awaitable<std::invoke_result_t<Job&>> run(Job job) {
    using Result = std::invoke_result_t<Job&>;
    const auto call = std::make_shared<Call<Result>>();
    LanePlace place = lane_->submit(
        [ticket = Ticket<Result>{call}, job = std::move(job)]() mutable { ticket.execute(job); });
    Call<Result>* const pending = call.get();
    LanePlace* const queued = &place;
    const auto arm = [pending] { pending->beginWait(); };
    const auto onCancel = [pending, queued] {
      if (!pending->endWait()) return false;
      queued->drop();
      return true;
    };
    co_await call->wait(arm, onCancel);
    // Taken out of the call, which the lane's thread may let go of last: the exception is then the caller's
    // alone, and ends in the caller's thread.
    if (call->error) std::rethrow_exception(std::exchange(call->error, nullptr));
    if constexpr (!std::is_void_v<Result>) co_return std::move(*call->value);
  }

 private:
  template <class Result>
  struct Call final : Suspension {
    // With the coroutine suspended; the job may have ended before.
    void beginWait() noexcept {
      {
        const std::lock_guard lock(mutex);
        if (!done) {
          waiting = true;
          return;
        }
      }
      resume();
    }
    // True for whoever ends the wait: the job's end or the cancellation.
    bool endWait() noexcept {
      const std::lock_guard lock(mutex);
      return std::exchange(waiting, false);
    }
    void finish() noexcept {
      {
        const std::lock_guard lock(mutex);
        done = true;
      }
      if (endWait()) resume();
    }

    std::optional<std::conditional_t<std::is_void_v<Result>, bool, Result>> value;
    std::exception_ptr error;
    std::mutex mutex;
    bool done = false;     // after value and error
    bool waiting = false;  // suspended, and nobody resumes it yet
  };

  // Answers its call exactly once, also when the job is dropped.
  template <class Result>
  struct Ticket {
    explicit Ticket(std::shared_ptr<Call<Result>> pending) : call(std::move(pending)) {}
    Ticket(Ticket&&) noexcept = default;
    ~Ticket() {
      if (!call) return;
      call->error =
          std::make_exception_ptr(Error(Errc::closed, "the lane was destroyed before the job began"));
      call->finish();
    }

    template <class Job>
    void execute(Job& job) {
      const std::shared_ptr<Call<Result>> mine = std::move(call);
      try {
        if constexpr (std::is_void_v<Result>) {
          job();
        } else {
          mine->value.emplace(job());
        }
      } catch (...) {
        mine->error = std::current_exception();
      }
      mine->finish();
    }

    std::shared_ptr<Call<Result>> call;
  };

  Environment environment_;
  std::unique_ptr<WorldLane> lane_;
};

}  // namespace lukhas
