// DeadlineQueue: all requests that wait, the first to time out first.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "lukhas/async/world.hpp"
#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/lock/detail/lock_request.hpp"

namespace lukhas::detail {

// Most calls of a program have the same time-out, so that their deadlines come in the order of the calls:
// those make up a list, which takes them in and out in O(1) and touches nobody else's memory. A request whose
// deadline is before that of the last in the list goes into a heap: O(log n), as all others do while one with
// a much longer time-out waits at the end. Requests with the same deadline come out in the order in which
// they came in.
class DeadlineQueue {
 public:
  [[nodiscard]] bool empty() const noexcept { return !first_ && heap_.empty(); }
  [[nodiscard]] std::size_t size() const noexcept { return listed_ + heap_.size(); }

  // Precondition: not empty.
  [[nodiscard]] LockRequest& front() const noexcept {
    if (!first_) return heap_.front();
    if (heap_.empty() || before(*first_, heap_.front())) return *first_;
    return heap_.front();
  }

  // So that the next push() needs no memory. Throws std::bad_alloc.
  void makeRoom() { heap_.makeRoom(); }
  void push(LockRequest& request, TimePoint deadline) {
    request.deadline = deadline;
    request.arrival = ++arrivals_;
    if (last_ && deadline < last_->deadline) return heap_.push(request, deadline);
    request.earlierDeadline = last_;
    (last_ ? last_->laterDeadline : first_) = &request;
    last_ = &request;
    ++listed_;
  }
  // Precondition: it is in the queue.
  void erase(LockRequest& request) noexcept {
    if (request.inHeap()) return heap_.erase(request);
    (request.earlierDeadline ? request.earlierDeadline->laterDeadline : first_) = request.laterDeadline;
    (request.laterDeadline ? request.laterDeadline->earlierDeadline : last_) = request.earlierDeadline;
    request.earlierDeadline = request.laterDeadline = nullptr;
    --listed_;
  }

  // For tests: O(n).
  [[nodiscard]] bool contains(const LockRequest& request) const noexcept {
    if (request.inHeap()) return heap_.contains(request);
    const LockRequest* listed = first_;
    while (listed && listed != &request) listed = listed->laterDeadline;
    return listed != nullptr;
  }
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t count = 0;
    for (const LockRequest* request = first_; request; request = request->laterDeadline, ++count) {
      const LockRequest* const next = request->laterDeadline;
      if (request->inHeap() || (next ? next->earlierDeadline != request : last_ != request)) return false;
      if (next && !before(*request, *next)) return false;
    }
    return count == listed_ && heap_.checkInvariants();
  }

 private:
  static bool before(const LockRequest& a, const LockRequest& b) noexcept {
    return a.deadline < b.deadline || (a.deadline == b.deadline && a.arrival < b.arrival);
  }

  LockRequest* first_ = nullptr;
  LockRequest* last_ = nullptr;
  std::size_t listed_ = 0;
  ExpiryHeap<LockRequest, TimePoint> heap_;
  std::uint64_t arrivals_ = 0;
};

}  // namespace lukhas::detail
