// StoreState: what AsyncMemoryStore consists of, once T has become bytes.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lukhas/async/environment.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/store/detail/early_refresh.hpp"
#include "lukhas/store/detail/load_trace.hpp"
#include "lukhas/store/detail/store_news.hpp"
#include "lukhas/store/detail/store_shard.hpp"
#include "lukhas/store/entry_info.hpp"
#include "lukhas/store/store_error.hpp"
#include "lukhas/store/store_options.hpp"

namespace lukhas::detail {

using Ttl = std::optional<Duration>;

// A call that is under way.
struct StoreCall {
  StoreShard* shard = nullptr;  // that counts it
  TimePoint began{};
  bool measured = false;  // then `began` is exact
  bool failed = false;    // counted as an error already, which a call is once
};

// The time of a call that reads. The clock is read cheaply, and exactly only when something is about to
// expire.
class StoreMoment {
 public:
  StoreMoment(const Environment& environment, bool exact) noexcept
      : environment_(environment),
        time_(exact ? environment.now() : environment.coarseNow()),
        exact_(exact) {}
  StoreMoment(const Environment& environment, TimePoint now) noexcept
      : environment_(environment), time_(now), exact_(true) {}

  [[nodiscard]] TimePoint time() const noexcept { return time_; }
  [[nodiscard]] bool isBefore(TimePoint end) noexcept {
    // Ten times what the cheap clock may be behind.
    if (!exact_ && end > time_ + std::chrono::milliseconds(100)) return true;
    if (!std::exchange(exact_, true)) time_ = environment_.now();
    return time_ < end;
  }

 private:
  const Environment& environment_;
  TimePoint time_;
  bool exact_;
};

// An entry that was encoded, and checked against the rules, but not yet stored.
struct StoreWrite {
  CacheEntryRef entry;
  Ttl ttl;
};

struct StoreRead {
  CacheEntryRef entry;  // empty: a miss, or used already. Its bytes were verified
  StoreCall call;
  std::shared_ptr<void> alive;  // the store, when a listener was told something, for it may destroy the store
};
struct StoreReadWithInfo {
  StoreRead read;
  EntryInfo info;  // when there is an entry
};
struct StoreBatchRead {
  std::vector<CacheEntryRef> entries;  // one for each key, in their order
  StoreCall call;
};

// How a getOrCompute begins: with the entry, with the duty to load it, or with a load to wait for. With entry
// and duty the entry is good, and to be loaded anew in the background.
struct LoadStart {
  CacheEntryRef entry;
  LoadLead lead;
  std::shared_ptr<Load> other;
  TimePoint refreshUntil{};
};

enum class Counted { no, yes };

// A shard's mutex guards cache, loads, figures and timer of its keys. It is held for finding and linking, and
// for reading small values: encoding, checksums of what is larger, decoding, events and resumes happen
// outside it, on entries whose bytes never change. Who needs several shards takes them in their order.
//
// Coroutines in getOrCompute share it with the store, so it may outlive the store; it is closed then.
class StoreState final : public LoadKeeper, public std::enable_shared_from_this<StoreState> {
 public:
  static constexpr std::size_t maxKeyBytes = 256;
  static constexpr unsigned updateAttempts = 1000;
  // Up to so many bytes are verified and copied under the mutex: less work than to count a reference.
  static constexpr std::size_t smallValue = 2048;

  [[nodiscard]] static std::shared_ptr<StoreState> create(Environment environment,
                                                          const AsyncMemoryStoreOptions& options);
  StoreState(Environment environment, const AsyncMemoryStoreOptions& options);
  StoreState(const StoreState&) = delete;
  StoreState& operator=(const StoreState&) = delete;

  [[nodiscard]] const Environment& environment() const noexcept { return environment_; }
  [[nodiscard]] const AsyncMemoryStoreOptions& options() const noexcept { return options_; }
  [[nodiscard]] StoreSignals& signals() noexcept { return signals_; }

  // Throws what the public calls throw for such a key or TTL.
  static void requireCall(std::string_view key, Ttl ttl);
  // An entry that is not stored yet. The first checks that it fits, or throws value_too_large.
  [[nodiscard]] StoreWrite prepare(std::string_view key, ByteView value, Ttl ttl);
  [[nodiscard]] StoreWrite prepareLoaded(std::string_view key, ByteView value, Ttl ttl) const;
  // Throws batch_too_large, duplicate_key.
  void requireBatch(const std::vector<CacheEntryRef>& entries);

  [[nodiscard]] StoreRead read(std::string_view key);
  // As read(), but a small value is given to use(bytes) at once, under the mutex, instead of the entry.
  template <class Use>
  [[nodiscard]] StoreRead readWith(std::string_view key, Use&& use);
  [[nodiscard]] StoreReadWithInfo readWithInfo(std::string_view key);
  [[nodiscard]] StoreBatchRead readAll(const NameList& keys);
  [[nodiscard]] bool has(std::string_view key);
  [[nodiscard]] std::optional<EntryInfo> info(std::string_view key);
  [[nodiscard]] std::vector<std::string> keys(std::string_view prefix) const;

