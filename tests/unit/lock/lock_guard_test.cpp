#include "lukhas/lock/lock_guard.hpp"

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace lock_guard_test {

using lukhas::FencingToken;
using lukhas::LockGuard;
using lukhas::LockMode;
using lukhas::MultiLockGuard;
using lukhas::detail::LockHold;
using lukhas::detail::MultiGuardBuilder;

namespace {

// Remembers what was released, in order.
struct Recorder final : lukhas::detail::LockOwner {
  void release(LockHold& hold) noexcept override {
    if (!std::exchange(hold.held, false)) return;
    released.emplace_back(hold.key());
  }
  void releaseSeveral(std::span<const lukhas::detail::LockHoldPtr> holds) noexcept override {
    for (std::size_t i = holds.size(); i-- > 0;) release(*holds[i]);
  }
  bool downgrade(LockHold& hold) noexcept override {
    if (hold.held) hold.mode = LockMode::shared;
    return hold.held;
  }
  bool isHeld(const LockHold& hold) const noexcept override { return hold.held; }

  std::vector<std::string> released;
};

struct Fixture {
  std::shared_ptr<Recorder> owner = std::make_shared<Recorder>();
  LockHold* latest = nullptr;

  LockGuard grant(const std::string& key, std::uint64_t token) {
    lukhas::detail::LockHoldPtr hold = LockHold::make(key, 7, LockMode::exclusive, "", nullptr);
    hold->held = true;
    hold->token = FencingToken(token);
    latest = hold.get();
    return LockGuard(owner, std::move(hold));
  }
};

}  // namespace

TEST_CASE("guards are move only", "[lock]") {
  CHECK_FALSE(std::is_copy_constructible_v<LockGuard>);
  CHECK(std::is_nothrow_move_constructible_v<LockGuard>);
  CHECK_FALSE(std::is_copy_constructible_v<MultiLockGuard>);
  CHECK(std::is_nothrow_move_assignable_v<MultiLockGuard>);
}

TEST_CASE("a default guard holds nothing", "[lock]") {
  LockGuard guard;
  CHECK_FALSE(guard.valid());
  CHECK(guard.key().empty());
  guard.release();
  CHECK_FALSE(MultiLockGuard().valid());
}

TEST_CASE("a guard releases once at the end of its scope", "[lock]") {
  Fixture f;
  { const LockGuard guard = f.grant("a", 1); }
  CHECK(f.owner->released == std::vector<std::string>{"a"});
}

TEST_CASE("a guard that was released is not valid and still tells key and token", "[lock]") {
  Fixture f;
  LockGuard guard = f.grant("a", 5);
  CHECK(guard.valid());
  guard.release();
  guard.release();
  CHECK_FALSE(guard.valid());
  CHECK(guard.key() == "a");
  CHECK(guard.token() == FencingToken(5));
  CHECK(f.owner->released.size() == 1);
}

TEST_CASE("moving a guard moves the hold", "[lock]") {
  Fixture f;
  LockGuard first = f.grant("a", 1);
  LockGuard second = std::move(first);
  CHECK_FALSE(first.valid());
  first.release();
  CHECK(second.valid());
  CHECK(f.owner->released.empty());
}

TEST_CASE("assigning to a guard releases what it held", "[lock]") {
  Fixture f;
  LockGuard guard = f.grant("a", 1);
  guard = f.grant("b", 2);
  CHECK(f.owner->released == std::vector<std::string>{"a"});
  CHECK(guard.key() == "b");
  LockGuard& same = guard;
  guard = std::move(same);
  CHECK(guard.valid());
}

TEST_CASE("a guard keeps what it has to ask", "[lock]") {
  Fixture f;
  LockGuard guard = f.grant("a", 1);
  const std::weak_ptr<Recorder> owner = f.owner;
  f.owner.reset();
  CHECK(guard.valid());
  guard.release();
  CHECK(owner.expired());
}

TEST_CASE("a guard that is valid can be downgraded and a stale one cannot", "[lock]") {
  Fixture f;
  LockGuard guard = f.grant("a", 1);
  CHECK(guard.downgrade());
  CHECK(f.latest->mode == LockMode::shared);
  CHECK(guard.token() == FencingToken(1));
  guard.release();
  CHECK_FALSE(guard.downgrade());
  CHECK_FALSE(LockGuard().downgrade());
}

TEST_CASE("several locks are released together in reverse order", "[lock]") {
  Fixture f;
  MultiLockGuard several = MultiGuardBuilder::make(f.owner, 3);
  for (const char* key : {"a", "b", "c"}) {
    MultiGuardBuilder::add(several, f.grant(key, several.size() + 1));
  }
  CHECK(several.size() == 3);
  CHECK(several.key(1) == "b");
  CHECK(several.token(1) == FencingToken(2));
  CHECK(several.valid());
  several.release();
  CHECK(f.owner->released == std::vector<std::string>{"c", "b", "a"});
  CHECK(several.size() == 0);
  CHECK_FALSE(several.valid());
}

TEST_CASE("one stale lock makes several invalid", "[lock]") {
  Fixture f;
  MultiLockGuard several = MultiGuardBuilder::make(f.owner, 2);
  for (const char* key : {"a", "b"}) MultiGuardBuilder::add(several, f.grant(key, 1));
  f.latest->held = false;
  CHECK_FALSE(several.valid());
  CHECK(several.size() == 2);
  MultiLockGuard moved = std::move(several);
  moved = MultiLockGuard();
  CHECK(f.owner->released == std::vector<std::string>{"a"});
}

}  // namespace lock_guard_test
