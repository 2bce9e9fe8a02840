// ListenerList: the part of a Signal that does not depend on its arguments.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

namespace lukhas::detail {

// What the list and the Subscription know of a listener, whatever it is called with.
struct ListenerBase {
  virtual ~ListenerBase() = default;
  std::atomic<bool> connected = true;
};

// The listeners of one signal. The vector is replaced, never changed, so that an emit walks one that nobody
// touches. Listeners hold what belongs to the user, so none is ever destroyed while the mutex is held.
class ListenerList {
 public:
  using Listeners = std::vector<std::shared_ptr<ListenerBase>>;

  [[nodiscard]] bool empty() const noexcept { return size_.load(std::memory_order_acquire) == 0; }

  [[nodiscard]] std::shared_ptr<const Listeners> snapshot() const noexcept {
    const std::lock_guard lock(mutex_);
    return listeners_;
  }

  void add(std::shared_ptr<ListenerBase> listener) {
    std::shared_ptr<const Listeners> old;  // outlives the lock
    const std::lock_guard lock(mutex_);
    auto next = std::make_shared<Listeners>();
    next->reserve(listeners_->size() + 1);
    copyConnected(*next);
    next->push_back(std::move(listener));
    old = replace(std::move(next));
  }

  // Drops the listeners that are no longer connected. Without memory they stay, inert, until the next change.
  void prune() noexcept {
    std::shared_ptr<const Listeners> old;
    const std::lock_guard lock(mutex_);
    try {
      auto next = std::make_shared<Listeners>();
      copyConnected(*next);
      old = replace(std::move(next));
    } catch (...) {
    }
  }

  std::atomic<std::uint64_t> errors = 0;

 private:
  void copyConnected(Listeners& next) const {
    std::copy_if(listeners_->begin(), listeners_->end(), std::back_inserter(next),
                 [](const std::shared_ptr<ListenerBase>& listener) { return listener->connected.load(); });
  }
  std::shared_ptr<const Listeners> replace(std::shared_ptr<const Listeners> next) noexcept {
    size_.store(next->size(), std::memory_order_release);
    return std::exchange(listeners_, std::move(next));
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const Listeners> listeners_ = std::make_shared<const Listeners>();
  std::atomic<std::size_t> size_ = 0;  // of listeners_, for a look without the mutex
};

// clang-format off
// What can be connected to a Signal<Args...>.
template <class F, class... Args>
concept ListenerFor = std::invocable<std::add_lvalue_reference_t<std::decay_t<F>>, const Args&...>;
// clang-format on

}  // namespace lukhas::detail
