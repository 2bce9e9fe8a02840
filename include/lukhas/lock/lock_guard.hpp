// LockGuard and MultiLockGuard: what a coroutine has while it holds a lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lukhas/lock/detail/lock_owner.hpp"
#include "lukhas/lock/fencing_token.hpp"

namespace lukhas {

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
  LockGuard(std::weak_ptr<detail::LockOwner> owner, std::string key, FencingToken token) noexcept
      : owner_(std::move(owner)), key_(std::move(key)), token_(token) {}
  LockGuard(LockGuard&& other) noexcept
      : owner_(std::exchange(other.owner_, {})),
        key_(std::exchange(other.key_, {})),
        token_(std::exchange(other.token_, {})) {}
  LockGuard& operator=(LockGuard&& other) noexcept {
    if (this != &other) {
      release();
      owner_ = std::exchange(other.owner_, {});
      key_ = std::exchange(other.key_, {});
      token_ = std::exchange(other.token_, {});
    }
    return *this;
  }
  ~LockGuard() { release(); }

  // Whether the lock is still held by this guard.
  [[nodiscard]] bool valid() const noexcept {
    const std::shared_ptr<detail::LockOwner> owner = owner_.lock();
    return owner && owner->isHeldWith(key_, token_);
  }
  // Both can be read after the release, too.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  [[nodiscard]] FencingToken token() const noexcept { return token_; }

  // Earlier than the destructor; repeating it does nothing.
  void release() noexcept {
    if (const auto owner = std::exchange(owner_, {}).lock()) owner->release(key_, token_);
  }

 private:
  std::weak_ptr<detail::LockOwner> owner_;  // empty: released, or never held
  std::string key_;
  FencingToken token_;
};

// Several locks that were granted together, held until the guard is destroyed or release()d. Move-only;
// written AsyncLock::MultiGuard.
class [[nodiscard]] MultiLockGuard {
 public:
  // Holds nothing: not valid.
  MultiLockGuard() = default;
  explicit MultiLockGuard(std::vector<LockGuard> guards) noexcept : guards_(std::move(guards)), held_(true) {}
  MultiLockGuard(MultiLockGuard&& other) noexcept
      : guards_(std::exchange(other.guards_, {})), held_(std::exchange(other.held_, false)) {}
  MultiLockGuard& operator=(MultiLockGuard&& other) noexcept {
    if (this != &other) {
      release();
      guards_ = std::exchange(other.guards_, {});
      held_ = std::exchange(other.held_, false);
    }
    return *this;
  }
  ~MultiLockGuard() { release(); }

  // Whether every one of the locks is still held. One that was forced free makes it false; the others are
  // held nevertheless, until the release.
  [[nodiscard]] bool valid() const noexcept {
    return held_ && std::all_of(guards_.begin(), guards_.end(), [](const LockGuard& g) { return g.valid(); });
  }
  // Different keys that are held; 0 after the release.
  [[nodiscard]] std::size_t size() const noexcept { return guards_.size(); }
  // In the order of the keys.
  [[nodiscard]] const std::vector<LockGuard>& guards() const noexcept { return guards_; }

  // All of them, the last key first.
  void release() noexcept {
    held_ = false;
    while (!guards_.empty()) guards_.pop_back();
  }

 private:
  std::vector<LockGuard> guards_;
  bool held_ = false;  // tells none of no keys from released
};

}  // namespace lukhas
