#include "lukhas/lock/async_lock.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include "lukhas/sim/simulation.hpp"
#include "support/rapidcheck.hpp"

namespace {

using lukhas::AsyncLock;
using std::chrono::milliseconds;

constexpr int keyCount = 3;
constexpr int heldWarningMs = 30;
constexpr std::size_t maxWaiters = 6;

std::string keyOf(int number) { return std::string(1, static_cast<char>('a' + number)); }

struct Step {
  enum Kind : int { acquire, try_acquire, release, cancel, pass_time, force_release } kind = acquire;
  int key = 0;
  int which = 0;  // of the requests so far, counted from the latest
  int ms = 0;
};

void showValue(const Step& step, std::ostream& out) {
  constexpr std::array<const char*, 6> names{"acquire", "tryAcquire", "release",
                                             "cancel",  "passTime",   "forceRelease"};
  out << names[static_cast<std::size_t>(step.kind)] << "(key " << step.key << ", which " << step.which << ", "
      << step.ms << " ms)";
}

rc::Gen<Step> anyStep() {
  const auto kind = rc::gen::weightedElement<Step::Kind>({{10, Step::acquire},
                                                          {4, Step::try_acquire},
                                                          {6, Step::release},
                                                          {4, Step::cancel},
                                                          {4, Step::pass_time},
                                                          {2, Step::force_release}});
  const auto upTo = [](int bound) { return rc::gen::resize(100, rc::gen::inRange(0, bound)); };
  return rc::gen::build<Step>(rc::gen::set(&Step::kind, kind), rc::gen::set(&Step::key, upTo(keyCount)),
                              rc::gen::set(&Step::which, upTo(12)), rc::gen::set(&Step::ms, upTo(25)));
}

enum class Fate { waiting, holding, stale, released, timed_out, cancelled, overloaded };

// What should be: plain lists, looked through from the beginning.
class Model {
 public:
  struct Request {
    int key = 0;
    Fate fate = Fate::waiting;
    int deadline = 0;
    int since = 0;  // of the hold
    bool warned = false;
  };

  // Ids count up from 0, so that in each list they are in the order of arrival.
  void acquire(int key, int timeout) {
    requests.push_back({key, Fate::waiting, now + timeout, 0, false});
    if (!holderOf(key)) {
      grant(requests.back());
    } else if (timeout == 0) {
      requests.back().fate = Fate::timed_out;
      ++timeouts;
    } else if (waiting() > maxWaiters) {
      requests.back().fate = Fate::overloaded;
    }
  }
  bool tryAcquire(int key) {
    if (holderOf(key)) return false;
    requests.push_back({key, Fate::waiting, now, 0, false});
    grant(requests.back());
    return true;
  }
  void release(Request& request, Fate fate) {
    if (request.fate != Fate::holding) return;
    request.fate = fate;
    for (Request& next : requests) {
      if (next.key == request.key && next.fate == Fate::waiting) return grant(next);
    }
  }
  void passTime(int ms) {
    now += ms;
    for (Request& request : requests) {
      if (request.fate == Fate::waiting && request.deadline <= now) {
        request.fate = Fate::timed_out;
        ++timeouts;
      }
      if (request.fate == Fate::holding && now - request.since >= heldWarningMs && !request.warned) {
        request.warned = true;
        ++warnings;
      }
    }
  }

  Request* holderOf(int key) {
    const auto found = std::find_if(requests.begin(), requests.end(), [key](const Request& request) {
      return request.key == key && request.fate == Fate::holding;
    });
    return found == requests.end() ? nullptr : &*found;
  }
  [[nodiscard]] std::size_t count(Fate fate, std::optional<int> key = {}) const {
    return static_cast<std::size_t>(std::count_if(
        requests.begin(), requests.end(),
        [&](const Request& request) { return request.fate == fate && (!key || request.key == *key); }));
  }
  [[nodiscard]] std::size_t waiting() const { return count(Fate::waiting); }

  std::deque<Request> requests;
  int now = 0;
  std::uint64_t grants = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t warnings = 0;

 private:
  void grant(Request& request) {
    request.fate = Fate::holding;
    request.since = now;
    ++grants;
  }
};

// What is: one coroutine for each request.
struct Attempt {
  std::optional<AsyncLock::Guard> guard;
  std::optional<lukhas::Error> error;
  bool released = false;
  asio::cancellation_signal signal;

  asio::awaitable<void> run(asio::awaitable<AsyncLock::Guard> call) {
    try {
      guard = co_await std::move(call);
    } catch (const lukhas::Error& thrown) {
      error = thrown;
    }
  }
  [[nodiscard]] Fate fate() const {
    if (error) {
      if (error->code() == lukhas::LockErrc::timeout) return Fate::timed_out;
      if (error->code() == lukhas::LockErrc::overloaded) return Fate::overloaded;
      return Fate::cancelled;
    }
    if (released) return Fate::released;
    if (!guard) return Fate::waiting;
    return guard->valid() ? Fate::holding : Fate::stale;
  }
};

struct Bench {
  void apply(const Step& step) {
    switch (step.kind) {
      case Step::acquire: acquire(step); break;
      case Step::try_acquire: tryAcquire(step.key); break;
      case Step::release: release(step); break;
      case Step::cancel: cancel(step); break;
      case Step::pass_time: model.passTime(step.ms); break;
      case Step::force_release: forceRelease(step.key); break;
    }
    world.runFor(step.kind == Step::pass_time ? milliseconds(step.ms) : milliseconds(0));
    check();
  }

