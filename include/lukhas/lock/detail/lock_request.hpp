// LockRequest and LockQueue: who waits for a key, in the order of arrival.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "lukhas/async/world.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/lock/fencing_token.hpp"

namespace lukhas::detail {

struct LockEntry;

enum class LockOutcome : std::uint8_t { waiting, granted, timed_out, closed };

// One request that has to wait. The table links it and decides about it; it does not own it.
struct LockRequest : ExpiryHook {
  LockRequest(std::string wanted, std::string wantedBy) noexcept
      : key(std::move(wanted)), holder(std::move(wantedBy)) {}

  std::string key;
  std::string holder;
  TimePoint since;  // the beginning of the wait
  LockOutcome outcome = LockOutcome::waiting;

  // Granted:
  FencingToken token;
  // Timed out: what was in the way.
  std::string blockedBy;
  Duration blockerHeld{};
  std::size_t otherWaiters = 0;

  // While it is linked:
  LockEntry* entry = nullptr;
  LockRequest* previous = nullptr;
  LockRequest* next = nullptr;
};

// An intrusive list, first come first served. Everything is O(1) and allocates nothing, so that the table can
// always say who is next. (Telling them takes a post; without memory for that the process ends, see
// Suspension.) A request is in one queue at a time.
class LockQueue {
 public:
  LockQueue() = default;
  LockQueue(LockQueue&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)),
        last_(std::exchange(other.last_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  LockQueue& operator=(LockQueue&&) = delete;

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