  void write(StoreWrite write);
  // Begins a new TTL. Whether there was an entry.
  [[nodiscard]] bool touch(std::string_view key, Ttl ttl);
  void writeAll(std::vector<CacheEntryRef> entries, Ttl ttl);
  // Without a TTL an entry keeps its end; so below.
  [[nodiscard]] bool writeIfVersion(StoreWrite write, Version expected);
  // Only when the key still holds `seen`.
  [[nodiscard]] bool writeIfSame(StoreWrite write, const CacheEntryRef& seen);
  bool erase(std::string_view key);
  std::size_t eraseAll(const NameList& keys);
  void clear();

  // `counted`: it is the call's first look.
  [[nodiscard]] LoadStart beginLoad(std::string_view key, StoreCall& call, Counted counted);
  // For a call from inside a loader: throws load_cycle when it would wait for itself, and else fills `stay`.
  void enterLoad(std::string_view key, const std::shared_ptr<const LoadTrace>& outer, const LoadStart& start,
                 StoreCall& call, std::optional<LoadStay>& stay);
  // Stores what was loaded, when it fits and the key was not changed meanwhile, and gives it to all who wait.
  void finishLoad(LoadLead& lead, StoreWrite write, StoreCall& call, TimePoint began);
  void refreshFailed(std::string_view key);
  // Whether the key has not been changed since the load began.
  [[nodiscard]] bool isJoinable(const LoadLead& lead) const;
  void abandonLoad(const std::shared_ptr<Load>& load) noexcept override;
  // Whether an entry is what was stored; removes it when it is not, and reports that if nobody else has
  // removed it. `read` says whether the look at it was counted as a read.
  [[nodiscard]] bool verify(const CacheEntryRef& entry, StoreCall& call, Counted read);
  void dropDamaged(const CacheEntryRef& entry, StoreCall& call, Counted read);
  // Waits until it is the caller's turn.
  [[nodiscard]] static asio::awaitable<std::shared_ptr<LoadWaiter>> waitForTurn(
      std::shared_ptr<StoreState> state, std::shared_ptr<Load> load);

  // The end of a call that went well.
  void finished(const StoreCall& call);
  // A value that was found does not decode.
  void countError(StoreCall& call);
  // A call ended before it began: what it was to store does not fit.
  void countRefusal();

  void start();
  void stop();
  void close() noexcept;
  // Of a shard, whose timers call them.
  void onAlarm(StoreShard& shard);
  void onScrub(StoreShard& shard);

  [[nodiscard]] std::size_t maxBytes() const noexcept;
  // Throws Errc::invalid_option.
  void requireSize(std::size_t maxBytes) const;
  // The new limit holds for what comes in; what is above it goes by shrinkSlice(), which says whether more is
  // left, and by each write.
  void resize(std::size_t maxBytes);
  [[nodiscard]] bool shrinkSlice();

  [[nodiscard]] StoreMetrics metrics() const;
  [[nodiscard]] HealthReport health();

  [[nodiscard]] bool checkInvariants() const;
  [[nodiscard]] std::size_t loadCount() const;
  [[nodiscard]] bool flipBit(std::string_view key, EntryDamage::Place place, std::size_t bit);

  [[noreturn]] static void throwClosed() { throw Error(StoreErrc::closed, "the store was destroyed"); }
  [[noreturn]] static void throwNotFound(std::string_view key);
  [[noreturn]] static void throwConflict(std::string_view key);
  [[noreturn]] void throwLoadCycle(const std::vector<std::string>& path, StoreCall& call);
  [[noreturn]] void throwOverloaded(std::string_view key, StoreCall& call);

 private:
  static void requireKey(std::string_view key);
  static void requireOpen(const StoreShard& shard) {
    if (shard.closed) throwClosed();
  }
  void requireFits(std::string_view key, std::size_t valueBytes);
  [[noreturn]] void throwTooLarge(std::string_view key, std::size_t bytes);
  [[noreturn]] void throwBatchTooLarge(std::size_t entries, std::size_t bytes);
  template <class Keys>
  std::size_t eraseEach(const Keys& keys);

  [[nodiscard]] std::uint32_t hashOf(std::string_view key) const noexcept {
    return shards_.front()->cache.hashOf(key);  // all have the same seed
  }
  // The high bits choose the shard, the low ones the bucket in its table.
  [[nodiscard]] std::size_t shardNumber(std::uint32_t hash) const noexcept {
    return static_cast<std::size_t>(std::uint64_t{hash} >> shardShift_);
  }
  [[nodiscard]] StoreShard& shardOf(std::uint32_t hash) const noexcept { return *shards_[shardNumber(hash)]; }
  [[nodiscard]] StoreShard& shardOf(std::string_view key) const noexcept { return shardOf(hashOf(key)); }

