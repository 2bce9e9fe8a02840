// Signal and Subscription: the typed events of a component.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <utility>

#include "lukhas/core/detail/listener_list.hpp"
#include "lukhas/core/unique_function.hpp"

namespace lukhas {

// Keeps a listener connected, and disconnects it when it is destroyed. Move-only.
//
//   lukhas::Subscription watching = ttl.onExpired.connect([](const lukhas::EntryExpired& e) { log(e.key); });
//
// A SUBSCRIPTION THAT IS NOT KEPT DISCONNECTS AT ONCE: `ttl.onExpired.connect(listener);` alone hears
// nothing. A listener that is to stay as long as the signal itself is written
//
//   ttl.onExpired.connect(listener).detach();
//
// A Subscription may outlive its signal, and is harmless then. It is used by one thread at a time.
class Subscription {
 public:
  Subscription() = default;
  Subscription(Subscription&&) noexcept = default;
  Subscription& operator=(Subscription&& other) noexcept {
    if (this != &other) {
      disconnect();
      list_ = std::exchange(other.list_, {});
      listener_ = std::exchange(other.listener_, {});
    }
    return *this;
  }
  ~Subscription() { disconnect(); }

  // No new call of the listener begins after this returns, also not within an emit() that is under way in
  // this thread. It does not wait: where emits run in ANOTHER thread, a call that was begun (or decided on)
  // before may still be running when this returns. A listener that uses something its owner is about to
  // destroy therefore either lives in the same thread or strand as the emits, or holds that thing by
  // std::weak_ptr.
  void disconnect() noexcept {
    const std::shared_ptr<detail::ListenerBase> listener = std::exchange(listener_, {}).lock();
    const std::shared_ptr<detail::ListenerList> list = std::exchange(list_, {}).lock();
    if (!listener || !list) return;
    listener->connected.store(false);
    list->prune();
  }

  // The listener stays connected for the life of the signal; this object no longer has to do with it.
  void detach() noexcept {
    listener_.reset();
    list_.reset();
  }

  // False once it was disconnected or detached, or its signal is gone.
  [[nodiscard]] bool connected() const noexcept { return !listener_.expired() && !list_.expired(); }

 private:
  template <class...>
  friend class Signal;
  Subscription(std::weak_ptr<detail::ListenerList> list,
               std::weak_ptr<detail::ListenerBase> listener) noexcept
      : list_(std::move(list)), listener_(std::move(listener)) {}

  std::weak_ptr<detail::ListenerList> list_;
  std::weak_ptr<detail::ListenerBase> listener_;
};

// One kind of event, with its listeners.
//
//   lukhas::Signal<CircuitEvent> onCircuitOpen;              // a public member of the component
//   onCircuitOpen.emit(CircuitEvent{"model-a"});             // by the component, while it holds no mutex
//
// Guarantees. emit() calls the listeners in the order of their connection, in the emitting thread, outside
// all locks. A listener may connect, disconnect (itself too), emit, or destroy Subscriptions and the signal.
// Who is connected during an emit is first called by the next one; who is disconnected during it is not
// called any more. What a listener throws is counted in listenerErrors() and goes no further: the others are
// called all the same. When the signal is destroyed during an emit, that emit still reaches the rest of its
// listeners.
//
// Any thread may call. A listener that emits in several threads reach must be thread-safe itself. Destroying
// the signal disconnects all; signal and subscriptions may go in any order.
//
// Costs. Nobody listens: one atomic load. Else a short mutex and a reference count, and a virtual call each.
// connect and disconnect copy the list of n listeners: O(n).
template <class... Args>
class Signal {
 public:
  Signal() = default;
  Signal(const Signal&) = delete;  // listeners are connected to this object, not to a value
  Signal& operator=(const Signal&) = delete;

  // Keep what this returns, or detach() it: see Subscription. The listener may be move-only.
  template <detail::ListenerFor<Args...> F>
  Subscription connect(F&& listener) {
    auto added = std::make_shared<Listener>(std::forward<F>(listener));
    Subscription subscription(list_, added);
    list_->add(std::move(added));
    return subscription;
  }

  void emit(const Args&... args) const noexcept {
    if (list_->empty()) return;
    const std::shared_ptr<detail::ListenerList> list = list_;  // a listener may destroy this signal
    const std::shared_ptr<const detail::ListenerList::Listeners> listeners = list->snapshot();
    for (const std::shared_ptr<detail::ListenerBase>& listener : *listeners) {
      if (!listener->connected.load()) continue;
      try {
        static_cast<Listener&>(*listener).call(args...);
      } catch (...) {
        list->errors.fetch_add(1);
      }
    }
  }

  [[nodiscard]] bool empty() const noexcept { return list_->empty(); }
  // How many times a listener threw.
  [[nodiscard]] std::uint64_t listenerErrors() const noexcept { return list_->errors.load(); }

 private:
  struct Listener final : detail::ListenerBase {
    template <class F>
    explicit Listener(F&& given) : call(std::forward<F>(given)) {}
    UniqueFunction<void(const Args&...)> call;
  };

  std::shared_ptr<detail::ListenerList> list_ = std::make_shared<detail::ListenerList>();
};

}  // namespace lukhas
