// StoreState: one load at a time for each key.
#pragma once

#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

// Looks and joins under one mutex: between "not there" and "nobody loads it" no load can begin or end.
inline LoadStart StoreState::beginLoad(std::string_view key, StoreCall& call, Counted counted) {
  const std::uint64_t hash = cache_.hashOf(key);
  const TimePoint now = environment_.now();
  LoadStart start;
  std::shared_ptr<Load> load;
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    requireOpen();
    CacheEntry* const entry = findLive(key, hash, now, news);
    if (counted == Counted::yes) {
      figures_.call(now);
      figures_.read(entry != nullptr);
    }
    if (entry) {
      // The time of a load is its loader's: only what was found at the first look is measured.
      call = {now, counted == Counted::yes && figures_.isSample(), call.failed};
      cache_.touch(*entry);
      start.entry = CacheEntryRef(*entry);
      if (!refresh_.isOn() || !isDueForRefresh(*entry, now)) return start;
      start.refreshUntil = entry->expiresAt;
      if (!loads_.find(key)) load = loads_.begin(key);
      if (load) figures_.refreshBegan();
    } else {
      start.other = loads_.find(key);
      if (!start.other) load = loads_.begin(key);
    }
  }
  if (load) start.lead = LoadLead(shared_from_this(), std::move(load));
  return start;
}

inline bool StoreState::isDueForRefresh(const CacheEntry& entry, TimePoint now) const noexcept {
  return entry.expiresAt != TimePoint::max() &&
         refresh_.isDue(entry.keyHash, entry.expiresAt - now, environment_.random());
}

// Until the key is loaded anew by somebody who waits for it, its load time is forgotten: a loader that fails
// is not called again and again by those who read the old value.
inline void StoreState::refreshFailed(std::string_view key) {
  refresh_.loaded(cache_.hashOf(key), Duration::zero());
  const std::lock_guard lock(mutex_);
  figures_.refreshFailed();
}

inline void StoreState::enterLoad(std::string_view key, const std::shared_ptr<const LoadTrace>& outer,
                                  const LoadStart& start, StoreCall& call, std::optional<LoadStay>& stay) {
  std::shared_ptr<Load> inner;
  std::vector<std::string> path{std::string(key)};
  for (const LoadTrace* trace = outer.get(); trace; trace = trace->outer.get()) {
    path.push_back(trace->load->key);
    if (trace->store != this) continue;
    if (trace->load->key == key) {
      std::reverse(path.begin(), path.end());
      throwLoadCycle(path, call);
    }
    if (!inner) inner = trace->load;
  }
  if (!inner) return;  // the loaders are those of other stores
  const std::shared_ptr<Load>& target = start.other ? start.other : start.lead.load();
  path = loadGraph_.enter(*inner, *target);
  if (!path.empty()) {
    path.emplace_back(key);
    throwLoadCycle(path, call);
  }
  stay.emplace(loadGraph_, std::move(inner), target);
}

inline void StoreState::throwLoadCycle(const std::vector<std::string>& path, StoreCall& call) {
  countError(call);
  nlohmann::json details{{"key", printableKey(path.back())}, {"path", nlohmann::json::array()}};
  std::string text;
  for (const std::string& key : path) {
    details["path"].push_back(printableKey(key));
    text += fmt::format("{}\"{}\"", text.empty() ? "" : " -> ", printableKey(key));
  }
  throw Error(StoreErrc::load_cycle, fmt::format("a loader asked for what waits for it: {}", text),
              std::move(details));
}

inline void StoreState::finishLoad(LoadLead& lead, StoreWrite write, StoreCall& call, TimePoint began) {
  const CacheEntryRef entry = write.entry;
  const TimePoint now = environment_.now();
  refresh_.loaded(entry->keyHash, now - began);
  LoadWaiters waiters;
  {
    StoreNews news(signals_);
    const std::lock_guard lock(mutex_);
    Load& load = *lead.load();
    if (!load.over) {
      const bool fits = cache_.fits(1, entry->charge());
      if (!fits) errorOf(call);
      if (load.attached && fits) {
        stamp(*entry, endOf(write.ttl, now), now);
        put(std::move(write.entry), now, news);
      }
      waiters = loads_.end(load, LoadTurn::loaded, entry);
    }
  }
  lead.fulfil();
  for (const std::shared_ptr<LoadWaiter>& waiter : waiters) waiter->resume();
}

inline bool StoreState::isJoinable(const LoadLead& lead) const {
  const std::lock_guard lock(mutex_);
  return lead.load()->attached;
}

inline void StoreState::abandonLoad(const std::shared_ptr<Load>& load) noexcept {
  LoadWaiters told;
  {
    const std::lock_guard lock(mutex_);
    if (load->over) return;
    if (load->attached && !load->waiters.empty()) {
      told = loads_.handOn(*load, LoadLead(shared_from_this(), load));
    } else {
      told = loads_.end(*load, LoadTurn::again);
    }
  }
  for (const std::shared_ptr<LoadWaiter>& waiter : told) waiter->resume();
}

inline std::size_t StoreState::loadCount() const {
  const std::lock_guard lock(mutex_);
  return loads_.size();
}

inline asio::awaitable<std::shared_ptr<LoadWaiter>> StoreState::waitForTurn(std::shared_ptr<StoreState> state,
                                                                            std::shared_ptr<Load> load) {
  LoadWaiters node;
  node.push_back(std::make_shared<LoadWaiter>());
  const std::shared_ptr<LoadWaiter> waiter = node.front();
  StoreState* const owner = state.get();
  Load* const awaited = load.get();
  LoadWaiter* const self = waiter.get();
  auto arm = [owner, awaited, self, &node] {
    bool joined = false;
    {
      const std::lock_guard lock(owner->mutex_);
      joined = owner->loads_.join(*awaited, node);
    }
    if (!joined) self->resume();
  };
  auto onCancel = [owner, awaited, self] {
    LoadWaiters left;  // outlives the lock
    const std::lock_guard lock(owner->mutex_);
    left = owner->loads_.leave(*awaited, *self);
    return !left.empty();
  };
  co_await waiter->wait(arm, onCancel);
  co_return waiter;
}

}  // namespace lukhas::detail
