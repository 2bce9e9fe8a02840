// StoreState: one load at a time for each key.
#pragma once

#include "lukhas/store/detail/store_state.hpp"

namespace lukhas::detail {

// Looks and joins under one mutex: between "not there" and "nobody loads it" no load can begin or end.
inline LoadStart StoreState::beginLoad(std::string_view key, StoreCall& call, Counted counted) {
  const std::uint32_t hash = hashOf(key);
  StoreShard& shard = shardOf(hash);
  const TimePoint now = environment_.now();
  LoadStart start;
  std::shared_ptr<Load> load;
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    requireOpen(shard);
    CacheEntry* const entry = findLive(shard, key, hash, now, news);
    call.shard = &shard;
    if (counted == Counted::yes) {
      shard.figures.call(now);
      shard.figures.read(entry != nullptr);
    }
    if (entry) {
      // The time of a load is its loader's: only what was found at the first look is measured.
      call = {&shard, now, counted == Counted::yes && shard.figures.isSample(true), call.failed};
      shard.cache.touch(*entry);
      start.entry = shard.cache.refer(*entry);
      if (!refresh_.isOn()) return start;
      const TimePoint end = shard.cache.expiryOf(*entry);
      if (!isDueForRefresh(hash, end, now)) return start;
      start.refreshUntil = end;
      if (!shard.loads.find(key)) load = shard.loads.begin(key);
      if (load) shard.figures.refreshBegan();
    } else {
      start.other = shard.loads.find(key);
      if (!start.other) load = shard.loads.begin(key);
    }
  }
  if (load) start.lead = LoadLead(shared_from_this(), std::move(load));
  return start;
}

inline bool StoreState::isDueForRefresh(std::uint32_t hash, TimePoint end, TimePoint now) const noexcept {
  return end != TimePoint::max() && refresh_.isDue(hash, end - now, environment_.random());
}

// Until the key is loaded anew by somebody who waits for it, its load time is forgotten: a loader that fails
// is not called again and again by those who read the old value.
inline void StoreState::refreshFailed(std::string_view key) {
  refresh_.loaded(hashOf(key), Duration::zero());
  StoreShard& shard = shardOf(key);
  const std::lock_guard lock(shard.mutex);
  shard.figures.refreshFailed();
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
  StoreShard& shard = shardOf(entry->keyHash);
  LoadWaiters waiters;
  {
    StoreNews news = makeNews();
    const std::lock_guard lock(shard.mutex);
    Load& load = *lead.load();
    if (!load.over) {
      bool fits = shard.cache.fits(1, entry->charge());
      if (load.attached && fits) {
        stamp(shard, *entry, now);
        fits = put(shard, write.entry, endOf(write.ttl, now), now, news);
      }
      if (!fits) errorOf(call);
      waiters = shard.loads.end(load, LoadTurn::loaded, entry);
    }
  }
  lead.fulfil();
  for (const std::shared_ptr<LoadWaiter>& waiter : waiters) waiter->resume();
}

inline bool StoreState::isJoinable(const LoadLead& lead) const {
  const std::lock_guard lock(shardOf(lead.load()->key).mutex);
  return lead.load()->attached;
}

inline void StoreState::abandonLoad(const std::shared_ptr<Load>& load) noexcept {
  StoreShard& shard = shardOf(load->key);
  LoadWaiters told;
  {
    const std::lock_guard lock(shard.mutex);
    if (load->over) return;
    if (load->attached && !load->waiters.empty()) {
      told = shard.loads.handOn(*load, LoadLead(shared_from_this(), load));
    } else {
      told = shard.loads.end(*load, LoadTurn::again);
    }
  }
  for (const std::shared_ptr<LoadWaiter>& waiter : told) waiter->resume();
}

inline std::size_t StoreState::loadCount() const {
  std::size_t loads = 0;
  const ShardLocks locks(*this, allShards());
  locks.each([&](const StoreShard& shard) { loads += shard.loads.size(); });
  return loads;
}

inline asio::awaitable<std::shared_ptr<LoadWaiter>> StoreState::waitForTurn(std::shared_ptr<StoreState> state,
                                                                            std::shared_ptr<Load> load) {
  LoadWaiters node;
  node.push_back(std::make_shared<LoadWaiter>());
  const std::shared_ptr<LoadWaiter> waiter = node.front();
  StoreShard* const shard = &state->shardOf(load->key);
  Load* const awaited = load.get();
  LoadWaiter* const self = waiter.get();
  auto arm = [shard, awaited, self, &node] {
    bool joined = false;
    {
      const std::lock_guard lock(shard->mutex);
      joined = shard->loads.join(*awaited, node);
    }
    if (!joined) self->resume();
  };
  auto onCancel = [shard, awaited, self] {
    LoadWaiters left;  // outlives the lock
    const std::lock_guard lock(shard->mutex);
    left = shard->loads.leave(*awaited, *self);
    return !left.empty();
  };
  co_await waiter->wait(arm, onCancel);
  co_return waiter;
}

}  // namespace lukhas::detail
