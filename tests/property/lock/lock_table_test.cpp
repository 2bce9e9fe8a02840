// The lock's table without memory, at every allocation that it asks for.
#include "lukhas/lock/detail/lock_table.hpp"

#include <deque>
#include <new>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/failing_memory.hpp"

namespace lock_table_test {

using namespace std::chrono_literals;
using lukhas::LockMode;
using lukhas::LockScope;
using lukhas::TimePoint;
using lukhas::detail::LockHold;
using lukhas::detail::LockHoldPtr;
using lukhas::detail::LockQueue;
using lukhas::detail::LockRequest;
using lukhas::detail::LockTable;
using lukhas::detail::WaitStep;
using lukhas::test::FailingMemory;

namespace {

// Two tasks that take a key each and then want the other's. In each step the nth allocation of the table
// fails; then the same step is made again, with memory.
class TwoTasks {
 public:
  explicit TwoTasks(int failing) : failing_(failing) {}
  ~TwoTasks() {
    LockQueue ended;
    table_.close(ended);
    while (!ended.empty()) ended.popFront();
  }

  void take(const std::string& key, const LockScope& scope) {
    const LockHoldPtr& hold = holds_.emplace_back(make(key, scope));
    LockHold* blocker = hold.get();
    withoutMemory([&] { blocker = table_.take(*hold, {}); });
    CHECK(blocker == nullptr);
  }
  // The length of the circle that it would close.
  std::size_t wait(const std::string& key, const LockScope& scope, lukhas::Duration timeout) {
    LockRequest& request = requests_.emplace_back(make(key, scope));
    LockHold* const blocker = table_.take(*request.hold, {});
    REQUIRE(blocker != nullptr);
    const std::size_t waiting = table_.waiting();
    std::vector<WaitStep> circle;
    withoutMemory([&] { circle = table_.enqueue(request, *blocker, {}, TimePoint() + timeout); });
    CHECK(table_.waiting() == waiting + (circle.empty() ? 1 : 0));
    return circle.size();
  }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  LockHoldPtr make(const std::string& key, const LockScope& scope) {
    return LockHold::make(key, table_.hashOf(key), LockMode::exclusive, "", &scope);
  }
  template <class Step>
  void withoutMemory(Step step) {
    const std::size_t waiting = table_.waiting();
    const std::uint64_t held = table_.metrics().activeLocks;
    try {
      const FailingMemory failing(failing_);
      return step();
    } catch (const std::bad_alloc&) {
      failed_ = true;
    }
    CHECK(table_.checkInvariants());
    CHECK(table_.waiting() == waiting);
    CHECK(table_.metrics().activeLocks == held);
    step();
    CHECK(table_.checkInvariants());
  }

  int failing_;
  bool failed_ = false;
  LockTable table_{10s, 7};
  std::deque<LockHoldPtr> holds_;
  std::deque<LockRequest> requests_;
};

}  // namespace

TEST_CASE("a step of the lock's table that fails for want of memory changes nothing", "[lock]") {
  const LockScope one{"a task with a name that does not fit into the string object"};
  const LockScope two{"another task with a name that does not fit into it"};
  int steps = 0;
  for (bool failed = true; failed; ++steps) {
    INFO("allocation " << steps << " fails");
    TwoTasks tasks(steps);
    tasks.take("a", one);
    tasks.take("b", two);
    CHECK(tasks.wait("b", one, 2s) == 0);
    CHECK(tasks.wait("a", two, 1s) == 2);
    failed = tasks.failed();
  }
  CHECK(steps > 3);  // or there was nothing to fail
}

}  // namespace lock_table_test
