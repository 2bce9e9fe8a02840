// WaitList: coroutines that wait for something to change, served in the order in which they came.
#pragma once

#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "lukhas/async/environment.hpp"

namespace lukhas {

enum class WaitResult { resumed, timed_out };

// A condition variable for coroutines.
//
//   co_await changed.wait([&] { return queue.hasRoom(); });     // returns at once when it holds already
//   queue.pop(); changed.resumeAll();                           // whoever changes the condition says so
//
// `ready` is evaluated under the list's own mutex when the waiter is linked, so a change between test and
// wait is not missed, provided that whoever changes the condition calls resumeAll() *after* the change and
// without holding a mutex that `ready` takes. A resumed waiter looks at its condition again, as with any
// condition variable.
//
// Order: first come, first served. Time-out: WaitResult::timed_out, exactly at the deadline. Cancellation:
// throws operation_aborted. close(): all present and later waiters get its error. In each case nothing is
// left behind. Any thread may call.
class WaitList {
 public:
  explicit WaitList(Environment environment)
      : environment_(std::move(environment)), state_(std::make_shared<State>()) {}
  WaitList(const WaitList&) = delete;
  WaitList& operator=(const WaitList&) = delete;
  ~WaitList() {
    close(std::make_exception_ptr(Error(Errc::closed, "the object that was waited for was destroyed")));
  }

  template <class Ready>
  [[nodiscard]] asio::awaitable<WaitResult> wait(Ready ready) {
    return waitOn(environment_, state_, std::nullopt, std::move(ready));
  }
  template <class Ready>
  [[nodiscard]] asio::awaitable<WaitResult> waitUntil(TimePoint deadline, Ready ready) {
    return waitOn(environment_, state_, deadline, std::move(ready));
  }

  void resumeAll() {
    std::list<std::shared_ptr<Waiter>> all = state_->takeAll();
    for (const std::shared_ptr<Waiter>& waiter : all) waiter->resume();
  }
  // Fails all waiters, and all that come later, with `error`.
  void close(std::exception_ptr error) {
    std::list<std::shared_ptr<Waiter>> all = state_->takeAllAndClose(error);
    for (const std::shared_ptr<Waiter>& waiter : all) waiter->fail(error);
  }

  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(state_->mutex);
    return state_->waiters.size();
  }

 private:
  struct Waiter;
  using Waiters = std::list<std::shared_ptr<Waiter>>;

  struct State {
    std::mutex mutex;
    Waiters waiters;
    std::exception_ptr closedWith;

    Waiters takeAll() {
      const std::lock_guard lock(mutex);
      for (const std::shared_ptr<Waiter>& waiter : waiters) waiter->release();
      return std::exchange(waiters, {});
    }
    Waiters takeAllAndClose(const std::exception_ptr& error) {
      const std::lock_guard lock(mutex);
      if (!closedWith) closedWith = error;
      for (const std::shared_ptr<Waiter>& waiter : waiters) waiter->release();
      return std::exchange(waiters, {});
    }
  };

  struct Waiter : Suspension {
    std::unique_ptr<WorldTimer> timer;  // only with a deadline
    Waiters::iterator place;
    bool linked = false;
    WaitResult result = WaitResult::resumed;

    // With the mutex held: the outcome is decided.
    void release() noexcept {
      linked = false;
      if (timer) timer->cancel();
    }
    // Takes the waiter off its list; false when somebody else did.
    bool unlink(State& state) {
      const std::lock_guard lock(state.mutex);
      if (!linked) return false;
      state.waiters.erase(place);
      release();
      return true;
    }
  };

  template <class Ready>
  static asio::awaitable<WaitResult> waitOn(Environment environment, std::shared_ptr<State> state,
                                            std::optional<TimePoint> deadline, Ready ready) {
    const auto waiter = std::make_shared<Waiter>();
    if (deadline) waiter->timer = environment.makeTimer();
    State* const list = state.get();
    Waiter* const self = waiter.get();
    std::exception_ptr refused;

    auto arm = [list, self, deadline, &ready, &state, &refused] {
      const auto owner = std::static_pointer_cast<Waiter>(self->shared_from_this());
      bool resumeNow = false;
      {
        const std::lock_guard lock(list->mutex);
        if (list->closedWith || ready()) {
          refused = list->closedWith;
          resumeNow = true;
        } else {
          list->waiters.push_back(owner);
          self->place = std::prev(list->waiters.end());
          self->linked = true;
          if (deadline) {
            self->timer->arm(*deadline, [owner, weak = std::weak_ptr(state)] {
              const std::shared_ptr<State> alive = weak.lock();
              if (!alive || !owner->unlink(*alive)) return;
              owner->result = WaitResult::timed_out;
              owner->resume();
            });
          }
        }
      }
      if (resumeNow) self->resume();
    };
    auto onCancel = [list, self] { return self->unlink(*list); };
    co_await waiter->wait(arm, onCancel);
    if (refused) std::rethrow_exception(refused);
    co_return waiter->result;
  }

  Environment environment_;
  std::shared_ptr<State> state_;
};

}  // namespace lukhas
