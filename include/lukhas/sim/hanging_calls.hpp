// HangingCalls: calls to a simulated machine that does not answer.
#pragma once

#include <optional>

#include <asio/execution.hpp>
#include <asio/execution_context.hpp>

#include "lukhas/async/environment.hpp"
#include "lukhas/async/wait_list.hpp"

namespace lukhas::detail {

// A life's executor owns them, so that they end with it, and never outlive a simulation that is destroyed.
class HangingCalls final : public asio::execution_context::service {
 public:
  static inline asio::execution_context::id id;

  explicit HangingCalls(asio::execution_context& context) : service(context) {}

  [[nodiscard]] static HangingCalls& of(const Environment& environment) {
    return asio::use_service<HangingCalls>(asio::query(environment.executor(), asio::execution::context));
  }

  // Until `ready()` holds after a wake(), or the caller cancels.
  template <class Ready>
  [[nodiscard]] asio::awaitable<void> wait(Environment environment, Ready ready) {
    if (!calls_) calls_.emplace(environment);
    while (!ready()) (void)co_await calls_->wait(ready);
  }
  void wake() {
    if (calls_) calls_->resumeAll();
  }

 private:
  void shutdown() override { calls_.reset(); }

  std::optional<WaitList> calls_;
};

}  // namespace lukhas::detail
