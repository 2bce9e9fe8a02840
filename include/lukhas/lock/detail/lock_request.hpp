// LockRequest and LockQueue: who waits for a key, in the order of arrival.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "lukhas/async/world.hpp"
#include "lukhas/core/expiry_heap.hpp"

namespace lukhas::detail {

struct LockHold;
struct FreeLockHold {
  void operator()(LockHold* hold) const noexcept;
};
using LockHoldPtr = std::unique_ptr<LockHold, FreeLockHold>;

enum class LockOutcome : std::uint8_t { idle, waiting, granted, timed_out, cancelled, closed };

// What a request that timed out waited for.
struct LockBlocker {
  std::string holder;
  Duration held{};
  std::size_t otherWaiters = 0;
};

// One request that has to wait. The table links it and decides about it; it does not own it.
struct LockRequest : ExpiryHook {
  explicit LockRequest(LockHoldPtr wanted) noexcept : hold(std::move(wanted)) {}

  LockHoldPtr hold;  // what it will be granted: key, mode, who asks
  TimePoint since;   // the beginning of the wait
  TimePoint deadline;
  LockOutcome outcome = LockOutcome::idle;  // waiting: exactly while the table links it

  std::unique_ptr<LockBlocker> blocker;  // timed out: what was in the way; null without memory for it

  // While it waits: its neighbours in the queue of its key, …
  LockRequest* previous = nullptr;
  LockRequest* next = nullptr;
  // … those with the deadlines before and after its own: see DeadlineQueue, …
  LockRequest* earlierDeadline = nullptr;
  LockRequest* laterDeadline = nullptr;
  std::uint64_t arrival = 0;
  // … those of the same scope that wait, …
  LockRequest* previousOfScope = nullptr;
  LockRequest* nextOfScope = nullptr;
  // … and the marks of a search for a circle: see WaitGraph.
  std::uint64_t searched = 0;
  LockRequest* reachedFrom = nullptr;
  LockRequest* nextToSearch = nullptr;
};

// An intrusive list, first come first served. Everything is O(1) and allocates nothing, so that the table can
// always say who is next. (Telling them takes a post; without memory for that the process ends, see
// Suspension.) A request is in one queue at a time.
class LockQueue {
 public:
  LockQueue() = default;
  LockQueue(LockQueue&& other) noexcept { *this = std::move(other); }
  // Precondition: empty.
  LockQueue& operator=(LockQueue&& other) noexcept {
    assert(empty());
    first_ = std::exchange(other.first_, nullptr);
    last_ = std::exchange(other.last_, nullptr);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] LockRequest* first() const noexcept { return first_; }

  void pushBack(LockRequest& request) noexcept {
    assert(!request.previous && !request.next && first_ != &request);
    request.previous = last_;
    (last_ ? last_->next : first_) = &request;
    last_ = &request;
    ++size_;
  }
  void erase(LockRequest& request) noexcept {
    (request.previous ? request.previous->next : first_) = request.next;
    (request.next ? request.next->previous : last_) = request.previous;
    request.previous = request.next = nullptr;
    --size_;
  }
  // Precondition: not empty.
  LockRequest& popFront() noexcept {
    LockRequest& request = *first_;
    erase(request);
    return request;
  }

 private:
  LockRequest* first_ = nullptr;
  LockRequest* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace lukhas::detail
