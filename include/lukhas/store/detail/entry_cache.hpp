// EntryCache: which entries there are, which one goes when room is needed, and what they all take.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/store/detail/cache_entry.hpp"
#include "lukhas/store/detail/cache_order.hpp"
#include "lukhas/store/store_events.hpp"

namespace lukhas::detail {

// The pure part of the store: no mutex, no clock, no user. A table finds entries by key, a list keeps them by
// last use, a heap by expiry; bytes() is what blocks, table and heap take of the allocator.
//
// bytes() never passes maxBytes: room is made before anything is put in. First go the entries whose time is
// over, then the least recently used. An empty cache takes nothing.
//
// `gone(entry, cause)` is called for each entry that is removed to make room or because it expired, just
// before it goes; it must not throw and not touch the cache.
class EntryCache {
 public:
  EntryCache(std::size_t maxBytes, std::uint64_t seed) noexcept : maxBytes_(maxBytes), seed_(seed) {}
  EntryCache(const EntryCache&) = delete;
  EntryCache& operator=(const EntryCache&) = delete;
  ~EntryCache() { clear(); }

  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }
  [[nodiscard]] std::size_t maxBytes() const noexcept { return maxBytes_; }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return blockBytes_ + heap_.memoryBytes() + table_.memoryBytes();
  }
  // Does not depend on what is in the cache: any thread may call.
  [[nodiscard]] std::uint64_t hashOf(std::string_view key) const noexcept {
    return hash64(asBytes(key), seed_);
  }
  // Whether so many entries that take so much can be put in, whatever is there now. The same for all threads.
  [[nodiscard]] bool fits(std::size_t entries, std::size_t charge) const noexcept {
    const std::size_t overhead = Heap::memoryBound(entries) + Table::memoryBound(entries);
    return overhead <= maxBytes_ && charge <= maxBytes_ - overhead;
  }

  [[nodiscard]] CacheEntry* find(std::string_view key, std::uint64_t hash) const noexcept {
    return table_.find(key, hash);
  }
  void touch(CacheEntry& entry) noexcept { order_.touch(entry); }
  // Gives the entry another end.
  void endAt(CacheEntry& entry, TimePoint expiresAt) noexcept {
    entry.expiresAt = expiresAt;
    heap_.update(entry, expiresAt);
  }
  // The earliest time at which an entry expires, if any ever does.
  [[nodiscard]] std::optional<TimePoint> nextExpiry() const noexcept {
    if (heap_.empty() || heap_.frontTime() == TimePoint::max()) return std::nullopt;
    return heap_.frontTime();
  }

  void remove(CacheEntry& entry) noexcept {
    heap_.erase(entry);
    order_.remove(entry);
    table_.erase(entry);
    if (heap_.empty()) releaseArrays();
    blockBytes_ -= entry.charge();
    CacheEntryRef::drop(&entry);
  }
  template <class Gone>
  std::size_t removeExpired(TimePoint now, std::size_t most, Gone&& gone) noexcept {
    std::size_t removed = 0;
    for (; removed < most && !heap_.empty() && heap_.frontTime() <= now; ++removed) {
      CacheEntry& entry = heap_.front();
      gone(std::as_const(entry), EvictionCause::expired);
      remove(entry);
    }
    return removed;
  }
  void clear() noexcept {
    heap_.clear();
    table_.release();
    blockBytes_ = 0;
    CacheEntry* entry = order_.oldest();
    order_.clear();
    while (entry) CacheEntryRef::drop(std::exchange(entry, entry->newer));
  }

  // Puts all of `fresh` in, the last one as the most recently used, in place of what their keys held before.
  // Their expiresAt and version are set, no key is twice among them, and fits() is true of them. Throws
  // std::bad_alloc, and then has at most evicted others.
  template <class Gone>
  void put(std::span<CacheEntryRef> fresh, TimePoint now, Gone&& gone) {
    const Change change = prepare(fresh, now, gone);
    makeRoom(change, now, gone);
    reserve(size() + change.newKeys);
    link(fresh);
  }

  // For looking; the least recently used one comes first.
  template <class Visit>
  void forEachOldestFirst(Visit&& visit) const {
    for (CacheEntry* entry = order_.oldest(); entry; entry = entry->newer) visit(std::as_const(*entry));
  }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t listed = 0;
    std::size_t charged = 0;
    for (const CacheEntry* entry = order_.oldest(); entry; entry = entry->newer, ++listed) {
      if (find(entry->key(), entry->keyHash) != entry) return false;
      if (!heap_.contains(*entry) || heap_.timeOf(*entry) != entry->expiresAt) return false;
      charged += entry->charge();
    }
    return listed == size() && heap_.size() == size() && charged == blockBytes_ && bytes() <= maxBytes_ &&
           heap_.checkInvariants() && table_.checkInvariants() && (size() > 0 || bytes() == 0);
  }

 private:
  using Table = KeyTable<CacheEntry>;
  using Heap = ExpiryHeap<CacheEntry, TimePoint>;

  // Precondition: there are no entries.
  void releaseArrays() noexcept {
    heap_.clear();
    table_.release();
  }

  // What a put() comes to.
  struct Change {
    std::size_t addedBytes = 0;
    std::size_t replacedBytes = 0;
    std::size_t replaced = 0;
    std::size_t newKeys = 0;
  };

  // Finds what each key holds and keeps it in `older`, which a fresh entry does not use yet. Those become the
  // most recently used ones, so that making room does not come upon them.
  template <class Gone>
  [[nodiscard]] Change prepare(std::span<CacheEntryRef> fresh, TimePoint now, Gone& gone) noexcept {
    Change change;
    for (const CacheEntryRef& entry : fresh) {
      change.addedBytes += entry->charge();
      CacheEntry* old = find(entry->key(), entry->keyHash);
      if (old && old->expiresAt <= now) {
        gone(std::as_const(*old), EvictionCause::expired);
        remove(*old);
        old = nullptr;
      }
      entry->older = old;
      if (old) {
        touch(*old);
        change.replacedBytes += old->charge();
        ++change.replaced;
      } else {
        ++change.newKeys;
      }
    }
    return change;
  }

  template <class Gone>
  void makeRoom(const Change& change, TimePoint now, Gone& gone) {
    const auto peak = [&] {
      const std::size_t entries = size() + change.newKeys;
      return blockBytes_ - change.replacedBytes + change.addedBytes + heap_.memoryBytesFor(entries) +
             table_.memoryBytesFor(entries);
    };
    while (peak() > maxBytes_) {
      assert(size() > change.replaced);  // fits() is true
      if (removeExpired(now, 1, gone) == 1) continue;
      gone(std::as_const(*order_.oldest()), EvictionCause::size);
      remove(*order_.oldest());
    }
  }

  void reserve(std::size_t entries) {
    try {
      table_.reserve(entries);
      heap_.reserve(entries);
    } catch (...) {
      if (heap_.empty()) releaseArrays();
      throw;
    }
  }

  // Everything that is replaced goes before anything comes, so that bytes() stays below the limit in between.
  // Allocates nothing: room was reserved, and no erase of one entry gives back what the next push needs.
  void link(std::span<CacheEntryRef> fresh) noexcept {
    for (const CacheEntryRef& entry : fresh) {
      if (!entry->older) heap_.push(*entry, entry->expiresAt);
    }
    for (const CacheEntryRef& entry : fresh) {
      CacheEntry* const old = entry->older;
      if (!old) continue;
      heap_.erase(*old);
      heap_.push(*entry, entry->expiresAt);
      order_.remove(*old);
      table_.replace(*old, *entry);
      blockBytes_ -= old->charge();
      CacheEntryRef::drop(old);
    }
    for (CacheEntryRef& ref : fresh) {
      const bool isNew = !ref->older;
      CacheEntry& entry = *ref.release();
      if (isNew) table_.insert(entry);
      order_.addNewest(entry);
      blockBytes_ += entry.charge();
    }
  }

  std::size_t maxBytes_;
  std::uint64_t seed_;
  Table table_;
  CacheOrder order_;
  Heap heap_;
  std::size_t blockBytes_ = 0;
};

}  // namespace lukhas::detail
