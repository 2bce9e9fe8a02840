// ChildTask: an awaitable that runs beside its parent, with a handle to wait for it, bound its time, and
// cancel it.
#pragma once

#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>
#include <fmt/format.h>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/wait_list.hpp"

namespace lukhas {

// Starts an operation at once; several children run in parallel.
//
//   ChildTask<Vote> vote(env, participant.prepare(request));     // under way
//   std::optional<Vote> in = co_await vote.joinUntil(deadline);  // nullopt: the time is over
//   // leaving the scope cancels a child that still runs
//
// The parent never waits longer than it asked to: a child that does not react to cancellation goes on by
// itself, and what it still gives is dropped. So the operation must own what it uses: parameters by value,
// shared owners, nothing of the parent's frame. After a time-out it may run on when the parent is gone. The
// child runs on a strand of its own, because Asio's cancellation slots must not be emitted and assigned at
// once; the parent continues on its own executor.
//
// join(): the child's result, or its exception. Cancelling the parent ends the join with operation_aborted.
// After detach() the destructor leaves the child running.
template <class T>
class ChildTask {
 public:
  ChildTask(const Environment& environment, asio::awaitable<T> operation)
      : ChildTask(environment, std::move(operation), nullptr) {}
  // `alsoWakes` is resumed after the end, so that a parent can wait for the first of several children.
  ChildTask(const Environment& environment, asio::awaitable<T> operation, std::shared_ptr<WaitList> alsoWakes)
      : state_(std::make_shared<State>(environment.on(asio::make_strand(environment.executor())))) {
    state_->alsoWakes = std::move(alsoWakes);
    std::shared_ptr<State> state = state_;
    asio::co_spawn(state->environment.executor(), run(Promise{state}, std::move(operation)),
                   asio::bind_cancellation_slot(state->signal.slot(), [state](std::exception_ptr) {}));
  }
  ChildTask(ChildTask&&) noexcept = default;
  ChildTask& operator=(ChildTask&& other) noexcept {
    if (this != &other) {
      cancel();
      state_ = std::move(other.state_);
    }
    return *this;
  }
  ~ChildTask() { cancel(); }

  // The child's result, once; rethrows what it threw.
  [[nodiscard]] asio::awaitable<T> join() {
    const std::shared_ptr<State> state = state_;
    State* const shared = state.get();
    if (!shared->isDone()) (void)co_await state->finished.wait([shared] { return shared->isDone(); });
    co_return state->take();
  }

  // The same, or nullopt (for void: false) at the deadline; the child goes on then, until cancel() or the
  // destructor.
  using JoinResult = std::conditional_t<std::is_void_v<T>, bool,
                                        std::optional<std::conditional_t<std::is_void_v<T>, bool, T>>>;
  [[nodiscard]] asio::awaitable<JoinResult> joinUntil(TimePoint deadline) {
    const std::shared_ptr<State> state = state_;
    State* const shared = state.get();
    if (!shared->isDone()) {  // a child may have ended within its own start: then no timer is needed
      const WaitResult result =
          co_await state->finished.waitUntil(deadline, [shared] { return shared->isDone(); });
      if (result == WaitResult::timed_out) co_return JoinResult{};
    }
    if constexpr (std::is_void_v<T>) {
      state->take();
      co_return true;
    } else {
      co_return std::optional<T>(state->take());
    }
  }

  [[nodiscard]] bool done() const { return state_->isDone(); }

  // Asks the child to stop; does not wait. No effect once it is done.
  void cancel() {
    if (!state_ || state_->isDone()) return;
    asio::post(state_->environment.executor(),
               [state = state_] { state->signal.emit(asio::cancellation_type::terminal); });
  }

  // The child outlives this handle.
  void detach() noexcept { state_.reset(); }

 private:
  struct State {
    explicit State(Environment env) : environment(std::move(env)), finished(environment) {}

    bool isDone() const {
      const std::lock_guard lock(mutex);
      return !std::holds_alternative<std::monostate>(outcome);
    }
    T take() {
      const std::lock_guard lock(mutex);
      if (auto* error = std::get_if<std::exception_ptr>(&outcome)) std::rethrow_exception(*error);
      if constexpr (!std::is_void_v<T>) return std::move(std::get<Value>(outcome).value);
    }
    template <class Outcome>
    void finish(Outcome result) {
      {
        const std::lock_guard lock(mutex);
        outcome = std::move(result);
      }
      finished.resumeAll();
      if (alsoWakes) alsoWakes->resumeAll();
    }

    struct Nothing {};
    struct Value {
      std::conditional_t<std::is_void_v<T>, Nothing, T> value;
    };
    Environment environment;
    asio::cancellation_signal signal;
    mutable std::mutex mutex;
    std::variant<std::monostate, Value, std::exception_ptr> outcome;
    WaitList finished;
    std::shared_ptr<WaitList> alsoWakes;
  };

  // Answers the parent exactly once, also when the child's frames are destroyed before they end.
  struct Promise {
    explicit Promise(std::shared_ptr<State> shared) : state(std::move(shared)) {}
    Promise(Promise&&) noexcept = default;
    ~Promise() {
      if (state && !state->isDone()) {
        state->finish(
            std::make_exception_ptr(Error(Errc::closed, "the operation was destroyed before its end")));
      }
    }
    std::shared_ptr<State> state;
  };

  static asio::awaitable<void> run(Promise promise, asio::awaitable<T> operation) {
    State& state = *promise.state;
    try {
      if constexpr (std::is_void_v<T>) {
        co_await std::move(operation);
        state.finish(typename State::Value{});
      } else {
        T value = co_await std::move(operation);
        state.finish(typename State::Value{std::move(value)});
      }
    } catch (...) {
      state.finish(std::current_exception());
    }
  }

  std::shared_ptr<State> state_;
};

// Runs `operation` for at most `limit`: its result, or Errc::deadline_exceeded, which names it. The operation
// is then cancelled and not waited for: it must own what it uses, see ChildTask.
template <class T>
[[nodiscard]] asio::awaitable<T> withTimeLimit(Environment environment, Duration limit, std::string name,
                                               asio::awaitable<T> operation) {
  ChildTask<T> child(environment, std::move(operation));
  auto result = co_await child.joinUntil(environment.after(limit));
  if (!result) {
    const auto limitMs = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
    nlohmann::json details{{"operation", name}, {"limitMs", limitMs}};
    throw Error(Errc::deadline_exceeded, fmt::format("{} did not finish within {} ms", name, limitMs),
                std::move(details));
  }
  if constexpr (!std::is_void_v<T>) co_return std::move(*result);
}

}  // namespace lukhas
