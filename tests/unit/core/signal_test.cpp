#include "lukhas/core/signal.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using lukhas::Signal;
using lukhas::Subscription;

static_assert(!std::is_copy_constructible_v<Signal<int>> && !std::is_move_constructible_v<Signal<int>>);
static_assert(!std::is_copy_constructible_v<Subscription>);
static_assert(std::is_nothrow_move_constructible_v<Subscription>);

TEST_CASE("listeners are called in the order of their connection", "[core]") {
  Signal<std::string, int> signal;
  std::vector<std::string> heard;
  const auto first = signal.connect(
      [&](const std::string& text, int n) { heard.push_back("1" + text + std::to_string(n)); });
  const auto second = signal.connect([&](const std::string& text, int) { heard.push_back("2" + text); });
  const auto third = signal.connect([&](const std::string& text, int) { heard.push_back("3" + text); });

  signal.emit("a", 7);

  CHECK(heard == std::vector<std::string>{"1a7", "2a", "3a"});
}

TEST_CASE("a destroyed subscription disconnects its listener and no other", "[core]") {
  Signal<> signal;
  int kept = 0;
  int dropped = 0;
  const auto keeping = signal.connect([&] { ++kept; });
  {
    const auto dropping = signal.connect([&] { ++dropped; });
    CHECK(dropping.connected());
    signal.emit();
  }
  signal.emit();

  CHECK(kept == 2);
  CHECK(dropped == 1);
}

TEST_CASE("a subscription that is not kept hears nothing", "[core]") {
  Signal<> signal;
  int heard = 0;
  signal.connect([&] { ++heard; });

  signal.emit();

  CHECK(heard == 0);
  CHECK(signal.empty());
}

TEST_CASE("a detached listener stays for the life of the signal", "[core]") {
  Signal<> signal;
  int heard = 0;
  signal.connect([&] { ++heard; }).detach();

  signal.emit();

  CHECK(heard == 1);
  CHECK_FALSE(signal.empty());
}

TEST_CASE("a throwing listener is counted and the others still run", "[core]") {
  Signal<> signal;
  int heard = 0;
  const auto before = signal.connect([&] { ++heard; });
  const auto bad = signal.connect([] { throw std::runtime_error("listener"); });
  const auto odd = signal.connect([] { throw 7; });
  const auto after = signal.connect([&] { ++heard; });
  CHECK(signal.listenerErrors() == 0);

  signal.emit();
  signal.emit();

  CHECK(heard == 4);
  CHECK(signal.listenerErrors() == 4);
}

TEST_CASE("a listener may destroy its own subscription", "[core]") {
  Signal<> signal;
  int heard = 0;
  std::optional<Subscription> self;
  self.emplace(signal.connect([&heard, &self, held = std::string(64, 'x')] {
    self.reset();
    heard += static_cast<int>(held.size());  // what it captured is still there
  }));

  signal.emit();
  signal.emit();

  CHECK(heard == 64);
  CHECK(signal.empty());
}

TEST_CASE("a listener that another one disconnects during an emit is not called any more", "[core]") {
  Signal<> signal;
  int heard = 0;
  Subscription victim;
  const auto first = signal.connect([&] { victim.disconnect(); });
  victim = signal.connect([&] { ++heard; });

  signal.emit();

  CHECK(heard == 0);
}

TEST_CASE("a listener that is connected during an emit is first called by the next one", "[core]") {
  Signal<> signal;
  int heard = 0;
  std::vector<Subscription> added;
  const auto adding = signal.connect([&] {
    if (added.empty()) added.push_back(signal.connect([&] { ++heard; }));
  });

  signal.emit();
  CHECK(heard == 0);
  signal.emit();
  CHECK(heard == 1);
}

TEST_CASE("a listener may emit again", "[core]") {
  Signal<int> signal;
  std::vector<int> heard;
  const auto repeating = signal.connect([&](int n) {
    heard.push_back(n);
    if (n > 0) signal.emit(n - 1);
  });

  signal.emit(3);

  CHECK(heard == std::vector<int>{3, 2, 1, 0});
}

TEST_CASE("a listener may destroy the signal and the rest still hear that event", "[core]") {
  auto signal = std::make_unique<Signal<int>>();
  int heard = 0;
  const auto destroying = signal->connect([&](int) { signal.reset(); });
  const auto rest = signal->connect([&](int n) { heard += n; });

  signal->emit(5);

  CHECK(heard == 5);
  CHECK_FALSE(rest.connected());
}

TEST_CASE("a subscription may outlive its signal", "[core]") {
  Subscription late;
  std::weak_ptr<int> captured;
  {
    Signal<> signal;
    auto resource = std::make_shared<int>(1);
    captured = resource;
    late = signal.connect([resource = std::move(resource)] {});
    CHECK(late.connected());
  }
  CHECK_FALSE(late.connected());
  CHECK(captured.expired());  // a dead signal keeps nothing alive
  late.disconnect();
}

TEST_CASE("a disconnected listener is destroyed at once", "[core]") {
  Signal<> signal;
  auto resource = std::make_shared<int>(1);
  const std::weak_ptr<int> captured = resource;
  auto subscription = signal.connect([resource = std::move(resource)] {});

  subscription.disconnect();

  CHECK(captured.expired());
  CHECK_FALSE(subscription.connected());
  subscription.disconnect();  // once more is harmless
}

TEST_CASE("what a listener captured may use the signal when it is destroyed", "[core]") {
  struct Reconnects {
    Signal<>* signal;
    ~Reconnects() {
      signal->connect([] {});
    }
  };
  Signal<> signal;
  auto subscription = signal.connect([held = std::make_shared<Reconnects>(Reconnects{&signal})] {});

  subscription.disconnect();  // would deadlock if it were destroyed under the mutex

  CHECK(signal.empty());
}

TEST_CASE("a moved subscription keeps its listener and a replaced one drops it", "[core]") {
  Signal<> signal;
  int first = 0;
  int second = 0;
  auto subscription = signal.connect([&] { ++first; });
  auto moved = std::move(subscription);
  signal.emit();
  CHECK(first == 1);

  moved = signal.connect([&] { ++second; });
  signal.emit();

  CHECK(first == 1);
  CHECK(second == 1);
}

TEST_CASE("a listener may be move-only and mutable", "[core]") {
  Signal<int> signal;
  int seen = 0;
  const auto subscription =
      signal.connect([&seen, sum = std::make_unique<int>(0)](int n) mutable { seen = *sum += n; });

  signal.emit(2);
  signal.emit(3);

  CHECK(seen == 5);
}

TEST_CASE("threads may connect and disconnect and emit at once", "[core]") {
  constexpr int rounds = 2000;
  Signal<int> signal;
  std::atomic<int> steady = 0;
  const auto subscription = signal.connect([&](int n) { steady += n; });
  std::vector<std::thread> threads;
  for (int emitter = 0; emitter < 2; ++emitter) {
    threads.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) signal.emit(1);
    });
    threads.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        // What the listener uses is held by it, as another thread's call may still run after the
        // disconnection.
        auto heard = std::make_shared<std::atomic<int>>(0);
        auto passing = signal.connect([heard](int n) { *heard += n; });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(steady == 2 * rounds);
  CHECK(signal.listenerErrors() == 0);
}
