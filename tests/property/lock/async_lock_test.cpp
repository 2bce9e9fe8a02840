#include "lukhas/lock/async_lock.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include "lukhas/async/split_mix.hpp"
#include "lukhas/async/wait_list.hpp"
#include "lukhas/sim/simulation.hpp"
#include "property/lock/lock_model.hpp"
#include "support/deep.hpp"
#include "support/rapidcheck.hpp"

namespace async_lock_property {

using lock_model::Fate;
using lock_model::Model;
using lukhas::AsyncLock;
using lukhas::LockMode;
using std::chrono::milliseconds;

namespace {

using Task = asio::awaitable<void>;

constexpr int keyCount = 3;
constexpr int heldWarningMs = 30;
constexpr std::size_t maxWaiters = 6;

std::string keyName(int number) { return std::string(1, static_cast<char>('a' + number)); }

struct Step {
  enum Kind : int {
    acquire,
    acquire_shared,
    acquire_several,
    acquire_and_throw,  // a function that waits for its release() and then throws
    try_acquire,
    try_acquire_shared,
    release,
    downgrade,
    cancel,
    pass_time,
    force_release,
  } kind = acquire;
  int key = 0;
  int which = 0;  // of the requests so far, counted from the latest; or which of the other keys come along
  int ms = 0;
};

void showValue(const Step& step, std::ostream& out) {
  constexpr std::array<const char*, 11> names{
      "acquire", "acquireShared", "acquireMultiple", "acquireAndThrow", "tryAcquire",  "tryAcquireShared",
      "release", "downgrade",     "cancel",          "passTime",        "forceRelease"};
  out << names[static_cast<std::size_t>(step.kind)] << "(key " << step.key << ", which " << step.which << ", "
      << step.ms << " ms)";
}

const std::vector<std::pair<std::size_t, Step::Kind>>& kinds() {
  static const std::vector<std::pair<std::size_t, Step::Kind>> weighted{
      {6, Step::acquire},           {6, Step::acquire_shared}, {3, Step::acquire_several},
      {2, Step::acquire_and_throw}, {2, Step::try_acquire},    {2, Step::try_acquire_shared},
      {9, Step::release},           {2, Step::downgrade},      {4, Step::cancel},
      {4, Step::pass_time},         {2, Step::force_release}};
  return weighted;
}

rc::Gen<Step> anyStep() {
  const auto upTo = [](int bound) { return rc::gen::resize(100, rc::gen::inRange(0, bound)); };
  const auto kind = rc::gen::map(upTo(42), [](int at) {
    for (const auto& [weight, kindOf] : kinds()) {
      if (at < static_cast<int>(weight)) return kindOf;
      at -= static_cast<int>(weight);
    }
    return Step::acquire;
  });
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, kind), rc::gen::set(&Step::key, upTo(keyCount)),
                              rc::gen::set(&Step::which, upTo(12)), rc::gen::set(&Step::ms, upTo(25)));
}

// What is: one coroutine for each request.
struct Attempt {
  explicit Attempt(const lukhas::Environment& environment) : released(environment) {}

  std::optional<AsyncLock::Guard> guard;
  std::optional<AsyncLock::MultiGuard> several;
  std::optional<lukhas::Error> error;
  bool inside = false;  // a function that runs under the lock
  bool gone = false;    // given back by the test
  bool threw = false;
  lukhas::WaitList released;
  asio::cancellation_signal signal;

  Task take(asio::awaitable<AsyncLock::Guard> call) {
    try {
      guard = co_await std::move(call);
    } catch (const lukhas::Error& thrown) {
      error = thrown;
    }
  }
  Task takeSeveral(asio::awaitable<AsyncLock::MultiGuard> call) {
    try {
      several = co_await std::move(call);
    } catch (const lukhas::Error& thrown) {
      error = thrown;
    }
  }
  Task takeAndThrow(AsyncLock& locks, std::string key, lukhas::AcquireOptions options) {
    const auto body = [this]() -> Task {
      inside = true;
      (void)co_await released.wait([this] { return gone; });
      throw std::runtime_error("thrown under the lock");
    };
    try {
      co_await locks.acquire(key, options, body);
    } catch (const lukhas::Error& thrown) {
      error = thrown;
    } catch (const std::runtime_error&) {
      threw = true;
    }
    inside = false;
  }

  void giveBack() {
    gone = true;
    if (guard) guard->release();
    if (several) several->release();
    released.resumeAll();
  }
  [[nodiscard]] Fate fate() const {
    if (error) {
      if (error->code() == lukhas::LockErrc::timeout) return Fate::timed_out;
      if (error->code() == lukhas::LockErrc::overloaded) return Fate::overloaded;
      if (error->code() == lukhas::LockErrc::lock_closed) return Fate::closed;
      return Fate::cancelled;
    }
    if (threw || (gone && !inside)) return Fate::released;
    if (inside) return Fate::holding;  // or stale: a function is not told
    if (guard) return guard->valid() ? Fate::holding : Fate::stale;
    if (several) return several->valid() ? Fate::holding : Fate::stale;
    return Fate::waiting;
  }
};

