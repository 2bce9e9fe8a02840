// LoadBoard: which keys are being loaded by getOrCompute, by whom, and who waits for it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/async/suspension.hpp"
#include "lukhas/store/detail/cache_entry.hpp"

namespace lukhas::detail {

struct Load;

// Takes back a load whose leader did not finish it.
class LoadKeeper {
 public:
  virtual void abandonLoad(const std::shared_ptr<Load>& load) noexcept = 0;

 protected:
  ~LoadKeeper() = default;
};

// The duty to load a key. Whoever loses it unfinished, by an exception, by cancellation or because its
// coroutine is destroyed, hands it on.
class LoadLead {
 public:
  LoadLead() = default;
  LoadLead(std::shared_ptr<LoadKeeper> keeper, std::shared_ptr<Load> load) noexcept
      : keeper_(std::move(keeper)), load_(std::move(load)) {}
  LoadLead(LoadLead&& other) noexcept = default;
  LoadLead& operator=(LoadLead&& other) noexcept {
    std::swap(keeper_, other.keeper_);
    std::swap(load_, other.load_);
    return *this;
  }
  ~LoadLead() {
    if (load_) keeper_->abandonLoad(load_);
  }

  explicit operator bool() const noexcept { return load_ != nullptr; }
  [[nodiscard]] const std::shared_ptr<Load>& load() const noexcept { return load_; }
  // The duty is done.
  void fulfil() noexcept { load_.reset(); }

 private:
  std::shared_ptr<LoadKeeper> keeper_;
  std::shared_ptr<Load> load_;
};

// What a caller that waited for another one's load is told.
enum class LoadTurn {
  lead,     // load it yourself: the leader failed
  loaded,   // here it is
  again,    // ask the store again: the leader failed, and the key was changed in the meantime
  closed,   // the store was destroyed
  refused,  // too many wait already
};

struct LoadWaiter : Suspension {
  std::list<std::shared_ptr<LoadWaiter>>::iterator place;
  bool linked = false;
  LoadTurn turn = LoadTurn::again;
  CacheEntryRef entry;  // loaded
  LoadLead lead;        // lead; hands itself on when this waiter is destroyed before it runs
};
using LoadWaiters = std::list<std::shared_ptr<LoadWaiter>>;

// One load: a leader that runs its loader, and those who wait for it in the order in which they came.
struct Load {
  std::string key;
  // The key has not been set, removed or cleared since the load began. When it has, the result is only for
  // those who wait already: it is not stored, and later callers begin a load of their own.
  bool attached = true;
  bool over = false;
  LoadTurn ending = LoadTurn::again;  // for those who come when it is over
  CacheEntryRef entry;
  LoadWaiters waiters;
  std::list<std::shared_ptr<Load>>::iterator place;
  // Of LoadGraph, under its mutex: the loads that this one's loader has asked for, and its last search.
  std::vector<Load*> inside;
  std::uint64_t round = 0;
};

// The loads that later callers join. Nothing here resumes anybody: the waiters are handed to the owner, who
// resumes them when it holds no mutex. Not thread-safe: the owner guards it, loads and waiters too.
class LoadBoard {
 public:
  // `waiting` counts those who wait in the queues of all loads, also of other boards.
  LoadBoard(std::size_t maxWaiters, std::atomic<std::size_t>& waiting) noexcept
      : maxWaiters_(maxWaiters), waiting_(waiting) {}

  [[nodiscard]] std::shared_ptr<Load> find(std::string_view key) const {
    const auto found = joinable_.find(key);
    return found == joinable_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::shared_ptr<Load> begin(std::string_view key) {
    auto load = std::make_shared<Load>();
    load->key = key;
    all_.push_back(load);
    load->place = std::prev(all_.end());
    try {
      joinable_.emplace(load->key, load);
    } catch (...) {
      all_.pop_back();
      throw;
    }
    return load;
  }

  void invalidate(std::string_view key) noexcept {
    if (joinable_.empty()) return;
    const auto found = joinable_.find(key);
    if (found == joinable_.end()) return;
    found->second->attached = false;
    joinable_.erase(found);
  }
  void invalidateAll() noexcept {
    for (const auto& [key, load] : joinable_) load->attached = false;
    joinable_.clear();
  }

  // Ends a load for all who wait. Precondition: it is not over; the caller owns it.
  [[nodiscard]] LoadWaiters end(Load& load, LoadTurn ending, const CacheEntryRef& entry = {}) noexcept {
    if (load.attached) invalidate(load.key);
    all_.erase(load.place);
    load.over = true;
    load.ending = ending;
    load.entry = entry;
    for (const std::shared_ptr<LoadWaiter>& waiter : load.waiters) tell(*waiter, load);
    waiting_ -= load.waiters.size();
    return std::exchange(load.waiters, {});
  }
  // Ends all loads: the store is destroyed.
  [[nodiscard]] LoadWaiters closeAll() noexcept {
    LoadWaiters told;
    while (!all_.empty()) {
      const std::shared_ptr<Load> load = all_.front();
      told.splice(told.end(), end(*load, LoadTurn::closed));
    }
    return told;
  }
  // The waiter that leads from now on: the one that came first. Precondition: there is one.
  [[nodiscard]] LoadWaiters handOn(Load& load, LoadLead lead) noexcept {
    LoadWaiters first;
    --waiting_;
    first.splice(first.end(), load.waiters, load.waiters.begin());
    first.front()->linked = false;
    first.front()->turn = LoadTurn::lead;
    first.front()->lead = std::move(lead);
    return first;
  }

  // Puts the waiter in `node` at the end of the queue. False, with its turn told, when the load is over or
  // too many wait.
  bool join(Load& load, LoadWaiters& node) noexcept {
    LoadWaiter& waiter = *node.front();
    if (load.over) {
      tell(waiter, load);
      return false;
    }
    if (waiting_.fetch_add(1) >= maxWaiters_) {
      --waiting_;
      waiter.turn = LoadTurn::refused;
      return false;
    }
    waiter.place = node.begin();
    waiter.linked = true;
    load.waiters.splice(load.waiters.end(), node);
    return true;
  }
  // Takes a waiter out. Gives nothing when its turn had come already.
  [[nodiscard]] LoadWaiters leave(Load& load, LoadWaiter& waiter) noexcept {
    LoadWaiters left;
    if (!waiter.linked) return left;
    waiter.linked = false;
    --waiting_;
    left.splice(left.end(), load.waiters, waiter.place);
    return left;
  }

  // Loads that are under way, joinable or not.
  [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }

 private:
  static void tell(LoadWaiter& waiter, const Load& load) noexcept {
    waiter.linked = false;
    waiter.turn = load.ending;
    waiter.entry = load.entry;
  }

  std::size_t maxWaiters_;
  std::atomic<std::size_t>& waiting_;
  std::list<std::shared_ptr<Load>> all_;
  std::map<std::string, std::shared_ptr<Load>, std::less<>> joinable_;  // those that are attached
};

}  // namespace lukhas::detail