  void acquire(const Step& step) {
    Attempt& attempt = *attempts.emplace_back(std::make_unique<Attempt>());
    auto call = locks.acquire(keyOf(step.key), {.timeout = milliseconds(step.ms)});
    asio::co_spawn(env.executor(), attempt.run(std::move(call)),
                   asio::bind_cancellation_slot(attempt.signal.slot(), [](std::exception_ptr) {}));
    model.acquire(step.key, step.ms);
  }
  void tryAcquire(int key) {
    std::optional<AsyncLock::Guard> guard = locks.tryAcquire(keyOf(key));
    RC_ASSERT(guard.has_value() == model.tryAcquire(key));
    if (guard) attempts.emplace_back(std::make_unique<Attempt>())->guard = std::move(guard);
  }
  // Of any request, also a stale or an earlier released one.
  void release(const Step& step) {
    const std::optional<std::size_t> index = indexOf(step);
    if (!index || !attempts[*index]->guard || attempts[*index]->released) return;
    const Fate fate = model.requests[*index].fate;
    attempts[*index]->guard->release();
    attempts[*index]->released = true;
    model.release(model.requests[*index], Fate::released);
    if (fate == Fate::stale) model.requests[*index].fate = Fate::released;
  }
  void cancel(const Step& step) {
    const std::optional<std::size_t> index = indexOf(step);
    if (!index) return;
    attempts[*index]->signal.emit(asio::cancellation_type::terminal);
    Model::Request& request = model.requests[*index];
    if (request.fate == Fate::waiting) request.fate = Fate::cancelled;
  }
  void forceRelease(int key) {
    Model::Request* const holder = model.holderOf(key);
    RC_ASSERT(locks.forceRelease(keyOf(key)) == (holder != nullptr));
    if (holder) model.release(*holder, Fate::stale);
  }

  void check() {
    RC_ASSERT(locks.checkInvariants());
    for (std::size_t i = 0; i < attempts.size(); ++i) {
      RC_ASSERT(attempts[i]->fate() == model.requests[i].fate);
      if (attempts[i]->guard && !tokens.contains(i)) noteToken(i);
    }
    for (int key = 0; key < keyCount; ++key) {
      RC_ASSERT(model.count(Fate::holding, key) <= 1U);
      RC_ASSERT(locks.waiters(keyOf(key)) == model.count(Fate::waiting, key));
    }
    const lukhas::LockMetrics metrics = locks.getMetrics();
    RC_ASSERT(metrics.activeLocks == model.count(Fate::holding));
    RC_ASSERT(metrics.waiting == model.waiting());
    RC_ASSERT(metrics.totalAcquired == model.grants);
    RC_ASSERT(metrics.totalTimeouts == model.timeouts);
    RC_ASSERT(metrics.deadlocksDetected == model.warnings);
    RC_ASSERT(warned == model.warnings);
  }
  // A step grants at most one lock, so the tokens appear in their order.
  void noteToken(std::size_t index) {
    const lukhas::FencingToken token = attempts[index]->guard->token();
    RC_ASSERT(token > newest);
    newest = token;
    tokens[index] = token;
  }
  [[nodiscard]] std::optional<std::size_t> indexOf(const Step& step) const {
    const auto back = static_cast<std::size_t>(step.which) + 1;
    return back > attempts.size() ? std::nullopt : std::optional(attempts.size() - back);
  }

  lukhas::Simulation world{{.seed = 9}};
  lukhas::Environment env = world.environment();
  AsyncLock locks{env, {.heldWarning = milliseconds(heldWarningMs), .maxWaiters = maxWaiters}};
  std::uint64_t warned = 0;
  lukhas::Subscription watching =
      locks.onDeadlock.connect([this](const lukhas::DeadlockWarning&) { ++warned; });
  Model model;
  std::deque<std::unique_ptr<Attempt>> attempts;
  std::map<std::size_t, lukhas::FencingToken> tokens;
  lukhas::FencingToken newest;
};

}  // namespace

TEST_CASE("the lock does what plain lists of requests would do", "[lock]") {
  lukhas::test::holdsForAll("any sequence of calls, cancellations and passing time", [] {
    const auto steps = *rc::gen::container<std::vector<Step>>(anyStep());
    Bench bench;
    for (const Step& step : steps) bench.apply(step);
    bench.world.run();  // every wait comes to its end
    RC_ASSERT(bench.locks.getMetrics().waiting == 0U);
  });
}