  // Locks the shards whose bits are set, in their order.
  class ShardLocks {
   public:
    ShardLocks(const StoreState& state, std::uint64_t which) : state_(state), which_(which) {
      each([](StoreShard& shard) { shard.mutex.lock(); });
    }
    ShardLocks(const ShardLocks&) = delete;
    ShardLocks& operator=(const ShardLocks&) = delete;
    ~ShardLocks() {
      each([](StoreShard& shard) { shard.mutex.unlock(); });
    }
    template <class Use>
    void each(Use&& use) const {
      for (std::uint64_t left = which_; left != 0; left &= left - 1) {
        use(*state_.shards_[static_cast<std::size_t>(std::countr_zero(left))]);
      }
    }

   private:
    const StoreState& state_;
    std::uint64_t which_;
  };
  [[nodiscard]] std::uint64_t bitOf(std::uint32_t hash) const noexcept {
    return std::uint64_t{1} << shardNumber(hash);
  }
  [[nodiscard]] std::uint64_t allShards() const noexcept {
    return ~std::uint64_t{0} >> (64 - shards_.size());
  }

  [[nodiscard]] StoreNews makeNews() const noexcept { return StoreNews(signals_, options_.memory); }

  // All below: with the mutex of the shard held.
  void count(StoreShard& shard, StoreCall& call, bool exact = true) noexcept {
    call.shard = &shard;
    shard.figures.call(call.began);
    call.measured = shard.figures.isSample(exact);
  }
  [[nodiscard]] CacheEntry* findLive(StoreShard& shard, std::string_view key, std::uint32_t hash,
                                     StoreMoment& moment, StoreNews& news);
  [[nodiscard]] CacheEntry* findLive(StoreShard& shard, std::string_view key, std::uint32_t hash,
                                     TimePoint now, StoreNews& news);
  void removeCorrupt(StoreShard& shard, CacheEntry& entry, StoreNews& news) noexcept;
  [[nodiscard]] static auto recorder(StoreShard& shard, StoreNews& news) noexcept {
    return [&shard, &news](const CacheEntry& entry, EvictionCause cause) noexcept {
      // Whatever it was to go for, it is damaged; the cache counts it among those that it has lost.
      const bool readable = entry.readable();
      if (readable) shard.figures.gone(cause);
      if (!shard.closed) news.gone(entry, readable ? cause : EvictionCause::corrupt);
    };
  }
  void stamp(StoreShard& shard, CacheEntry& entry, TimePoint now) const noexcept {
    shard.stamp(entry, now - created_);
  }
  [[nodiscard]] EntryInfo infoOf(StoreShard& shard, const CacheEntry& entry, TimePoint now) const noexcept;
  [[nodiscard]] TimePoint endOf(Ttl ttl, TimePoint now) const noexcept;
  // False when there is no room, and then nothing has changed but that others may have been evicted. Else the
  // reference is the store's.
  [[nodiscard]] bool put(StoreShard& shard, CacheEntryRef& entry, TimePoint expiresAt, TimePoint now,
                         StoreNews& news);
  static void errorOf(StoreCall& call) noexcept {
    if (!std::exchange(call.failed, true)) call.shard->figures.error();
  }
  void followFront(StoreShard& shard) const noexcept;
  [[nodiscard]] TimePoint sweepTimeFor(const StoreShard& shard, TimePoint expiry) const noexcept;
  [[nodiscard]] bool isDueForRefresh(std::uint32_t hash, TimePoint end, TimePoint now) const noexcept;

  void sweepSlice(StoreShard& shard);
  void followScrub(StoreShard& shard, TimePoint now) const noexcept;
  [[nodiscard]] std::vector<CacheEntryRef> takeForScrub(StoreShard& shard, StoreNews& news);
  void scrubSlice(StoreShard& shard);

  Environment environment_;
  AsyncMemoryStoreOptions options_;
  TimePoint created_;
  StoreSignals signals_;
  std::atomic<std::size_t> waiting_ = 0;  // for loads, in all shards
  LoadGraph loadGraph_;                   // guards itself
  EarlyRefresh refresh_;                  // so does this
  std::vector<std::unique_ptr<StoreShard>> shards_;
  unsigned shardShift_;
};

// Throw duplicate_key when a key is there twice.
inline void requireOnce(StoreState& state, std::vector<std::string_view> keys);
inline void requireOnce(StoreState& state, const NameList& keys);

}  // namespace lukhas::detail

#include "lukhas/store/impl/store_entries.hpp"
#include "lukhas/store/impl/store_loads.hpp"
#include "lukhas/store/impl/store_scrub.hpp"
#include "lukhas/store/impl/store_state.hpp"
#include "lukhas/store/impl/store_sweep.hpp"
#include "lukhas/store/impl/store_writes.hpp"
