// FrontTimer: one timer that follows the front of an expiry heap.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "lukhas/async/environment.hpp"

namespace lukhas {

// A component with many deadlines keeps them in one ExpiryHeap and tells this timer, under its own mutex,
// where the front is now. `tick` then runs on the executor, without any lock, when the front is due.
//
//   heap.push(entry);
//   timer.follow(heap.empty() ? std::nullopt : std::optional(heap.frontTime()));  // after each change
//
//   void tick() {                               // locks, takes what is due, …
//     timer.settle(env.now(), front());         // … and says what is next
//   }
//
// It is lazy where eagerness costs: a front that moved later leaves the alarm where it is (the early tick
// finds nothing due and re-arms), and an empty heap cancels the alarm in one posted tick, so that a run of
// short-lived deadlines inside one coroutine step costs one timer operation, not one each. An armed alarm
// keeps io_context::run() from returning; an empty heap therefore never leaves one behind.
//
// Nothing here throws: the owner's change is made already, and its caller must not be told that it failed.
// Without memory for the alarm a tick is posted instead, which tries again; without memory for that too, the
// next follow() does. The alarm may then be late, but it is not lost.
//
// Thread safety: follow() and settle() under the owner's mutex. `tick` is not called once the owner has
// expired.
class FrontTimer {
 public:
  // `tick` is called as tick(owner) with the owner locked from the weak pointer.
  template <class Owner>
  FrontTimer(Environment environment, std::weak_ptr<Owner> owner, void (*tick)(Owner&))
      : environment_(std::move(environment)), timer_(environment_.makeTimer()) {
    makeTick_ = [owner = std::move(owner), tick]() -> UniqueFunction<void()> {
      return [owner, tick] {
        if (const std::shared_ptr<Owner> alive = owner.lock()) tick(*alive);
      };
    };
  }

  void follow(std::optional<TimePoint> front) noexcept {
    if (!front) {
      if (armedFor_ && !postTick()) cancel();
      return;
    }
    if (rings(*front)) return;
    try {
      UniqueFunction<void()> ring = makeTick_();
      armedFor_.reset();  // an arm() that throws has cancelled the earlier alarm
      timer_->arm(*front, std::move(ring));
      armedFor_ = front;
    } catch (...) {
      (void)postTick();
    }
  }

  // Whether an alarm is set that comes in time for a front at `when`: then follow() would do nothing.
  [[nodiscard]] bool rings(TimePoint when) const noexcept { return armedFor_ && *armedFor_ <= when; }

  // From inside tick: like follow, but knows that an alarm at or before `now` has rung, and disarms at once.
  void settle(TimePoint now, std::optional<TimePoint> front) noexcept {
    tickPosted_ = false;
    if (armedFor_ && *armedFor_ <= now) armedFor_.reset();
    if (!front && armedFor_) {
      timer_->cancel();
      armedFor_.reset();
    }
    if (front) follow(front);
  }

  // Before the owner closes: no alarm stays armed.
  void cancel() noexcept {
    timer_->cancel();
    armedFor_.reset();
  }

 private:
  // False without memory.
  bool postTick() noexcept {
    if (tickPosted_) return true;
    try {
      environment_.post(makeTick_());
      tickPosted_ = true;
    } catch (...) {
    }
    return tickPosted_;
  }

  Environment environment_;
  std::unique_ptr<WorldTimer> timer_;
  UniqueFunction<UniqueFunction<void()>()> makeTick_;
  std::optional<TimePoint> armedFor_;  // the alarm that is set, if any; at or before the front
  bool tickPosted_ = false;            // a posted tick is on its way to look where the front is
};

}  // namespace lukhas
