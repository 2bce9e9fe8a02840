// EntryCache: which entries there are, which one goes when room is needed, and what they all take.
#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <new>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "lukhas/core/expiry_heap.hpp"
#include "lukhas/core/key_table.hpp"
#include "lukhas/store/detail/cache_entry.hpp"
#include "lukhas/store/eviction.hpp"
#include "lukhas/store/store_events.hpp"

namespace lukhas::detail {

// How the table links entries. Two of them a bucket, for each bucket costs six bytes.
struct CacheEntryLinks {
  using Bucket = PackedPointer<CacheEntry>;
  static constexpr std::size_t elementsPerBucket = 2;

  static std::uint64_t hash(const CacheEntry& entry) noexcept { return entry.keyHash; }
  static CacheEntry* next(const CacheEntry& entry) noexcept { return entry.nextInBucket(); }
  static void setNext(CacheEntry& entry, CacheEntry* next) noexcept { entry.setNextInBucket(next); }
  static CacheEntry* first(const Bucket& bucket) noexcept { return bucket.sound() ? bucket.get() : nullptr; }
  static constexpr bool checked = true;
  static bool isCut(const CacheEntry& last) noexcept { return last.nextIsDamaged(); }
  static bool isCut(const Bucket& bucket) noexcept { return !bucket.sound(); }
  // Key and value are asked of the memory together with the header, not after it.
  static void approach(const CacheEntry& entry) noexcept {
    const auto* const bytes = reinterpret_cast<const std::byte*>(&entry);
    __builtin_prefetch(bytes + 64);
    __builtin_prefetch(bytes + 128);
  }
};

// What the heap keeps of an entry: fourteen bytes. Which of those goes first that expire at the same
// nanosecond does not matter.
class CacheEntryExpiry {
 public:
  CacheEntryExpiry(TimePoint time, std::uint64_t, CacheEntry* entry) noexcept : entry_(entry) {
    std::memcpy(time_, &time, sizeof(time));
  }
  [[nodiscard]] TimePoint time() const noexcept {
    TimePoint time;
    std::memcpy(&time, time_, sizeof(time));
    return time;
  }
  [[nodiscard]] CacheEntry* node() const noexcept { return entry_; }
  [[nodiscard]] bool before(const CacheEntryExpiry& other) const noexcept { return time() < other.time(); }

 private:
  std::uint16_t time_[sizeof(TimePoint) / sizeof(std::uint16_t)];
  PackedPointer<CacheEntry> entry_;
};

// The pure part of the store: no mutex, no clock, no user but his eviction policy. A table finds entries by
// key, a policy says who goes, a heap keeps them by expiry; bytes() is what blocks, table, heap and policy
// take of the allocator.
//
// bytes() never passes limitBytes(): room is made before anything is put in. First go the entries whose time
// is over, then the policy's victims. limitBytes() is maxBytes(), but after a resize() to less it comes down
// slice by slice. An empty cache takes nothing.
//
// `gone(entry, cause)` is called for each entry that is removed to make room or because it expired, just
// before it goes; it must not throw and not touch the cache.
class EntryCache {
 public:
  // `seed` is that of hashOf; `number` tells the policies of several caches with the same seed apart.
  EntryCache(std::size_t maxBytes, std::uint64_t seed, const Eviction& eviction = {},
             std::pmr::memory_resource* memory = nullptr, std::uint64_t number = 0)
      : maxBytes_(maxBytes),
        limitBytes_(maxBytes),
        seed_(seed),
        memory_(memory),
        table_(memory),
        heap_(memory),
        own_(eviction.isLru() ? nullptr : eviction.make(maxBytes, splitMix64(seed + number))) {}
  EntryCache(const EntryCache&) = delete;
  EntryCache& operator=(const EntryCache&) = delete;
  ~EntryCache() { clear(); }

  [[nodiscard]] std::size_t size() const noexcept { return table_.size(); }
  // Any thread may ask.
  [[nodiscard]] std::size_t maxBytes() const noexcept { return maxBytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t limitBytes() const noexcept { return limitBytes_; }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return blockBytes_ + heap_.memoryBytes() + table_.memoryBytes() + (own_ ? own_->memoryBytes() : 0);
  }
  // Of these, what table and heap take for so many entries that came one by one.
  [[nodiscard]] static std::size_t arrayBytesFor(std::size_t entries) noexcept {
    return Heap().memoryBytesFor(entries) + Table().memoryBytesFor(entries);
  }
  [[nodiscard]] std::pmr::memory_resource* memory() const noexcept { return memory_; }
  // Does not depend on what is in the cache: any thread may call.
  [[nodiscard]] std::uint32_t hashOf(std::string_view key) const noexcept {
    return static_cast<std::uint32_t>(hash64(asBytes(key), seed_));
  }
  // Whether so many entries that take so much can be put in, whatever is there now. The same for all threads.
  [[nodiscard]] bool fits(std::size_t entries, std::size_t charge) const noexcept {
    const std::size_t overhead =
        Heap::memoryBound(entries) + Table::memoryBound(entries) + (own_ ? own_->memoryBound(entries) : 0);
    const std::size_t most = maxBytes();
    return overhead <= most && charge <= most - overhead;
  }

