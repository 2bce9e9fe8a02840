// LockGuard and MultiLockGuard: what a coroutine has while it holds a lock.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/lock/detail/lock_hold.hpp"
#include "lukhas/lock/detail/lock_owner.hpp"
#include "lukhas/lock/fencing_token.hpp"

namespace lukhas {

namespace detail {
struct MultiGuardBuilder;
}

// One granted lock, held until the guard is destroyed or release()d. Move-only; written AsyncLock::Guard.
//
// A guard is stale once its lock was forced free, or the AsyncLock destroyed: valid() is false then, and its
// release is a no-op that disturbs no later holder. It may outlive the AsyncLock. Releasing only touches
// memory: the next waiter is posted to its own executor, not resumed inside. One thread at a time uses a
// guard, but it need not be the one that acquired it.
class [[nodiscard]] LockGuard {
 public:
  // Holds nothing: not valid, no key.
  LockGuard() = default;
  LockGuard(std::shared_ptr<detail::LockOwner> owner, detail::LockHoldPtr hold) noexcept
      : owner_(std::move(owner)), hold_(std::move(hold)) {}
  LockGuard(LockGuard&& other) noexcept = default;
  LockGuard& operator=(LockGuard&& other) noexcept {
    if (this != &other) {
      release();
      owner_ = std::move(other.owner_);
      hold_ = std::move(other.hold_);
    }
    return *this;
  }
  ~LockGuard() { release(); }

  // Whether the lock is still held by this guard.
  [[nodiscard]] bool valid() const noexcept { return owner_ && owner_->isHeld(*hold_); }

  // These can be read after the release, too. The key is a view into what the guard owns.
  [[nodiscard]] std::string_view key() const noexcept { return hold_ ? hold_->key() : std::string_view(); }
  [[nodiscard]] FencingToken token() const noexcept { return hold_ ? hold_->token : FencingToken(); }

  // Earlier than the destructor; repeating it does nothing.
  void release() noexcept {
    if (const std::shared_ptr<detail::LockOwner> owner = std::move(owner_)) owner->release(*hold_);
  }

  // Turns an exclusive hold into a shared one without letting go in between, with the same token: the shared
  // requests at the front of the queue are granted. A shared hold stays one. False when it is not valid().
  bool downgrade() noexcept { return owner_ && owner_->downgrade(*hold_); }

 private:
  friend struct detail::MultiGuardBuilder;

  std::shared_ptr<detail::LockOwner> owner_;  // null: released, or never held
  detail::LockHoldPtr hold_;                  // null only when it never held, or was moved from
};

// Several locks that were granted together, held until the guard is destroyed or release()d. Move-only;
// written AsyncLock::MultiGuard. Stale, late and in other threads it is as a LockGuard.
class [[nodiscard]] MultiLockGuard {
 public:
  // Holds nothing: not valid.
  MultiLockGuard() = default;
  MultiLockGuard(MultiLockGuard&& other) noexcept = default;
  MultiLockGuard& operator=(MultiLockGuard&& other) noexcept {
    if (this != &other) {
      release();
      owner_ = std::move(other.owner_);
      holds_ = std::move(other.holds_);
    }
    return *this;
  }
  ~MultiLockGuard() { release(); }

  // Whether every one of the locks is still held. One that was forced free makes it false; the others are
  // held nevertheless, until the release.
  [[nodiscard]] bool valid() const noexcept {
    return owner_ && std::all_of(holds_.begin(), holds_.end(),
                                 [this](const detail::LockHoldPtr& hold) { return owner_->isHeld(*hold); });
  }
  // Different keys that are held; 0 after the release.
  [[nodiscard]] std::size_t size() const noexcept { return holds_.size(); }
  // In the order of the keys. Precondition: index < size().
  [[nodiscard]] std::string_view key(std::size_t index) const noexcept { return holds_[index]->key(); }
  [[nodiscard]] FencingToken token(std::size_t index) const noexcept { return holds_[index]->token; }

  // All of them, the last key first.
  void release() noexcept {
    if (const std::shared_ptr<detail::LockOwner> owner = std::move(owner_)) owner->releaseSeveral(holds_);
    holds_.clear();
  }

 private:
  friend struct detail::MultiGuardBuilder;

  std::shared_ptr<detail::LockOwner> owner_;  // null: released, or never held
  std::vector<detail::LockHoldPtr> holds_;    // by key
};

namespace detail {

// Puts a MultiLockGuard together, out of holds that one owner granted.
struct MultiGuardBuilder {
  // For at most `capacity` of them. Throws std::bad_alloc.
  [[nodiscard]] static MultiLockGuard make(std::shared_ptr<LockOwner> owner, std::size_t capacity) {
    MultiLockGuard guard;
    guard.holds_.reserve(capacity);
    guard.owner_ = std::move(owner);
    return guard;
  }
  static void add(MultiLockGuard& to, LockHoldPtr hold) noexcept {
    assert(to.owner_ && to.holds_.size() < to.holds_.capacity());
    to.holds_.push_back(std::move(hold));
  }
  static void add(MultiLockGuard& to, LockGuard guard) noexcept {
    assert(guard.owner_ == to.owner_);
    guard.owner_.reset();
    add(to, std::move(guard.hold_));
  }
};

}  // namespace detail

}  // namespace lukhas
