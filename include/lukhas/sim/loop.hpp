// Loop: the executor of the simulated world. One life of a simulated process: a crash ends it, a restart
// begins another.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/execution.hpp>
#include <asio/execution_context.hpp>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/async/world.hpp"

namespace lukhas::detail {

// Ready items and timers, run one by one in virtual time. Which ready item runs next is drawn from the seed,
// so each seed is another legal order of the same program; the fingerprint is a hash of all choices.
//
// After kill() nothing runs any more: what is posted is destroyed. Destroying a suspended coroutine posts the
// destruction of its frames, so each container's content is moved out before it is destroyed, until both stay
// empty.
class Loop : public std::enable_shared_from_this<Loop> {
 public:
  using Item = UniqueFunction<void()>;
  using TimerKey = std::pair<TimePoint, std::uint64_t>;

  class Executor;

  Loop(std::uint64_t seed, TimePoint start) : choices_(seed), now_(start) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] Executor executor();
  [[nodiscard]] TimePoint now() const noexcept { return now_; }
  [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
  [[nodiscard]] bool idle() const noexcept { return ready_.empty() && timers_.empty(); }

  void push(Item item) {
    ready_.push_back(std::move(item));
    if (dead_) bury();
  }

  TimerKey addTimer(TimePoint when, Item item) {
    const TimerKey key{when, ++timerCount_};
    timers_.emplace(key, std::move(item));
    if (dead_) bury();
    return key;
  }
  void removeTimer(const TimerKey& key) noexcept {
    if (const auto found = timers_.find(key); found != timers_.end()) {
      const Item dropped = std::move(found->second);
      timers_.erase(found);
    }
  }

  // Runs one ready item; when there is none, lets the clock jump to the next timer, but not beyond `limit`.
  // False when nothing is left to do up to `limit`.
  bool step(TimePoint limit) {
    if (dead_) return false;
    if (ready_.empty() && !ringTimers(limit)) return false;
    const std::size_t choice = choices_.below(ready_.size());
    note(choice);
    Item item = std::move(ready_[choice]);
    ready_[choice] = std::move(ready_.back());
    ready_.pop_back();
    item();
    return true;
  }

  void advanceTo(TimePoint when) noexcept {
    if (when > now_) now_ = when;
  }

  void kill() {
    if (dead_) return;
    dead_ = true;
    bury();
    context_.shutdownServices();  // strands hold queued handlers of their own
    bury();
  }

 private:
  // Strands register their service here. Nothing is ever run by it.
  struct Context : asio::execution_context {
    ~Context() {
      shutdown();
      destroy();
    }
    void shutdownServices() { shutdown(); }
  };

  bool ringTimers(TimePoint limit) {
    if (timers_.empty() || timers_.begin()->first.first > limit) return false;
    const TimePoint due = timers_.begin()->first.first;
    advanceTo(due);
    while (!timers_.empty() && timers_.begin()->first.first <= due) {
      ready_.push_back(std::move(timers_.begin()->second));
      timers_.erase(timers_.begin());
    }
    return true;
  }

  void note(std::uint64_t choice) noexcept {
    const auto time = static_cast<std::uint64_t>(now_.time_since_epoch().count());
    fingerprint_ = splitMix64(fingerprint_ ^ splitMix64(choice + ready_.size() * 0x10001U) ^ time);
  }

  void bury() {
    if (burying_) return;
    burying_ = true;
    const std::shared_ptr<Loop> self =
        shared_from_this();  // the last executor may be inside what is destroyed
    while (!ready_.empty() || !timers_.empty()) {
      const std::vector<Item> items = std::exchange(ready_, {});
      const std::map<TimerKey, Item> timers = std::exchange(timers_, {});
    }
    burying_ = false;
  }

  Context context_;
  SplitMix choices_;
  TimePoint now_;
  std::vector<Item> ready_;
  std::map<TimerKey, Item> timers_;
  std::uint64_t timerCount_ = 0;
  std::uint64_t fingerprint_ = 0;
  bool dead_ = false;
  bool burying_ = false;
};

// A standard executor, so that plain asio::awaitable coroutines run on the loop unchanged.
class Loop::Executor {
 public:
  explicit Executor(std::shared_ptr<Loop> loop) noexcept : loop_(std::move(loop)) {}

  asio::execution_context& query(asio::execution::context_t) const noexcept { return loop_->context_; }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  [[nodiscard]] Executor require(asio::execution::blocking_t::never_t) const noexcept { return *this; }

  template <class Function>
  void execute(Function&& function) const {
    const std::shared_ptr<Loop> loop = loop_;  // this executor may live in what a dead loop destroys
    loop->push(Item(std::forward<Function>(function)));
  }

  friend bool operator==(const Executor& a, const Executor& b) noexcept { return a.loop_ == b.loop_; }
  friend bool operator!=(const Executor& a, const Executor& b) noexcept { return a.loop_ != b.loop_; }

 private:
  std::shared_ptr<Loop> loop_;
};

inline Loop::Executor Loop::executor() { return Executor(shared_from_this()); }

}  // namespace lukhas::detail