// Both, call for call.
class Bench {
 public:
  void apply(const Step& step) {
    switch (step.kind) {
      case Step::acquire: acquire({step.key}, LockMode::exclusive, step); break;
      case Step::acquire_shared: acquire({step.key}, LockMode::shared, step); break;
      case Step::acquire_several: acquireSeveral(step); break;
      case Step::acquire_and_throw: acquireAndThrow(step); break;
      case Step::try_acquire: tryAcquire(step.key, LockMode::exclusive); break;
      case Step::try_acquire_shared: tryAcquire(step.key, LockMode::shared); break;
      case Step::release: release(step); break;
      case Step::downgrade: downgrade(step); break;
      case Step::cancel: cancel(step); break;
      case Step::pass_time: model_.passTime(step.ms); break;
      case Step::force_release:
        RC_ASSERT(locks_->forceRelease(keyName(step.key)) == model_.forceRelease(step.key));
        break;
    }
    world_.runFor(step.kind == Step::pass_time ? milliseconds(step.ms) : milliseconds(0));
    check();
  }

  // Every wait comes to its end, and so does the lock: by itself, or with waiters and holders.
  void end(bool abruptly) {
    if (!abruptly) {
      world_.run();
      RC_ASSERT(locks_->getMetrics().waiting == 0U);
      RC_ASSERT(locks_->checkInvariants());
    }
    const std::size_t waited = model_.waiting();
    model_.close();
    locks_.reset();
    world_.runFor(milliseconds(0));
    if (abruptly) {
      RC_ASSERT(waited <= maxWaiters);
      checkFates();
    }
    for (const auto& attempt : attempts_) attempt->giveBack();  // harmless now
    world_.run();
  }

 private:
  void acquire(std::vector<int> keys, LockMode mode, const Step& step) {
    Attempt& attempt = add();
    const lukhas::AcquireOptions options{.timeout = milliseconds(step.ms)};
    spawn(attempt, attempt.take(mode == LockMode::shared ? locks_->acquireShared(keyName(step.key), options)
                                                         : locks_->acquire(keyName(step.key), options)));
    model_.acquire(std::move(keys), mode, step.ms);
  }
  void acquireSeveral(const Step& step) {
    if (model_.severalUnderWay()) return;
    std::vector<int> keys;
    std::vector<std::string> names;
    for (int key = 0; key < keyCount; ++key) {
      if (key == step.key || (step.which >> key & 1)) keys.push_back(key);
    }
    for (const int key : keys) names.insert(names.begin(), {keyName(key), keyName(key)});  // any order, twice
    Attempt& attempt = add();
    spawn(attempt, attempt.takeSeveral(locks_->acquireMultiple(names, {.timeout = milliseconds(step.ms)})));
    model_.acquire(std::move(keys), LockMode::exclusive, step.ms);
  }
  void acquireAndThrow(const Step& step) {
    Attempt& attempt = add();
    spawn(attempt, attempt.takeAndThrow(*locks_, keyName(step.key), {.timeout = milliseconds(step.ms)}));
    model_.acquire({step.key}, LockMode::exclusive, step.ms);
  }
  void tryAcquire(int key, LockMode mode) {
    std::optional<AsyncLock::Guard> guard =
        mode == LockMode::shared ? locks_->tryAcquireShared(keyName(key)) : locks_->tryAcquire(keyName(key));
    RC_ASSERT(guard.has_value() == model_.tryAcquire(key, mode));
    if (guard) add().guard = std::move(guard);
  }
  // Of any request, also a stale or an earlier released one.
  void release(const Step& step) {
    const std::optional<std::size_t> index = indexOf(step);
    if (!index || attempts_[*index]->gone || attempts_[*index]->fate() == Fate::waiting) return;
    attempts_[*index]->giveBack();
    model_.release(*index);
  }
  void downgrade(const Step& step) {
    const std::optional<std::size_t> index = indexOf(step);
    if (!index || !attempts_[*index]->guard) return;
    RC_ASSERT(attempts_[*index]->guard->downgrade() == (model_.requests[*index].fate == Fate::holding));
    model_.downgrade(*index);
  }
  void cancel(const Step& step) {
    const std::optional<std::size_t> index = indexOf(step);
    if (!index) return;
    const bool inside = attempts_[*index]->inside;
    attempts_[*index]->signal.emit(asio::cancellation_type::terminal);
    inside ? model_.release(*index, Fate::cancelled) : model_.cancel(*index);
  }

