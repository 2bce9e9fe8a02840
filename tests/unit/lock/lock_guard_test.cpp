#include "lukhas/lock/lock_guard.hpp"

#include <map>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/catch.hpp"

namespace lock_guard_test {

using lukhas::FencingToken;
using lukhas::LockGuard;
using lukhas::MultiLockGuard;

namespace {

// Remembers what was released, in order.
struct Recorder final : lukhas::detail::LockOwner {
  void release(const std::string& key, FencingToken token) noexcept override {
    if (!isHeldWith(key, token)) return;
    held.erase(key);
    released.push_back(key);
  }
  bool isHeldWith(const std::string& key, FencingToken token) const noexcept override {
    const auto found = held.find(key);
    return found != held.end() && found->second == token;
  }
  std::map<std::string, FencingToken> held;
  std::vector<std::string> released;
};

struct Fixture {
  std::shared_ptr<Recorder> owner = std::make_shared<Recorder>();

  LockGuard grant(const std::string& key, std::uint64_t token) {
    owner->held[key] = FencingToken(token);
    return LockGuard(owner, key, FencingToken(token));
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

TEST_CASE("a guard may outlive its owner", "[lock]") {
  Fixture f;
  LockGuard guard = f.grant("a", 1);
  f.owner.reset();
  CHECK_FALSE(guard.valid());
  guard.release();
}

TEST_CASE("several locks are released together in reverse order", "[lock]") {
  Fixture f;
  std::vector<LockGuard> guards;
  for (const char* key : {"a", "b", "c"}) guards.push_back(f.grant(key, guards.size() + 1));
  MultiLockGuard several(std::move(guards));
  CHECK(several.size() == 3);
  CHECK(several.valid());
  several.release();
  CHECK(f.owner->released == std::vector<std::string>{"c", "b", "a"});
  CHECK(several.size() == 0);
  CHECK_FALSE(several.valid());
}

TEST_CASE("one stale lock makes several invalid", "[lock]") {
  Fixture f;
  std::vector<LockGuard> guards;
  for (const char* key : {"a", "b"}) guards.push_back(f.grant(key, 1));
  MultiLockGuard several(std::move(guards));
  f.owner->held.erase("b");
  CHECK_FALSE(several.valid());
  CHECK(several.size() == 2);
  MultiLockGuard moved = std::move(several);
  moved = MultiLockGuard();
  CHECK(f.owner->released == std::vector<std::string>{"a"});
}

}  // namespace lock_guard_test
