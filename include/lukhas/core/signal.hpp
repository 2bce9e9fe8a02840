// Signal and Subscription: typed events of a component.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace lukhas {

// Keeps a listener connected; its destruction disconnects. Move-only.
//
//   lukhas::Subscription watching = ttl.onExpired.connect([](const lukhas::EntryExpired& e) { … });
//
// A Subscription that is not kept disconnects in the same statement. detach() leaves the listener connected for as long
// as the signal lives.
class Subscription {
 public:
  Subscription() = default;
  explicit Subscription(std::function<void()> disconnect) : disconnect_(std::move(disconnect)) {}
  Subscription(Subscription&& other) noexcept : disconnect_(std::exchange(other.disconnect_, nullptr)) {}
  Subscription& operator=(Subscription&& other) noexcept {
    if (this != &other) {
      disconnect();
      disconnect_ = std::exchange(other.disconnect_, nullptr);
    }
    return *this;
  }
  ~Subscription() { disconnect(); }

  // No new call of the listener begins after this; one that runs in another thread may still be on its way to its end.
  void disconnect() {
    if (const auto call = std::exchange(disconnect_, nullptr)) call();
  }
  void detach() noexcept { disconnect_ = nullptr; }
  [[nodiscard]] bool connected() const noexcept { return disconnect_ != nullptr; }

 private:
  std::function<void()> disconnect_;
};

// An event with its listeners. emit() calls them in the order of their connection, in the emitting thread, outside all
// locks: a listener may connect, disconnect (also itself), emit, or destroy the signal. What a listener throws is counted
// and goes no further. Any thread may call; listeners that emitters in several threads reach must be thread-safe
// themselves. The signal and its subscriptions may be destroyed in any order.
template <class... Args>
class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

  template <class Listener>
  Subscription connect(Listener&& listener) {
    auto slot = std::make_shared<Slot>(std::forward<Listener>(listener));
    state_->add(slot);
    return Subscription([state = std::weak_ptr(state_), slot] {
      slot->connected.store(false);
      if (const auto alive = state.lock()) alive->remove(slot);
    });
  }

  void emit(const Args&... args) const {
    const std::shared_ptr<State> state = state_;  // a listener may destroy the signal
    if (state->count.load(std::memory_order_acquire) == 0) return;
    const std::shared_ptr<const Slots> slots = state->snapshot();
    for (const std::shared_ptr<Slot>& slot : *slots) {
      if (!slot->connected.load()) continue;
      try {
        slot->listener(args...);
      } catch (...) {
        state->errors.fetch_add(1);
      }
    }
  }

  [[nodiscard]] bool empty() const noexcept { return state_->count.load() == 0; }
  // Listeners' exceptions so far.
  [[nodiscard]] std::uint64_t listenerErrors() const noexcept { return state_->errors.load(); }

 private:
  struct Slot {
    template <class Listener>
    explicit Slot(Listener&& given) : listener(std::forward<Listener>(given)) {}
    std::function<void(const Args&...)> listener;
    std::atomic<bool> connected = true;
  };
  using Slots = std::vector<std::shared_ptr<Slot>>;

  // The list is replaced, never changed, so that emit() walks a list that nobody touches.
  struct State {
    std::shared_ptr<const Slots> snapshot() {
      const std::lock_guard lock(mutex);
      return slots;
    }
    void add(const std::shared_ptr<Slot>& slot) {
      const std::lock_guard lock(mutex);
      auto next = std::make_shared<Slots>(*slots);
      next->push_back(slot);
      replace(std::move(next));
    }
    void remove(const std::shared_ptr<Slot>& slot) {
      const std::lock_guard lock(mutex);
      auto next = std::make_shared<Slots>(*slots);
      std::erase(*next, slot);
      replace(std::move(next));
    }
    void replace(std::shared_ptr<const Slots> next) {
      count.store(next->size(), std::memory_order_release);
      slots = std::move(next);
    }

    std::mutex mutex;
    std::shared_ptr<const Slots> slots = std::make_shared<const Slots>();
    std::atomic<std::size_t> count = 0;
    std::atomic<std::uint64_t> errors = 0;
  };

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace lukhas