  void check() {
    RC_ASSERT(locks_->checkInvariants());
    checkFates();
    for (int key = 0; key < keyCount; ++key) {
      RC_ASSERT(locks_->waiters(keyName(key)) == model_.waiters(key));
      checkHolders(locks_->holders(keyName(key)), model_.holders(key));
    }
    const lukhas::LockMetrics metrics = locks_->getMetrics();
    RC_ASSERT(metrics.activeLocks == model_.heldKeys());
    RC_ASSERT(metrics.waiting == model_.waiting());
    RC_ASSERT(metrics.totalAcquired == model_.grants);
    RC_ASSERT(metrics.totalTimeouts == model_.timeouts);
    RC_ASSERT(metrics.deadlocksDetected == model_.warnings);
    RC_ASSERT(warned_ == model_.warnings);
  }
  // No two holders, but for shared ones.
  static void checkHolders(const std::vector<lukhas::LockHolder>& holders, std::size_t expected) {
    RC_ASSERT(holders.size() == expected);
    for (const lukhas::LockHolder& holder : holders) {
      RC_ASSERT(holders.size() == 1U || holder.mode == LockMode::shared);
    }
  }
  void checkFates() {
    std::map<std::string, lukhas::FencingToken> newest = newest_;
    for (std::size_t i = firstOpen_; i < attempts_.size(); ++i) {
      const Fate expected = model_.requests[i].fate;
      const Fate seen = attempts_[i]->fate();
      RC_ASSERT(seen == expected || (attempts_[i]->inside && expected == Fate::stale));
      if (attempts_[i]->guard && !noted_[i]) checkToken(*attempts_[i]->guard, i, newest);
    }
    newest_ = std::move(newest);
    while (firstOpen_ < attempts_.size() && isOver(model_.requests[firstOpen_].fate)) ++firstOpen_;
  }
  static bool isOver(Fate fate) {
    return fate != Fate::waiting && fate != Fate::holding && fate != Fate::stale;
  }
  // Greater than all of that key before this step; and in the order of arrival, which is that of the indices.
  void checkToken(const AsyncLock::Guard& guard, std::size_t index,
                  std::map<std::string, lukhas::FencingToken>& newest) {
    noted_[index] = true;
    lukhas::FencingToken& last = newest[std::string(guard.key())];
    RC_ASSERT(guard.token() > last);
    last = guard.token();
  }

  Attempt& add() {
    noted_.push_back(false);
    return *attempts_.emplace_back(std::make_unique<Attempt>(env_));
  }
  void spawn(Attempt& attempt, Task task) {
    asio::co_spawn(env_.executor(), std::move(task),
                   asio::bind_cancellation_slot(attempt.signal.slot(), [](std::exception_ptr) {}));
  }
  [[nodiscard]] std::optional<std::size_t> indexOf(const Step& step) const {
    const auto back = static_cast<std::size_t>(step.which) + 1;
    return back > attempts_.size() ? std::nullopt : std::optional(attempts_.size() - back);
  }

  lukhas::Simulation world_{{.seed = 9}};
  lukhas::Environment env_ = world_.environment();
  std::optional<AsyncLock> locks_{
      std::in_place, env_,
      lukhas::AsyncLockOptions{.heldWarning = milliseconds(heldWarningMs), .maxWaiters = maxWaiters}};
  std::uint64_t warned_ = 0;
  lukhas::Subscription watching_ =
      locks_->onDeadlock.connect([this](const lukhas::DeadlockWarning&) { ++warned_; });
  Model model_{keyCount, maxWaiters, heldWarningMs};
  std::deque<std::unique_ptr<Attempt>> attempts_;
  std::deque<bool> noted_;  // whose tokens
  std::map<std::string, lukhas::FencingToken> newest_;
  std::size_t firstOpen_ = 0;
};

}  // namespace

TEST_CASE("the lock does what plain lists of requests would do", "[lock]") {
  lukhas::test::holdsForAll("any sequence of calls, cancellations and passing time", [] {
    const auto steps = *rc::gen::container<std::vector<Step>>(anyStep());
    const bool abruptly = *rc::gen::arbitrary<bool>();
    Bench bench;
    for (const Step& step : steps) bench.apply(step);
    bench.end(abruptly);
  });
}

// RapidCheck runs this a hundred times.
TEST_CASE("a hundred thousand calls do what plain lists of requests would do", "[lock]") {
  const std::uint64_t steps = test::runs(1000, 20'000);
  lukhas::SplitMix chance(4);
  const auto below = [&](std::uint64_t bound) { return static_cast<int>(chance.below(bound)); };
  std::vector<Step::Kind> drawn;
  for (const auto& [weight, kind] : kinds()) drawn.insert(drawn.end(), weight, kind);
  lukhas::test::holdsForAll("long runs", [&] {
    Bench bench;
    for (std::uint64_t i = 0; i < steps; ++i) {
      bench.apply({drawn[chance.below(drawn.size())], below(keyCount), below(12), below(25)});
    }
    bench.end(chance.chance(500));
  });
}

}  // namespace async_lock_property
