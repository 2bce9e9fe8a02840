// EntryCache: putting entries in, and what is done about damaged links.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "lukhas/store/detail/entry_cache.hpp"

namespace lukhas::detail {

template <class Gone>
EntryCache::Change EntryCache::prepare(std::span<CacheEntryRef> fresh, TimePoint now, Gone& gone) noexcept {
  Change change;
  if (fresh.size() > 1) {  // let the waits for memory run side by side
    for (const CacheEntryRef& entry : fresh) table_.prefetchBucket(entry->keyHash);
    for (const CacheEntryRef& entry : fresh) table_.prefetchElement(entry->keyHash);
  }
  for (const CacheEntryRef& entry : fresh) {
    change.addedBytes += entry->charge();
    CacheEntry* old = findUsed(entry->key(), entry->keyHash);
    if (old && !isSound(*old) && rebuild(old)) old = nullptr;
    if (old && firstExpiry() <= now && expiryOf(*old) <= now) {
      gone(std::as_const(*old), EvictionCause::expired);
      remove(*old);
      old = nullptr;
    }
    if (old) {
      change.replacedBytes += old->charge();
      if (!own_) lru_.used(*old);
    } else {
      ++change.newKeys;
    }
    entry->older = old;
  }
  return change;
}

template <class Gone>
bool EntryCache::makeRoom(std::span<CacheEntryRef> fresh, Change& change, TimePoint now, Gone& gone) {
  constexpr std::size_t extraVictims = 16;  // of each write to a cache that is to become smaller
  // What is to be replaced, and by what: sorted, to be found by; nothing depends on the order itself.
  std::vector<std::pair<const CacheEntry*, CacheEntry*>> replacing;
  bool listed = false;
  const auto forget = [&](const CacheEntry& victim) {  // it may be one of those
    if (!std::exchange(listed, true)) {
      for (const CacheEntryRef& entry : fresh) {
        if (entry->older) replacing.emplace_back(static_cast<CacheEntry*>(entry->older.get()), entry.get());
      }
      std::sort(replacing.begin(), replacing.end());
    }
    const auto found = std::lower_bound(replacing.begin(), replacing.end(),
                                        std::pair<const CacheEntry*, CacheEntry*>(&victim, nullptr));
    if (found == replacing.end() || found->first != &victim) return;
    found->second->older = nullptr;
    change.replacedBytes -= victim.charge();
    ++change.newKeys;
  };
  const auto needed = [&] {
    const std::size_t entries = size() + change.newKeys;
    return blockBytes_ - change.replacedBytes + change.addedBytes + heap_.memoryBytesFor(entries) +
           table_.memoryBytesFor(entries) + (own_ ? own_->memoryBytesFor(entries) : 0);
  };
  std::size_t extra = limitBytes_ > maxBytes() ? extraVictims : 0;
  while (needed() > limitBytes_ || (extra > 0 && needed() > maxBytes())) {
    if (needed() <= limitBytes_) --extra;
    CacheEntry* victim = nullptr;
    EvictionCause cause = EvictionCause::size;
    if (!heap_.empty() && heap_.frontTime() <= now) {
      victim = &heap_.front();
      cause = EvictionCause::expired;
    } else {
      victim = victimFor(change.addedBytes);
    }
    if (!victim) return false;
    forget(*victim);
    gone(std::as_const(*victim), cause);
    remove(*victim);
  }
  if (limitBytes_ > maxBytes()) limitBytes_ = std::max({maxBytes(), bytes(), needed()});
  return true;
}

inline void EntryCache::reserve(std::size_t entries) {
  try {
    table_.reserve(entries);
    heap_.reserve(entries);
    if (own_) own_->reserve(entries);
  } catch (...) {
    if (heap_.empty()) releaseArrays();
    throw;
  }
}

// Allocates nothing: room was reserved, and no erase of one entry gives back what the next push needs.
template <class EndOf, class Replaced>
void EntryCache::link(std::span<CacheEntryRef> fresh, EndOf&& endOf, Replaced&& replaced) noexcept {
  for (CacheEntryRef& ref : fresh) {
    CacheEntry& entry = *ref.release();
    blockBytes_ += entry.charge();
    if (auto* const old = static_cast<CacheEntry*>(entry.older.get())) {
      replaced(*old);
      heap_.replace(*old, entry, endOf());
      table_.replace(*old, entry);
      if (own_) {
        own_->replaced(*old, entry);
      } else {
        lru_.removed(*old);
        lru_.added(entry);
      }
      blockBytes_ -= old->charge();
      CacheEntryRef::drop(old, memory_);
    } else {
      heap_.push(entry, endOf());
      table_.insert(entry);
      own_ ? own_->added(entry) : lru_.added(entry);
    }
  }
}

// The heap's own array is no part of the entries: it knows all of them, and when they expire.
inline bool EntryCache::rebuild(const CacheEntry* watched) noexcept {
  bool watchedLost = false;
  const auto lost = [&](CacheEntry& entry) {
    if (entry.readable()) return false;
    watchedLost = watchedLost || &entry == watched;
    ++lostEntries_;
    CacheEntryRef::drop(&entry, memory_);
    return true;
  };
  heap_.restoreSlots(lost);
  table_.forget();
  own_ ? own_->clear() : lru_.clear();
  blockBytes_ = 0;
  try {
    reserve(heap_.size());
  } catch (...) {  // the policy has no memory: better an empty cache than one that nobody keeps in order
    lostEntries_ += heap_.size();
    clear();
    return true;
  }
  heap_.forEach([this](CacheEntry& entry) {
    entry.repairCount();
    table_.insert(entry);
    own_ ? own_->added(entry) : lru_.added(entry);
    blockBytes_ += entry.charge();
  });
  if (heap_.empty()) releaseArrays();
  return watchedLost;
}

}  // namespace lukhas::detail
