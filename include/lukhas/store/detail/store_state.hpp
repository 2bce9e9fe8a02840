// StoreState: what AsyncMemoryStore consists of, once T has become bytes.
#pragma once

#include <algorithm>
#include <array>
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
#include "lukhas/async/front_timer.hpp"
#include "lukhas/core/bytes.hpp"
#include "lukhas/core/error.hpp"
#include "lukhas/core/health.hpp"
#include "lukhas/core/name_list.hpp"
#include "lukhas/store/detail/early_refresh.hpp"
#include "lukhas/store/detail/entry_cache.hpp"
#include "lukhas/store/detail/load_board.hpp"
#include "lukhas/store/detail/load_trace.hpp"
#include "lukhas/store/detail/store_figures.hpp"
#include "lukhas/store/detail/store_news.hpp"
#include "lukhas/store/entry_info.hpp"
#include "lukhas/store/store_error.hpp"
#include "lukhas/store/store_options.hpp"

namespace lukhas::detail {

using Ttl = std::optional<Duration>;

// A call that is under way.
struct StoreCall {
  TimePoint began{};
  bool measured = false;
  bool failed = false;  // counted as an error already, which a call is once
};

// An entry that was encoded, and checked against the rules, but not yet stored.
struct StoreWrite {
  CacheEntryRef entry;
  Ttl ttl;
};

struct StoreRead {
  CacheEntryRef entry;  // empty: a miss. Its bytes were verified
  StoreCall call;
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

// One mutex guards cache, loads, figures and timer. It is held for finding and linking only: encoding,
// checksums, decoding, events and resumes happen outside it, on entries whose bytes never change.
//
// Coroutines in getOrCompute share it with the store, so it may outlive the store; it is closed then.
class StoreState final : public LoadKeeper, public std::enable_shared_from_this<StoreState> {
 public:
  static constexpr std::size_t maxKeyBytes = 256;
  static constexpr unsigned updateAttempts = 1000;

  [[nodiscard]] static std::shared_ptr<StoreState> create(Environment environment,
                                                          const AsyncMemoryStoreOptions& options);
  StoreState(Environment environment, const AsyncMemoryStoreOptions& options)
      : environment_(std::move(environment)),
        options_(options),
        created_(environment_.now()),
        cache_(options.maxBytes, environment_.random()),
        loads_(options.maxWaiters),
        refresh_(options.earlyRefresh) {}
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

  [[nodiscard]] StoreMetrics metrics() const;
  [[nodiscard]] HealthReport health();

  [[nodiscard]] bool checkInvariants() const;
  [[nodiscard]] std::size_t loadCount() const;
  [[nodiscard]] bool flipValueBit(std::string_view key, std::size_t bit);

  [[noreturn]] static void throwClosed() { throw Error(StoreErrc::closed, "the store was destroyed"); }
  [[noreturn]] static void throwNotFound(std::string_view key);
  [[noreturn]] static void throwConflict(std::string_view key);
  [[noreturn]] void throwLoadCycle(const std::vector<std::string>& path, StoreCall& call);
  [[noreturn]] void throwOverloaded(std::string_view key, StoreCall& call);

 private:
  static void requireKey(std::string_view key);
  void requireOpen() const {
    if (closed_) throwClosed();
  }
  void requireFits(std::string_view key, std::size_t bytes);
  template <class Keys>
  std::size_t eraseEach(const Keys& keys);

  // All below: with the mutex held.
  [[nodiscard]] CacheEntry* findLive(std::string_view key, std::uint64_t hash, TimePoint now,
                                     StoreNews& news);
  [[nodiscard]] auto recorder(StoreNews& news) noexcept {
    return [this, &news](const CacheEntry& entry, EvictionCause cause) noexcept {
      figures_.gone(cause);
      if (!closed_) news.gone(entry, cause);
    };
  }
  // A version is the time of its write in nanoseconds, or one more than the last: an entry's age needs no
  // memory of its own.
  void stamp(CacheEntry& entry, TimePoint expiresAt, TimePoint now) noexcept {
    lastVersion_ = std::max(lastVersion_ + 1, static_cast<std::uint64_t>((now - created_).count() + 1));
    entry.expiresAt = expiresAt;
    entry.version = Version{lastVersion_};
  }
  [[nodiscard]] EntryInfo infoOf(const CacheEntry& entry, TimePoint now) const noexcept;
  [[nodiscard]] TimePoint endOf(Ttl ttl, TimePoint now) const noexcept;
  void put(CacheEntryRef entry, TimePoint now, StoreNews& news) { putAll({&entry, 1}, now, news); }
  void putAll(std::span<CacheEntryRef> entries, TimePoint now, StoreNews& news);
  void errorOf(StoreCall& call) noexcept {
    if (!std::exchange(call.failed, true)) figures_.error();
  }
  [[nodiscard]] bool isDueForRefresh(const CacheEntry& entry, TimePoint now) const noexcept;
  void followFront() noexcept;
  [[nodiscard]] TimePoint sweepTimeFor(TimePoint expiry) const noexcept;

  static void onAlarm(StoreState& state);
  void sweepSlice();

  Environment environment_;
  AsyncMemoryStoreOptions options_;
  TimePoint created_;
  StoreSignals signals_;
  mutable std::mutex mutex_;
  EntryCache cache_;
  LoadBoard loads_;
  LoadGraph loadGraph_;   // guards itself
  EarlyRefresh refresh_;  // so does this
  StoreFigures figures_;
  std::optional<FrontTimer> timer_;
  std::uint64_t lastVersion_ = 0;
  std::optional<TimePoint> started_;  // the sweeps are at multiples of the interval after it
  bool sweeping_ = false;             // between the slices of a sweep
  TimePoint sweepUntil_{};            // what expires later is left to the next one
  std::size_t swept_ = 0;             // by the sweep that is under way
  bool closed_ = false;
};

}  // namespace lukhas::detail

#include "lukhas/store/impl/store_entries.hpp"
#include "lukhas/store/impl/store_loads.hpp"
#include "lukhas/store/impl/store_state.hpp"
#include "lukhas/store/impl/store_sweep.hpp"
