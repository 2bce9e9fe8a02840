// TimerWheel: a hierarchical timer wheel, the peer of ExpiryHeap that keeps no order below its tick.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lukhas::bench {

struct WheelHook {
  WheelHook* next = nullptr;
  WheelHook* previous = nullptr;
  std::int64_t time = 0;
};

// Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 6: five wheels of 64 slots, the
// first of which has one for each tick of a millisecond. An element waits in a list of the wheel whose turn
// holds its time, and moves down when that wheel goes on. Times are in microseconds and not before now.
template <class Node>
class TimerWheel {
 public:
  TimerWheel() {
    for (auto& wheel : wheels_) {
      for (WheelHook& slot : wheel) slot.next = slot.previous = &slot;
    }
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  void push(Node& node, std::int64_t time) noexcept {
    node.time = time;
    insert(node);
  }
  void update(Node& node, std::int64_t time) noexcept {
    unlink(node);
    push(node, time);
  }
  void erase(Node& node) noexcept { unlink(node); }

  // Takes out what is due, in the order of ticks, until `max` are out or `now` is reached.
  template <class Take>
  std::size_t popExpired(std::int64_t now, std::size_t max, Take&& take) {
    std::size_t taken = 0;
    for (;; ++tick_) {
      WheelHook& due = wheels_[0][static_cast<std::size_t>(tick_) % slots];
      while (due.next != &due) {
        if (taken == max) return taken;
        Node& node = static_cast<Node&>(*due.next);
        unlink(node);
        take(node, node.time);
        ++taken;
      }
      if ((tick_ + 1) * tickTime > now) return taken;
      if ((tick_ + 1) % slots == 0) moveDown(tick_ + 1);
    }
  }

 private:
  static constexpr std::int64_t slots = 64;
  static constexpr std::int64_t tickTime = 1000;

  static void unlink(WheelHook& hook) noexcept {
    hook.previous->next = hook.next;
    hook.next->previous = hook.previous;
  }
  void insert(WheelHook& hook) noexcept {
    const std::int64_t tick = hook.time / tickTime;
    std::int64_t span = slots;
    std::size_t wheel = 0;
    std::int64_t unit = 1;
    for (; wheel + 1 < wheels_.size() && tick - tick_ >= span; ++wheel, span *= slots) unit *= slots;
    WheelHook& slot = wheels_[wheel][static_cast<std::size_t>(tick / unit % slots)];
    hook.next = &slot;
    hook.previous = slot.previous;
    slot.previous->next = &hook;
    slot.previous = &hook;
  }
  // The slots of higher wheels whose turn begins at this tick.
  void moveDown(std::int64_t tick) noexcept {
    const std::int64_t before = tick_;
    tick_ = tick;
    std::int64_t unit = slots;
    for (std::size_t wheel = 1; wheel < wheels_.size(); ++wheel, unit *= slots) {
      WheelHook& slot = wheels_[wheel][static_cast<std::size_t>(tick / unit % slots)];
      WheelHook* hook = slot.next;
      slot.next = slot.previous = &slot;
      while (hook != &slot) {
        WheelHook* const next = hook->next;
        insert(*hook);
        hook = next;
      }
      if (tick / unit % slots != 0) break;
    }
    tick_ = before;
  }

  std::array<std::array<WheelHook, slots>, 5> wheels_;
  std::int64_t tick_ = 0;
};

}  // namespace lukhas::bench
