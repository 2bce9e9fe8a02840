// One call of AsyncLock::acquire in a coroutine of its own, and how it ended.
#pragma once

#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <asio/awaitable.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>

#include "lukhas/lock/async_lock.hpp"
#include "lukhas/sim/simulation.hpp"

namespace lukhas::test {

struct LockAttempt {
  std::optional<AsyncLock::Guard> guard;
  std::optional<Error> error;
  asio::cancellation_signal signal;

  [[nodiscard]] bool waits() const { return !guard && !error; }
  [[nodiscard]] bool cancelled() const {
    return error && error->code() == make_error_code(asio::error::operation_aborted);
  }
  void cancel() { signal.emit(asio::cancellation_type::terminal); }

  asio::awaitable<void> run(asio::awaitable<AsyncLock::Guard> call) {
    try {
      guard = co_await std::move(call);
    } catch (const Error& thrown) {
      error = thrown;
    }
  }
};

// A lock in a simulated world; calls of it begin in the order in which they are made.
struct LockWorld {
  explicit LockWorld(AsyncLockOptions options = {}) : locks(std::in_place, env, options) {}

  void begin(LockAttempt& attempt, asio::awaitable<AsyncLock::Guard> call) {
    asio::co_spawn(env.executor(), attempt.run(std::move(call)),
                   asio::bind_cancellation_slot(attempt.signal.slot(), [](std::exception_ptr) {}));
    settle();
  }
  void start(LockAttempt& attempt, const std::string& key, AcquireOptions options = {}) {
    begin(attempt, locks->acquire(key, options));
  }
  void startShared(LockAttempt& attempt, const std::string& key, AcquireOptions options = {}) {
    begin(attempt, locks->acquireShared(key, options));
  }
  // Whatever is under way comes as far as it can in no time.
  void settle() { world.runFor(Duration::zero()); }

  Simulation world{{.seed = 5}};
  Environment env = world.environment();
  std::optional<AsyncLock> locks;
};

}  // namespace lukhas::test
