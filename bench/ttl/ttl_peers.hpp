// What the TTL engine is measured against: the same service over the orders that are commonly used for it.
// Each registers a key with a TTL, refreshes one, and on sweep() removes what is due and tells a listener.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include "jumping_world.hpp"
#include "lukhas/ttl/ttl_enforcement_engine.hpp"

namespace lukhas::bench {

using Listener = std::function<void(const EntryExpired&)>;

class LukhasPeer {
 public:
  static constexpr const char* name = "TTLEnforcementEngine";

  explicit LukhasPeer(Listener listener) {
    listening_ = engine_.onExpired.connect(std::move(listener));
    engine_.start();
  }
  void put(const std::string& key, Duration ttl) { (void)engine_.registerEntry(key, ttl, "session"); }
  void refresh(const std::string& key) { engine_.refresh(key); }
  [[nodiscard]] bool isValid(const std::string& key) const { return engine_.isValid(key); }
  void sweep() {
    engine_.stop();  // the sweep alone is measured
    asio::co_spawn(
        io_, [this]() -> asio::awaitable<void> { (void)co_await engine_.sweep(); }, asio::detached);
    io_.restart();
    io_.run();
  }
  [[nodiscard]] TTLEnforcementEngine& engine() { return engine_; }

 private:
  asio::io_context io_{1};
  TTLEnforcementEngine engine_{JumpingWorld::over(io_.get_executor()),
                               {.minTtl = std::chrono::milliseconds(1),
                                .maxTtl = std::chrono::hours(24),
                                .gracePeriod = Duration::zero(),
                                .maxEntries = 10'000'000}};
  Subscription listening_;
};

// A hash map, and a std::multimap sorted by time. A refresh moves the node without allocating.
class MultimapPeer {
 public:
  static constexpr const char* name = "std::multimap";

  explicit MultimapPeer(Listener listener) : listener_(std::move(listener)) {}
  void put(const std::string& key, Duration ttl) {
    const std::lock_guard lock(mutex_);
    const auto [row, isNew] = table_.try_emplace(key);
    if (!isNew) order_.erase(row->second.place);
    row->second = {"session", ttl, order_.emplace(JumpingClock::now() + ttl, &row->first)};
  }
  void refresh(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto row = table_.find(key);
    if (row == table_.end()) return;
    auto node = order_.extract(row->second.place);
    node.key() = JumpingClock::now() + row->second.ttl;
    row->second.place = order_.insert(std::move(node));
  }
  void sweep() {
    const TimePoint now = JumpingClock::now();
    for (EntryExpired event;;) {
      {
        const std::lock_guard lock(mutex_);
        if (order_.empty() || order_.begin()->first > now) return;
        const auto row = table_.find(*order_.begin()->second);
        event = {row->first, std::move(row->second.type)};
        order_.erase(order_.begin());
        table_.erase(row);
      }
      listener_(event);
    }
  }

 private:
  using Order = std::multimap<TimePoint, const std::string*>;
  struct Row {
    std::string type;
    Duration ttl{};
    Order::iterator place;
  };
  Listener listener_;
  std::mutex mutex_;
  std::unordered_map<std::string, Row> table_;
  Order order_;
};

// A hash map, and a std::priority_queue in which what was refreshed stays as a tombstone.
class TombstonePeer {
 public:
  static constexpr const char* name = "std::priority_queue with tombstones";

  explicit TombstonePeer(Listener listener) : listener_(std::move(listener)) {}
  void put(const std::string& key, Duration ttl) {
    const std::lock_guard lock(mutex_);
    const TimePoint when = JumpingClock::now() + ttl;
    table_.insert_or_assign(key, Row{"session", ttl, when});
    order_.emplace(when, key);
  }
  void refresh(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto row = table_.find(key);
    if (row == table_.end()) return;
    row->second.when = JumpingClock::now() + row->second.ttl;
    order_.emplace(row->second.when, key);
  }
  void sweep() {
    const TimePoint now = JumpingClock::now();
    for (EntryExpired event;;) {
      {
        const std::lock_guard lock(mutex_);
        if (order_.empty() || order_.top().first > now) return;
        const auto row = table_.find(order_.top().second);
        const bool lives = row != table_.end() && row->second.when == order_.top().first;
        if (lives) {
          event = {row->first, std::move(row->second.type)};
          table_.erase(row);
        }
        order_.pop();
        if (!lives) continue;
      }
      listener_(event);
    }
  }

 private:
  using Stone = std::pair<TimePoint, std::string>;
  struct Row {
    std::string type;
    Duration ttl{};
    TimePoint when;
  };
  Listener listener_;
  std::mutex mutex_;
  std::unordered_map<std::string, Row> table_;
  std::priority_queue<Stone, std::vector<Stone>, std::greater<>> order_;
};

// A hash map with one Asio timer for each entry.
class TimersPeer {
 public:
  static constexpr const char* name = "one Asio timer per entry";

  explicit TimersPeer(Listener listener) : listener_(std::move(listener)) {}
  void put(const std::string& key, Duration ttl) {
    const auto [row, isNew] = table_.try_emplace(key);
    row->second = std::make_unique<Row>(Row{"session", ttl, JumpingTimer(io_)});
    arm(row->first, *row->second);
  }
  void refresh(const std::string& key) {
    if (const auto row = table_.find(key); row != table_.end()) arm(row->first, *row->second);
  }
  void sweep() {
    JumpingTimer first(io_);  // makes Asio look at the clock, which it does not know to have jumped
    first.expires_at(TimePoint());
    first.async_wait([](std::error_code) {});
    io_.restart();
    io_.run_one();
    io_.poll();
  }

 private:
  struct Row {
    std::string type;
    Duration ttl{};
    JumpingTimer timer;
  };
  void arm(const std::string& key, Row& row) {
    row.timer.expires_after(row.ttl);
    row.timer.async_wait([this, &key](std::error_code error) {
      if (error) return;
      const auto found = table_.find(key);
      const EntryExpired event{found->first, std::move(found->second->type)};
      table_.erase(found);
      listener_(event);
    });
  }
  Listener listener_;
  asio::io_context io_{1};
  std::unordered_map<std::string, std::unique_ptr<Row>> table_;
};

}  // namespace lukhas::bench
