// Suspension: one suspended coroutine that somebody else resumes. The only place that stores Asio completion
// handlers.
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/error.hpp>
#include <asio/execution/blocking.hpp>
#include <asio/require.hpp>
#include <asio/use_awaitable.hpp>

#include "lukhas/core/error.hpp"

namespace lukhas {

// The error of a wait that the caller cancelled: a lukhas::Error whose code is Asio's own operation_aborted.
[[nodiscard]] inline Error cancelledError(std::string message) {
  return Error(make_error_code(asio::error::operation_aborted), std::move(message));
}

// A coroutine waits in it, at most once; another party resumes it, exactly once.
//
// Who wins when grant, time-out and cancellation race is decided by the owner, under the owner's mutex:
// whoever takes the waiter off the owner's list calls resume() or fail(), nobody else does. The coroutine
// continues on its own executor, always by a post and never inside the call that resumed it. An owner that
// goes away resumes its waiters with an error: a stored handler that is just dropped would make its coroutine
// vanish without a word. So resume() and fail() do not throw: the post takes memory, and where there is none
// the process ends.
//
// Waiter types derive from it, live in a std::shared_ptr that the owner's list holds, and are linked by
// `arm`, which runs when the coroutine is suspended already: a resume from another thread may come before
// `arm` has returned.
class Suspension : public std::enable_shared_from_this<Suspension> {
 public:
  Suspension() = default;
  Suspension(const Suspension&) = delete;
  Suspension& operator=(const Suspension&) = delete;

  // Suspends. `arm()` links the waiter; it must not throw. `onCancel()` runs when the caller's cancellation
  // slot is emitted: it unlinks the waiter and returns true (the caller then gets operation_aborted), or
  // returns false when the outcome was decided already. Neither may own the waiter: the slot lives in the
  // suspended coroutine, which the waiter owns, and such a circle would outlive a list that is dropped.
  template <class Arm, class OnCancel>
  [[nodiscard]] asio::awaitable<void> wait(Arm arm, OnCancel onCancel) {
    return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
        [waiter = shared_from_this()](auto handler, Arm armNow, OnCancel cancelNow) mutable {
          const std::shared_ptr<Suspension> self =
              std::move(waiter);  // not left in the frame: see onCancel above
          auto slot = asio::get_associated_cancellation_slot(handler);
          self->handler_.emplace(std::move(handler));
          if (slot.is_connected()) {
            slot.assign([weak = std::weak_ptr(self),
                         cancelNow = std::move(cancelNow)](asio::cancellation_type) mutable {
              const std::shared_ptr<Suspension> waiting = weak.lock();
              if (!waiting || !cancelNow()) return;
              waiting->fail(std::make_exception_ptr(cancelledError("the caller cancelled the wait")));
            });
          }
          armNow();
        },
        asio::use_awaitable, std::move(arm), std::move(onCancel));
  }

  void resume() noexcept { complete(nullptr); }
  void fail(std::exception_ptr error) noexcept { complete(std::move(error)); }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void(std::exception_ptr)>::handler_type;

  struct Completion {
    Handler handler;
    std::exception_ptr error;

    // The slot is cleared here, on the coroutine's own executor, where cancellation is emitted too.
    void operator()() {
      auto slot = asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) slot.clear();
      std::move(handler)(std::move(error));
    }
  };

  void complete(std::exception_ptr error) noexcept {
    Handler handler = std::move(*handler_);
    handler_.reset();
    // What asio::post() does, without the copies of the executor that it makes to prefer properties which
    // this completion has no use for: a tenth of what handing a lock over takes.
    const asio::any_io_executor executor =
        asio::require(asio::get_associated_executor(handler), asio::execution::blocking.never);
    executor.execute(Completion{std::move(handler), std::move(error)});
  }

  std::optional<Handler> handler_;
};

}  // namespace lukhas
