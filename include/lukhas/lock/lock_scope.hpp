// LockScope: which locks belong to one logical task, so that a circle of tasks is found when it closes.
#pragma once

#include <memory>
#include <string>
#include <utility>

namespace lukhas {

namespace detail {

// Its address tells one task from another; the locks that the task holds or waits for keep it alive.
struct ScopeIdentity {
  std::string label;
};

}  // namespace detail

// Names the task on whose behalf locks are asked for. Give it to every acquisition of the task:
//
//   lukhas::LockScope scope{"move 17"};
//   auto from = co_await locks.acquire("account:a", {.scope = &scope});
//   auto to = co_await locks.acquire("account:b", {.scope = &scope});  // deadlock_detected instead of a wait
//
// A request of a scope that would close a circle of tasks, each waiting for a lock that the next one holds or
// is in line for, is refused at once with LockErrc::deadlock_detected, and the error lists the circle; the
// others then go on as soon as the refused task gives its locks back. Asking again for a key that the scope
// itself holds or waits for is the smallest such circle (two shared holds of one key are none).
//
// A scope stands for a task that does one thing after the other. It need not outlive its locks; copies stand
// for the same task. It may be used with several AsyncLock objects, each of which sees only its own circles.
// Any thread may use it.
class LockScope {
 public:
  // The label stands for the task in errors, and for each hold of it that has no label of its own.
  explicit LockScope(std::string label)
      : identity_(std::make_shared<const detail::ScopeIdentity>(detail::ScopeIdentity{std::move(label)})) {}
  LockScope(const LockScope&) = default;  // and no move: a scope always has an identity
  LockScope& operator=(const LockScope&) = default;

  [[nodiscard]] const std::string& label() const noexcept { return identity_->label; }
  [[nodiscard]] const std::shared_ptr<const detail::ScopeIdentity>& identity() const noexcept {
    return identity_;
  }

 private:
  std::shared_ptr<const detail::ScopeIdentity> identity_;
};

}  // namespace lukhas