  [[nodiscard]] CacheEntry* find(std::string_view key, std::uint32_t hash) const noexcept {
    return table_.find(key, hash);
  }
  // For those who use what they find. Never misses what lies behind a damaged link.
  [[nodiscard]] CacheEntry* findUsed(std::string_view key, std::uint32_t hash) noexcept {
    CacheEntry* const entry = table_.findAndPromote(key, hash);
    if (entry || !table_.isCut()) return entry;
    (void)rebuild();
    return table_.find(key, hash);
  }
  // Also when something of the entry is damaged, but not all at once.
  [[nodiscard]] bool contains(const CacheEntry& entry) const noexcept {
    return heap_.contains(entry) || table_.contains(entry);
  }
  [[nodiscard]] CacheEntryRef refer(CacheEntry& entry) const noexcept { return {entry, memory_}; }
  void prefetchBucket(std::uint32_t hash) const noexcept { table_.prefetchBucket(hash); }
  void prefetchElement(std::uint32_t hash) const noexcept { table_.prefetchElement(hash); }

  // Before touch(), when there is something else to do in between.
  static void approachNeighbours(const CacheEntry& entry) noexcept {
    __builtin_prefetch(entry.newer.get(), 1);
    __builtin_prefetch(entry.older.get(), 1);
  }
  // Precondition of all that takes an entry: it is in the cache. Of this one: its links are intact.
  void touch(CacheEntry& entry) noexcept { own_ ? own_->used(entry) : lru_.used(entry); }
  [[nodiscard]] TimePoint expiryOf(const CacheEntry& entry) noexcept {
    if (!heap_.contains(entry)) (void)rebuild();
    return heap_.timeOf(entry);
  }
  void setExpiry(CacheEntry& entry, TimePoint expiresAt) noexcept {
    if (!heap_.contains(entry)) (void)rebuild();
    heap_.update(entry, expiresAt);
  }
  // The earliest end of all, which is at hand. Precondition: there is an entry.
  [[nodiscard]] TimePoint firstExpiry() const noexcept { return heap_.frontTime(); }
  // The earliest time at which an entry expires, if any ever does.
  [[nodiscard]] std::optional<TimePoint> nextExpiry() const noexcept {
    if (heap_.empty() || heap_.frontTime() == TimePoint::max()) return std::nullopt;
    return heap_.frontTime();
  }

  void remove(CacheEntry& entry) noexcept {
    if (!isSound(entry) && rebuild(&entry)) return;
    heap_.erase(entry);
    own_ ? own_->removed(entry) : lru_.removed(entry);
    blockBytes_ -= entry.charge();
    if (!table_.erase(entry)) (void)rebuild();  // it lay behind a damaged link
    CacheEntryRef::drop(&entry, memory_);
    if (heap_.empty()) releaseArrays();
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
    heap_.forEach([this](CacheEntry& entry) { CacheEntryRef::drop(&entry, memory_); });
    heap_.forget();
    blockBytes_ = 0;
    releaseArrays();
  }

  // Lets an entry go that is not readable(): its lengths, with version or hash, are damaged. It counts as
  // lost.
  void removeDamaged(CacheEntry& entry) noexcept {
    assert(!entry.readable());
    (void)rebuild(&entry);
  }

  // Makes room for all of `fresh`, which link() then puts in, in place of what their keys hold now. No key is
  // twice among them. False when there is no room, because fits() is not true of them or the policy gives no
  // victim: then others may have been evicted. Throws std::bad_alloc, and then has at most evicted others.
  template <class Gone>
  [[nodiscard]] bool makeReady(std::span<CacheEntryRef> fresh, TimePoint now, Gone&& gone) {
    Change change = prepare(fresh, now, gone);
    if (!fits(fresh.size(), change.addedBytes) || !makeRoom(fresh, change, now, gone)) return false;
    reserve(size() + change.newKeys);
    return true;
  }
  // Puts them in, the last one as the most recently used; endOf() gives when the next of them expires. Calls
  // replaced(old) for each that goes. Precondition: makeReady() said yes, and nothing has changed since.
  template <class EndOf, class Replaced>
  void link(std::span<CacheEntryRef> fresh, EndOf&& endOf, Replaced&& replaced) noexcept;

