// EngineRegistry: tells engines that their io_context is about to be destroyed.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <asio/execution_context.hpp>

namespace lukhas::detail {

class CurlEngine;

// A service of the execution context. Without it, a transport that is destroyed after its io_context would
// cancel timers and release descriptors of a reactor that is gone.
class EngineRegistry final : public asio::execution_context::service {
 public:
  using key_type = EngineRegistry;
  static asio::execution_context::id id;

  explicit EngineRegistry(asio::execution_context& context) : asio::execution_context::service(context) {}

  void add(std::weak_ptr<CurlEngine> engine) {
    const std::lock_guard lock(mutex_);
    std::erase_if(engines_, [](const std::weak_ptr<CurlEngine>& known) { return known.expired(); });
    engines_.push_back(std::move(engine));
  }

 private:
  void shutdown() noexcept override;

  std::mutex mutex_;
  std::vector<std::weak_ptr<CurlEngine>> engines_;
};

}  // namespace lukhas::detail
