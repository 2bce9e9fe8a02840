// AbortableAttempt: work at a model that ends when its router is destroyed.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include "lukhas/async/child_task.hpp"
#include "lukhas/route/detail/router_state.hpp"

namespace lukhas::detail {

// How long an attempt whose time is over is waited for after it was cancelled, so that its connection is
// closed when the caller goes on. A transport that reacts to cancellation, as it must, needs no time for
// that; one that does not is left behind.
inline constexpr Duration abortGrace = std::chrono::milliseconds(100);

// An attempt that a router which is destroyed aborts.
class AbortableAttempt {
 public:
  AbortableAttempt(std::shared_ptr<RouterState> state, ChildTask<AttemptEnd>& attempt)
      : state_(std::move(state)), position_(state_->addAttempt(attempt)) {}
  AbortableAttempt(const AbortableAttempt&) = delete;
  AbortableAttempt& operator=(const AbortableAttempt&) = delete;
  ~AbortableAttempt() { state_->removeAttempt(position_); }

 private:
  std::shared_ptr<RouterState> state_;
  RouterState::Attempts::iterator position_;
};

}  // namespace lukhas::detail