  // The new limit holds at once for what comes in; what is above it goes by shrink().
  void resize(std::size_t maxBytes) noexcept {
    maxBytes_.store(maxBytes, std::memory_order_relaxed);
    limitBytes_ = std::max(maxBytes, bytes());
    if (own_) own_->resized(maxBytes);
  }
  // Lets at most so many entries go. True when that was not enough, and others may go.
  template <class Gone>
  bool shrink(std::size_t most, TimePoint now, Gone&& gone) noexcept {
    for (; most > 0 && bytes() > maxBytes(); --most) {
      if (removeExpired(now, 1, gone) == 1) continue;
      CacheEntry* const victim = victimFor(0);
      if (!victim) {
        limitBytes_ = std::max(maxBytes(), bytes());
        return false;
      }
      gone(std::as_const(*victim), EvictionCause::size);
      remove(*victim);
    }
    limitBytes_ = std::max(maxBytes(), bytes());
    return bytes() > maxBytes();
  }

  // For looking, in no order.
  template <class Visit>
  void forEach(Visit&& visit) const {
    heap_.forEach([&](CacheEntry& entry) { visit(std::as_const(entry)); });
  }
  // By its number, from 0 to size() - 1, which changes with the cache: for who looks at one after the other.
  [[nodiscard]] CacheEntry& entryAt(std::size_t number) const noexcept { return heap_.nodeAt(number); }

  // Whether lengths, links and slot of an entry are what they have to be. That says nothing of key and value.
  [[nodiscard]] bool isSound(const CacheEntry& entry) const noexcept {
    return entry.readable() && entry.linksIntact() && heap_.contains(entry);
  }
  // The same, and the table leads to it.
  [[nodiscard]] bool isReachable(const CacheEntry& entry) const noexcept {
    return isSound(entry) && table_.contains(entry);
  }
  // Something of an entry is not: builds table, order and slots anew from what the heap has, but without the
  // entries of which the lengths are damaged; these count as lost. The order of use is lost too. True when
  // `watched` is among those that are gone. O(n).
  bool rebuild(const CacheEntry* watched = nullptr) noexcept;
  // How many entries rebuild() has let go.
  [[nodiscard]] std::uint64_t lostEntries() const noexcept { return lostEntries_; }

  // For tests: O(n).
  [[nodiscard]] bool checkInvariants() const noexcept {
    std::size_t charged = 0;
    bool sound = true;
    forEach([&](const CacheEntry& entry) {
      sound = sound && find(entry.key(), entry.keyHash) == &entry && isSound(entry);
      charged += entry.charge();
    });
    return sound && heap_.size() == size() && charged == blockBytes_ && bytes() <= limitBytes_ &&
           maxBytes() <= limitBytes_ && heap_.checkInvariants() && table_.checkInvariants() &&
           (own_ ? own_->checkInvariants() : lru_.checkInvariants()) && (size() > 0 || bytes() == 0);
  }

 private:
  using Table = KeyTable<CacheEntry, CacheEntryLinks>;
  using Heap = ExpiryHeap<CacheEntry, TimePoint, 8, CacheEntryExpiry>;

  // Precondition: there are no entries.
  void releaseArrays() noexcept {
    heap_.clear();
    table_.release();
    own_ ? own_->clear() : lru_.clear();
  }
  [[nodiscard]] CacheEntry* victimFor(std::size_t incomingBytes) noexcept {
    return static_cast<CacheEntry*>(own_ ? own_->victim(incomingBytes) : lru_.victim(incomingBytes));
  }

  // What a put() comes to.
  struct Change {
    std::size_t addedBytes = 0;
    std::size_t replacedBytes = 0;
    std::size_t newKeys = 0;
  };

  // Finds what each key holds and keeps it in `older`, which a fresh entry does not use yet. They count as
  // used, so that LRU does not come upon them when room is made.
  template <class Gone>
  [[nodiscard]] Change prepare(std::span<CacheEntryRef> fresh, TimePoint now, Gone& gone) noexcept;
  template <class Gone>
  [[nodiscard]] bool makeRoom(std::span<CacheEntryRef> fresh, Change& change, TimePoint now, Gone& gone);
  void reserve(std::size_t entries);

  std::atomic<std::size_t> maxBytes_;
  std::size_t limitBytes_;
  std::uint64_t seed_;
  std::pmr::memory_resource* memory_;
  Table table_;
  Heap heap_;
  LruPolicy lru_;                        // held by value: a list splice, and no virtual call
  std::unique_ptr<EvictionPolicy> own_;  // instead of it, where there is another one
  std::size_t blockBytes_ = 0;
  std::uint64_t lostEntries_ = 0;
};

}  // namespace lukhas::detail

#include "lukhas/store/impl/entry_cache.hpp"
